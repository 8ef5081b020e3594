"""Finish: from what the vendor delivers to what is published, with what the original says."""

import tempfile
from collections.abc import Callable, Iterator
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
from dropscale.image.pixels import DECODABLE_TYPES, MAX_DELTA_E, Comparison, ImageFile
from dropscale.image.verify import verify_result
from dropscale.ledger.records import Source
from dropscale.pipeline.ports import (
    FinishedResult,
    ObjectGone,
    ObjectOverwritten,
    Originals,
    Pixels,
    RemainingTime,
)
from dropscale.spec.effective import MetadataChoice, OutputFormat, OutputSettings

_RESERVED_SECONDS = 60.0
"""What publishing and bookkeeping may take after the pixels were looked at."""

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
    comparison: Comparison | None = None

    @property
    def measured(self) -> Comparison | None:
        """What the pixels tell, if those of both were seen."""
        if self.comparison is None or self.comparison.delta_e is None:
            return None
        return self.comparison

    def warned(self, *warnings: str) -> Self:
        return self._with(warnings=(*self.finished.warnings, *warnings))

    def rewritten(self, file: BinaryIO) -> Self:
        """Take another file in place of the present one, once it is known to be whole."""
        header = verify_result(file, "The finished result")
        before = self.finished.header
        if (header.width, header.height) != (before.width, before.height):
            raise ValueError(f"it came out as {header.width} x {header.height} pixels")
        return self._with(file=file, header=header)

    def measured_as(self, delta_e: float | None) -> Self:
        return self._with(delta_e=delta_e)

    def _with(self, **changes: object) -> Self:
        return replace(self, finished=replace(self.finished, **changes))  # type: ignore[arg-type]


@dataclass(frozen=True)
class FinishResult:
    """A `dropscale.pipeline.ports.Finish`: no step of it can cost the result.

    A step that fails leaves the result as it was, and a warning.
    """

    originals: Originals
    pixels: Pixels

    def __call__(
        self,
        result: BinaryIO,
        header: ImageHeader,
        source: Source,
        settings: OutputSettings,
        files: ExitStack,
        remaining: RemainingTime,
    ) -> FinishedResult:
        """See `Finish.__call__`."""
        work = _Work(settings, FinishedResult(result, header), files)
        if settings.format not in {OutputFormat.KEEP, header.type}:
            work = work.warned(f"The result is {header.type}: nothing writes {settings.format} yet")
        steps: dict[str, Callable[[_Work], _Work]] = {
            "The original could not be read, so nothing of it is given back": (
                lambda work: self._with_original(work, source)
            ),
            "The result was not verified": lambda work: self._verified(work, remaining),
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

    def _verified(self, work: _Work, remaining: RemainingTime) -> _Work:
        """Decode the result, and see whether it shows what the original does."""
        result, original = work.finished, work.original
        if result.header.type not in DECODABLE_TYPES:
            return work.warned(f"The result was not verified: {result.header.type} is not decoded")
        beside, can_hold = None, False
        if original is not None:
            beside = ImageFile(original.file, original.header.type)
            profile = original.metadata.icc
            can_hold = profile is None or _can_hold(profile, result)
        comparison = self.pixels.compare(
            ImageFile(result.file, result.header.type),
            beside,
            orientation=original.orientation if original else exif.UPRIGHT,
            profile_can_hold=can_hold,
            seconds=remaining() - _RESERVED_SECONDS,
        )
        if original is not None and comparison.metadata is not None:
            original = replace(original, metadata=comparison.metadata)
        work = work.measured_as(comparison.delta_e).warned(*_suspicions(comparison))
        return replace(work, original=original, comparison=comparison)


def _suspicions(comparison: Comparison) -> Iterator[str]:
    if comparison.fault is not None:
        yield f"The result does not decode: {comparison.fault}"
    if comparison.is_blank:
        yield "The result is blank: all of it is of one colour"
    if comparison.delta_e is not None and comparison.delta_e > MAX_DELTA_E:
        yield (
            f"The result's colours are not the original's: they differ by {comparison.delta_e:.1f}"
            f" on average (CIEDE2000), more than {MAX_DELTA_E:.1f}"
        )


def _with_metadata(work: _Work) -> _Work:
    """Write what the original says into the result, and make it true there."""
    strip = work.settings.metadata is MetadataChoice.STRIP
    result = work.finished
    metadata = Metadata()
    if work.original is not None:
        metadata, faults = _carried(work.original, result, work.measured, strip=strip)
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
    original: _Original, result: FinishedResult, measured: Comparison | None, *, strip: bool
) -> tuple[Metadata, list[str]]:
    """Return what the result is to say of itself, and what of the original could not be used."""
    found = original.metadata
    faults: list[str] = []
    width, height = result.header.width, result.header.height
    is_upright = measured.is_upright if measured else _is_upright(original, result.header)
    orientation = exif.UPRIGHT if is_upright else original.orientation
    profile = found.icc
    if profile is not None and not _holds(profile, result, measured):
        profile = None
    if profile is not None and measured is None:
        faults.append("The original's colour profile is given back untested: no pixels to compare")
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


def _holds(profile: bytes, result: FinishedResult, measured: Comparison | None) -> bool:
    """Tell whether the original's profile is that of the result's pixels, too."""
    return _can_hold(profile, result) and (measured is None or measured.keeps_profile)


def _can_hold(profile: bytes, result: FinishedResult) -> bool:
    """Tell whether a result says nothing of its own colours, and has channels for a profile."""
    if declares_colour(result.file, result.header.type):
        return False
    return can_take_profile(result.file, result.header.type, profile)


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
