"""Finish: from what the vendor delivers to what is published, with what the original says."""

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import BinaryIO, Self, cast

from dropscale.image.header import ImageHeader, read_header
from dropscale.image.metadata import exif, xmp
from dropscale.image.metadata.files import (
    REWRITABLE_TYPES,
    can_take_profile,
    declares_colour,
    read_metadata,
    rewrite,
)
from dropscale.image.metadata.model import MalformedMetadata, Metadata
from dropscale.image.verify import verify_result
from dropscale.ledger.records import Source
from dropscale.pipeline.ports import FinishedResult, ObjectGone, ObjectOverwritten, Originals
from dropscale.spec.effective import MetadataChoice, OutputFormat, OutputSettings

_SPOOL_BYTES = 8 * 1024 * 1024
_UPRIGHT_BY_DECODING = frozenset({"avif", "heic"})
"""Types whose decoders turn the pixels themselves; their EXIF orientation is not to be followed
(ISO/IEC 23008-12, annex A)."""


@dataclass(frozen=True)
class _Original:
    """The image that was upscaled."""

    file: BinaryIO
    header: ImageHeader
    metadata: Metadata
    orientation: int


@dataclass(frozen=True)
class _Work:
    """A result on its way: how it is to be written, and what is known so far."""

    settings: OutputSettings
    finished: FinishedResult
    files: ExitStack
    original: _Original | None = None

    def warned(self, *warnings: str) -> Self:
        return self._with(warnings=(*self.finished.warnings, *warnings))

    def rewritten(self, file: BinaryIO) -> Self:
        """Take another file in place of the present one, once it is known to be whole."""
        header = verify_result(file, "The finished result")
        before = self.finished.header
        if (header.width, header.height) != (before.width, before.height):
            raise ValueError(f"it came out as {header.width} x {header.height} pixels")
        return self._with(file=file, header=header)

    def _with(self, **changes: object) -> Self:
        return replace(self, finished=replace(self.finished, **changes))  # type: ignore[arg-type]


@dataclass(frozen=True)
class FinishResult:
    """A `dropscale.pipeline.ports.Finish`: no step of it can cost the result.

    A step that fails leaves the result as it was, and a warning.
    """

    originals: Originals

    def __call__(
        self,
        result: BinaryIO,
        header: ImageHeader,
        source: Source,
        settings: OutputSettings,
        files: ExitStack,
    ) -> FinishedResult:
        """See `Finish.__call__`."""
        work = _Work(settings, FinishedResult(result, header), files)
        if settings.format not in {OutputFormat.KEEP, header.type}:
            work = work.warned(f"The result is {header.type}: nothing writes {settings.format} yet")
        steps: dict[str, Callable[[_Work], _Work]] = {
            "The original could not be read, so nothing of it is given back": (
                lambda work: self._with_original(work, source)
            ),
            "The metadata was not given back": _with_metadata,
        }
        for what, step in steps.items():
            try:
                work = step(work)
            except Exception as error:  # whatever it is, the result is paid
                work = work.warned(f"{what}: {_said(error)}")
        return work.finished

    def _with_original(self, work: _Work, source: Source) -> _Work:
        if source.sha256 is None:
            return work.warned("Nothing of the original is given back: it lies elsewhere")
        try:
            file = work.files.enter_context(self.originals.open_original(source))
        except ObjectGone:
            return work.warned("Nothing of the original is given back: it was deleted")
        except ObjectOverwritten:
            return work.warned("Nothing of the original is given back: it was overwritten")
        header = read_header(file, source.key, as_stored=True)
        original = _Original(file, header, Metadata(), exif.UPRIGHT)
        try:
            metadata = read_metadata(file, header.type) or Metadata()
            orientation = exif.orientation_of(metadata.exif)
        except MalformedMetadata as error:
            work = work.warned(f"The original's metadata is not given back: {error}")
            return replace(work, original=original)
        if header.type in _UPRIGHT_BY_DECODING:
            orientation = exif.UPRIGHT
        original = _Original(file, header, metadata, orientation)
        return replace(work, original=original)


def _with_metadata(work: _Work) -> _Work:
    """Write what the original says into the result, and make it true there."""
    strip = work.settings.metadata is MetadataChoice.STRIP
    result = work.finished
    metadata = Metadata()
    if work.original is not None:
        metadata, faults = _carried(work.original, result, strip=strip)
        work = work.warned(*faults)
    if not metadata.kinds and not strip:
        return work
    if result.header.type not in REWRITABLE_TYPES:
        return work.warned(f"The metadata was left alone: the result is {result.header.type}")
    target = _new_file(work.files)
    misfits = rewrite(result.file, target, result.header, metadata, strip=strip)
    if misfits.kinds:
        names = ", ".join(kind.upper() for kind in misfits.kinds)
        work = work.warned(f"{result.header.type} has no room for the original's {names}")
    return work.rewritten(target)


def _carried(
    original: _Original, result: FinishedResult, *, strip: bool
) -> tuple[Metadata, list[str]]:
    """Return what the result is to say of itself, and what of the original could not be used."""
    found = original.metadata
    faults: list[str] = []
    width, height = result.header.width, result.header.height
    orientation = exif.UPRIGHT if _is_upright(original, result.header) else original.orientation
    profile = found.icc
    if profile is not None and (
        declares_colour(result.file, result.header.type)
        or not can_take_profile(result.file, result.header.type, profile)
    ):
        profile = None
    if strip:
        needed = orientation != exif.UPRIGHT
        return Metadata(profile, exif.only_orientation(orientation) if needed else None), faults
    described = found.exif
    if described is not None:
        try:
            described = exif.corrected(described, orientation, width, height)
        except MalformedMetadata as error:
            faults.append(f"The original's EXIF is not given back: {error}")
            described = None
    packet = found.xmp and xmp.corrected(found.xmp, orientation, width, height)
    return Metadata(profile, described, packet, found.iptc), faults


def _is_upright(original: _Original, result: ImageHeader) -> bool:
    """Tell by its sides whether a result was turned as the original's orientation says."""
    width, height = original.header.width, original.header.height
    swaps_sides = original.orientation >= 5
    if not swaps_sides or width == height or result.width == result.height:
        return True
    return (result.width > result.height) != (width > height)


def _new_file(files: ExitStack) -> BinaryIO:
    return cast(BinaryIO, files.enter_context(tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES)))


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")
