"""Finishes a result by its original, and reads what comes out with Pillow."""

import io
import math
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image, IptcImagePlugin
from PIL.ImageFile import ImageFile

from dropscale.coded_warning import CodedWarning
from dropscale.image.pixels import Comparison
from dropscale.image.verify import verify_result
from dropscale.image.vips import Vips
from dropscale.ledger.drops import Source
from dropscale.pipeline.parts.finish import FinishResult
from dropscale.pipeline.parts.ports import Pixels
from dropscale.specs.effective import OutputFormat, OutputSettings
from tests import originals
from tests.fakes import FakeInputBucket, FakePixels
from tests.originals import encoded, pixels
from tests.world import PLENTY

SIZE, TWICE = (60, 40), (120, 80)
KEY = "cat"
VIPS = Vips(400 * 1024 * 1024)
NOT_SEEN = FakePixels(Comparison(delta_e=None))
P3, ADOBE = (originals.profile(name) for name in ("Display P3", "Adobe RGB"))
FORMATS = [each for each in OutputFormat if each is not OutputFormat.KEEP]
SEEN_BY_PILLOW = {"png": "PNG", "jpeg": "JPEG", "webp": "WEBP", "avif": "AVIF"}


class Finished:
    """A finished result as Pillow reads it; an unknown delta_e is infinite."""

    def __init__(
        self, body: bytes, warnings: tuple[CodedWarning, ...], delta_e: float | None
    ) -> None:
        self.body, self.delta_e = body, math.inf if delta_e is None else delta_e
        self.warnings = tuple(warning.message for warning in warnings)
        self.codes = [warning.code for warning in warnings]

    @cached_property
    def image(self) -> ImageFile:
        found = Image.open(io.BytesIO(self.body))
        found.load()
        return found

    @property
    def orientation(self) -> int:
        return int(self.image.getexif().get(originals.ORIENTATION, 1))

    @property
    def details(self) -> Any:
        """The Exif directory."""
        return self.image.getexif().get_ifd(originals.EXIF_DIRECTORY)

    @property
    def caption(self) -> str:
        found = (IptcImagePlugin.getiptcinfo(self.image) or {}).get(originals.CAPTION_DATASET)
        return found.decode() if isinstance(found, bytes) else ""


def finish(
    original: bytes,
    result: bytes | None = None,
    pixels_: Pixels = VIPS,
    bucket: FakeInputBucket | None = None,
    source: Mapping[str, Any] | None = None,
    seconds: float = PLENTY,
    **settings: Any,
) -> Finished:
    """Finish a result (None: a good one of the usual picture) with settings of the output.

    `source` replaces fields of the drop's source.
    """
    bucket = bucket or FakeInputBucket()
    bucket.objects[KEY] = original
    version = bucket.head("input", KEY)
    assert version is not None
    told = {"bucket": "input", "key": KEY, "etag": version.etag, "sha256": "known"}
    with ExitStack() as files:
        file = files.enter_context(tempfile.TemporaryFile())
        file.write(encoded(enlarged(pixels(SIZE))) if result is None else result)
        done = FinishResult(bucket, pixels_)(
            file,
            verify_result(file, KEY),
            Source(**{**told, **(source or {})}),
            OutputSettings(**settings),
            files,
            lambda: seconds,
        )
        done.file.seek(0)
        return Finished(done.file.read(), done.warnings, done.delta_e)


def enlarged(image: Image.Image) -> Image.Image:
    return image.resize(TWICE if image.width > image.height else TWICE[::-1])


def distance(one: Image.Image, other: Image.Image) -> float:
    """Return the mean difference of two pictures' values, of 255."""
    first, second = (np.asarray(each, dtype=float) for each in (one, other))
    return float(np.abs(first - second).mean())
