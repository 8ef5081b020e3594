"""Looks at pixels with libvips, in a process of its own: no fault of a decoder's ends this one."""

import base64
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, BinaryIO

from dropscale.image.metadata.model import Metadata
from dropscale.image.pixels import Comparison, Conversion, ImageFile, PixelsUnreadable

_WORKER = "dropscale.image.vips_worker"
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "TMPDIR", "LANG")


@dataclass(frozen=True)
class Vips:
    """libvips. `max_bytes` is what one task may take in memory."""

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
        task = {"orientation": orientation, "profile_can_hold": profile_can_hold}
        found = self._do("compare", {"result": result, "original": original}, task, seconds)
        metadata = found.pop("metadata", None)
        if metadata is not None:
            blobs = {kind: base64.b64decode(value) for kind, value in metadata.items()}
            found["metadata"] = Metadata(**blobs)
        return Comparison(**found)

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
        images = {"result": result, "alpha_of": alpha_of, "target": ImageFile(target, to.type)}
        blobs = {kind: getattr(to.metadata, kind) for kind in to.metadata.kinds}
        options = {
            "quality": to.quality,
            "strip": to.strip,
            "orientation": orientation,
            "metadata": {kind: base64.b64encode(blob).decode() for kind, blob in blobs.items()},
        }
        self._do("convert", images, options, seconds)

    def _do(
        self,
        name: str,
        images: dict[str, ImageFile | None],
        options: dict[str, Any],
        seconds: float,
    ) -> dict[str, Any]:
        task = {"task": name, "max_bytes": self.max_bytes, **options}
        descriptors = []
        for role, image in images.items():
            task[role] = None
            if image is not None:
                image.file.flush()
                descriptors.append(image.file.fileno())
                task[role] = {"fd": image.file.fileno(), "type": image.type}
        if seconds <= 0:
            raise PixelsUnreadable("no time was left")
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-m", _WORKER],
                input=json.dumps(task).encode(),
                capture_output=True,
                pass_fds=descriptors,
                env=_environment(),
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise PixelsUnreadable(f"it took longer than {seconds:.0f} s") from error
        if done.returncode != 0:
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            last = lines[-1] if lines else "no message"
            raise PixelsUnreadable(f"libvips ended with {done.returncode}: {last}")
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer


def _environment() -> dict[str, str]:
    """Nothing secret: what decodes strangers' files needs no credentials."""
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    path = os.pathsep.join(entry for entry in sys.path if entry)
    tuned = {"VIPS_CONCURRENCY": "1", "MALLOC_ARENA_MAX": "2", "VIPS_BLOCK_UNTRUSTED": "1"}
    return kept | tuned | {"PYTHONPATH": path}
