"""Decodes pixels with libvips, in a separate process, so that no decoder can crash this one."""

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from dropscale.image.metadata import exif, heif
from dropscale.image.pixels import Comparison, Conversion, ImageFile, PixelsUnreadable
from dropscale.image.vips_task import (
    CompareTask,
    ConvertTask,
    InheritedImage,
    MetadataKind,
    Task,
)

_WORKER = "dropscale.image.vips_worker"
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "TMPDIR", "LANG")


@dataclass(frozen=True)
class Vips:
    """libvips. `max_bytes` is the memory limit of one task."""

    max_bytes: int

    def compare(
        self,
        result: ImageFile,
        original: ImageFile | None,
        *,
        orientation: int,
        profile_can_hold: bool,
        seconds: float,
    ) -> Comparison:
        """See `dropscale.pipeline.parts.ports.Pixels.compare`."""
        task: CompareTask = {
            "task": "compare",
            "max_bytes": self.max_bytes,
            "result": _inherit(result),
            "original": _inherit(original) if original else None,
            "orientation": orientation,
            "profile_can_hold": profile_can_hold,
        }
        end = time.monotonic() + seconds
        try:
            answer = _run(task, [task["result"], task["original"]], seconds)
        except _DecoderCrashed:
            if original is None:
                raise
            # The original may be the cause: try the result alone.
            task["original"] = None
            answer = _run(task, [task["result"]], end - time.monotonic())
        try:
            return _Answer.model_validate_json(answer).comparison
        except ValidationError as error:
            raise PixelsUnreadable("libvips gave an answer that cannot be read") from error

    def convert(
        self,
        result: ImageFile,
        to: Conversion,
        target: BinaryIO,
        *,
        alpha_of: ImageFile | None,
        orientation: int,
        seconds: float,
    ) -> None:
        """See `dropscale.pipeline.parts.ports.Pixels.convert`."""
        blobs = {kind: getattr(to.metadata, kind) for kind in get_args(MetadataKind)}
        if to.metadata.exif is not None:
            blobs["exif"] = exif.placeholder(len(to.metadata.exif))
        task: ConvertTask = {
            "task": "convert",
            "max_bytes": self.max_bytes,
            "result": _inherit(result),
            "alpha_of": _inherit(alpha_of) if alpha_of else None,
            "target": _inherit(ImageFile(target, to.type)),
            "quality": to.quality,
            "orientation": orientation,
            "metadata": {
                kind: base64.b64encode(blob).decode()
                for kind, blob in blobs.items()
                if blob is not None
            },
        }
        _run(task, [task["result"], task["alpha_of"], task["target"]], seconds)
        if to.metadata.exif is not None:
            # libvips rewrites EXIF, and adds 72 dpi and more, so it only reserves the space.
            heif.overwrite_exif(target, to.metadata.exif)


class _Answer(BaseModel):
    """The worker's answer to a comparison."""

    model_config = ConfigDict(strict=True, extra="forbid")

    comparison: Comparison


class _DecoderCrashed(PixelsUnreadable):
    """A signal ended the worker."""


def _inherit(image: ImageFile) -> InheritedImage:
    image.file.flush()
    profile = None if image.profile is None else base64.b64encode(image.profile).decode()
    return {"fileno": image.file.fileno(), "type": image.type, "profile": profile}


def _run(task: Task, images: Sequence[InheritedImage | None], seconds: float) -> bytes:
    """Have the worker do a task on these images; return its answer."""
    if seconds <= 0:
        raise PixelsUnreadable("no time was left")
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", _WORKER],
            input=json.dumps(task).encode(),
            capture_output=True,
            pass_fds=[image["fileno"] for image in images if image is not None],
            env=_environment(),
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise PixelsUnreadable(f"it took longer than {seconds:.0f} s") from error
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        last = lines[-1] if lines else "no message"
        crash = _DecoderCrashed if done.returncode < 0 else PixelsUnreadable
        raise crash(f"libvips ended with {done.returncode}: {last}")
    return done.stdout


def _environment() -> dict[str, str]:
    """Return the worker's environment, without secrets: it decodes untrusted files."""
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    path = os.pathsep.join(entry for entry in sys.path if entry)
    tuned = {"VIPS_CONCURRENCY": "1", "MALLOC_ARENA_MAX": "2", "VIPS_BLOCK_UNTRUSTED": "1"}
    return kept | tuned | {"PYTHONPATH": path}
