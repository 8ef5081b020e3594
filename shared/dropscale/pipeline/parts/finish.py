"""Finish: turns the vendor's result into the output, with the original's profile and metadata."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from typing import BinaryIO, Self, cast

from dropscale.coded_warning import CodedWarning, WarningCode
from dropscale.image.carry import (
    STRIPPED,
    Original,
    can_hold,
    carry_metadata,
    is_upright,
    strip_metadata,
)
from dropscale.image.header import ImageHeader, read_header
from dropscale.image.metadata import exif, icc, png
from dropscale.image.metadata.files import (
    REWRITABLE_TYPES,
    can_take_profile,
    describe_misfits,
    misfits_of,
    read_metadata,
    rewrite,
    tell_resolution_in_exif,
    tell_texts_in_exif,
)
from dropscale.image.metadata.model import MalformedMetadata, Metadata
from dropscale.image.pixels import (
    ALPHA_TYPES,
    MAX_DELTA_E,
    QUALITY_BY_TYPE,
    Comparison,
    Conversion,
    ImageFile,
)
from dropscale.image.timed_file import OutOfTime, timed
from dropscale.image.verify import verify_result
from dropscale.ledger.drops import Source
from dropscale.pipeline.parts.ports import (
    FinishedResult,
    ObjectGone,
    ObjectOverwritten,
    Originals,
    Pixels,
    RemainingTime,
)
from dropscale.specs.effective import MetadataChoice, OutputFormat, OutputSettings

_RESERVED_SECONDS = 60.0
"""Time reserved for publishing and the ledger after the pixels were compared."""

_METADATA_SECONDS = 20.0
"""The time limit for reading or writing the parts of one file; photos take thousandths of it."""

_RGB_CHANNELS = 3
_UPRIGHT_BY_DECODING = frozenset({"avif", "heic"})
"""Types whose decoders rotate the pixels themselves; their EXIF orientation must be ignored
(ISO/IEC 23008-12, annex A)."""


@dataclass(frozen=True)
class _Work:
    """A result in progress: how to write it, and what is known so far."""

    settings: OutputSettings
    files: ExitStack
    seconds: RemainingTime
    finished: FinishedResult
    original: Original | None = None
    comparison: Comparison = field(default_factory=Comparison)
    metadata: Metadata | None = None
    """What to write into the result; None: its own metadata is not changed."""
    own: Metadata = field(default_factory=Metadata)
    """The metadata that the result had when it was downloaded."""

    @property
    def strips(self) -> bool:
        return self.settings.metadata is MetadataChoice.STRIP

    @property
    def known_comparison(self) -> Comparison | None:
        """The comparison of the pixels, if those of both images were read."""
        return None if self.comparison.delta_e is None else self.comparison

    @property
    def orientation(self) -> int:
        """The EXIF orientation of the result's pixels."""
        original, header = self.original, self.finished.header
        if original is None or is_upright(original, header, self.known_comparison):
            return exif.UPRIGHT
        return original.orientation

    @property
    def image(self) -> ImageFile:
        return ImageFile(self.finished.file, self.finished.header.type, self.own.icc)

    def timed(self, file: BinaryIO) -> BinaryIO:
        """Return a file for reading or writing its parts, with a time limit."""
        return timed(file, min(self.seconds(), _METADATA_SECONDS))

    def warn(self, code: WarningCode, message: str) -> Self:
        return self.with_warnings(CodedWarning(code, message))

    def with_warnings(self, *warnings: CodedWarning) -> Self:
        finished = replace(self.finished, warnings=(*self.finished.warnings, *warnings))
        return replace(self, finished=finished)

    def with_comparison(self, comparison: Comparison) -> Self:
        finished = replace(self.finished, delta_e=comparison.delta_e)
        return replace(self, finished=finished, comparison=comparison)

    def with_file(self, file: BinaryIO, image_type: str) -> Self:
        """Replace the current file by another, once that is known to be complete."""
        before = self.finished.header
        header = verify_result(file, "The finished result")
        expected = replace(before, type=image_type, alpha=header.alpha)  # which it may be given
        if header != expected:
            raise ValueError(f"it became {header}, not {expected}")
        finished = replace(self.finished, file=file, header=header)
        # The new file states the profile of its pixels.
        return replace(self, finished=finished, own=self.own.without("icc"))


@dataclass(frozen=True)
class FinishResult:
    """A `dropscale.pipeline.parts.ports.Finish`: no step of it can lose the result.

    A step that fails leaves the result unchanged and adds a warning.
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

        def seconds() -> float:
            return remaining() - _RESERVED_SECONDS

        steps: list[tuple[WarningCode, str, Callable[[_Work], _Work]]] = [
            (
                WarningCode.ORIGINAL_UNREAD,
                "The original could not be read, so none of its metadata is restored",
                lambda work: self._read_original(work, source),
            ),
            (WarningCode.NOT_VERIFIED, "The result was not verified", self._verify),
            (
                WarningCode.METADATA_DAMAGED,
                "The original's metadata could not be used",
                _choose_metadata,
            ),
            (WarningCode.FORMAT_KEPT, "The result keeps its format", self._convert),
            (
                WarningCode.METADATA_UNWRITTEN,
                "The metadata was not restored",
                _write_metadata,
            ),
        ]
        work = _Work(settings, files, seconds, FinishedResult(result, header))
        for code, failure, step in steps:
            try:
                work = step(work)
            except Exception as error:  # Whatever it is, the result is paid for.
                work = work.warn(code, f"{failure}: {type(error).__name__}: {error}")
        return _without_kept_bits(work).finished

    def _read_original(self, work: _Work, source: Source) -> _Work:
        if source.sha256 is None:
            return _warn_of_absence(work, "it is stored elsewhere")
        try:
            file = work.files.enter_context(self.originals.open_original(source))
        except ObjectGone:
            return _warn_of_absence(work, "it was deleted")
        except ObjectOverwritten:
            return _warn_of_absence(work, "it was overwritten")
        header = read_header(file, source.key, as_stored=True)
        metadata, orientation = Metadata(), exif.UPRIGHT
        try:
            metadata = read_metadata(work.timed(file), header.type) or metadata
            if header.type not in _UPRIGHT_BY_DECODING:
                orientation = exif.orientation_of(metadata.exif, metadata.xmp)
        except MalformedMetadata as error:
            message = f"The original's metadata is damaged: {error}"
            work = work.warn(WarningCode.METADATA_DAMAGED, message)
        return replace(work, original=Original(file, header, metadata, orientation))

    def _verify(self, work: _Work) -> _Work:
        """Decode the result, and check that it shows what the original does."""
        work = replace(work, own=_own_metadata(work))
        comparison = self._compare(work)
        return work.with_comparison(comparison).with_warnings(*_find_faults(comparison))

    def _convert(self, work: _Work) -> _Work:
        """Write the result again if it must have another type, or lacks its alpha."""
        to = _choose_conversion(work)
        if to is None:
            return work
        target = _open_temporary_file(work.files)
        original, turned = work.original, exif.UPRIGHT
        if original is not None and work.orientation == exif.UPRIGHT:
            turned = original.orientation
        chosen = work.metadata.icc if work.metadata else None
        self.pixels.convert(
            replace(work.image, profile=chosen or work.own.icc),
            to,
            target,
            alpha_of=_image_of(original) if _needs_alpha(work, to.type) else None,
            orientation=turned,
            seconds=work.seconds(),
        )
        converted = work.with_file(target, to.type)
        comparison = self._compare(converted)
        doubts = [*_find_faults(comparison)]
        if len(doubts) > len([*_find_faults(work.comparison)]):
            raise ValueError(doubts[-1].message)
        converted = converted.with_comparison(comparison)
        if to.type in REWRITABLE_TYPES:
            return replace(converted, metadata=_told(converted))
        told = work.metadata or Metadata()
        misfits = describe_misfits(to.type, misfits_of(to.type, told))
        return replace(converted.with_warnings(*misfits), metadata=None)

    def _compare(self, work: _Work) -> Comparison:
        original, result = work.original, work.finished
        profile = original.metadata.icc if original else None
        return self.pixels.compare(
            work.image,
            _image_of(original),
            orientation=original.orientation if original else exif.UPRIGHT,
            profile_can_hold=profile is None
            or can_hold(profile, work.timed(result.file), result.header),
            seconds=work.seconds(),
        )


def _warn_of_absence(work: _Work, why: str) -> _Work:
    message = f"No metadata of the original is restored: {why}"
    return work.warn(WarningCode.ORIGINAL_UNREAD, message)


def _without_kept_bits(work: _Work) -> _Work:
    """Remove the warning about lost bits, if the result has them."""
    result = work.finished
    with suppress(MalformedMetadata, OutOfTime, OSError):
        if result.header.type == "png" and png.bits(work.timed(result.file)) > 8:
            told = tuple(one for one in result.warnings if one.code != WarningCode.BITS_LOST)
            return replace(work, finished=replace(result, warnings=told))
    return work


def _find_faults(comparison: Comparison) -> Iterator[CodedWarning]:
    if comparison.fault is not None:
        message = f"The result does not decode: {comparison.fault}"
        yield CodedWarning(WarningCode.NOT_DECODED, message)
    if comparison.is_blank:
        message = "The result is blank: all of it has one colour"
        yield CodedWarning(WarningCode.BLANK, message)
    if comparison.delta_e is not None and comparison.delta_e > MAX_DELTA_E:
        yield CodedWarning(
            WarningCode.COLOURS_DIFFER,
            f"The result's colours are not the original's: they differ by {comparison.delta_e:.1f}"
            f" on average (CIEDE2000), more than {MAX_DELTA_E:.1f}",
        )


def _choose_metadata(work: _Work) -> _Work:
    """Decide which metadata the result gets."""
    result = work.finished
    metadata = Metadata(resolution=work.own.resolution)
    faults: list[CodedWarning] = []
    if work.original is not None:
        metadata, faults = carry_metadata(
            work.original, work.timed(result.file), result.header, work.known_comparison
        )
    if work.strips:
        metadata = strip_metadata(metadata, work.orientation)
        faults = [fault for fault in faults if fault.code not in STRIPPED]
    has_resolution = metadata.resolution == work.own.resolution
    wants_none = has_resolution and not metadata.kinds and not work.strips
    metadata_or_none = None if wants_none else metadata
    return replace(work.with_warnings(*faults), metadata=metadata_or_none)


def _own_metadata(work: _Work) -> Metadata:
    """Return a result's own metadata, if it can be read."""
    with suppress(MalformedMetadata):
        result = work.finished
        return read_metadata(work.timed(result.file), result.header.type) or Metadata()
    return Metadata()


def _told(work: _Work) -> Metadata:
    """Return all metadata of a result whose pixels are written again, with their profile."""
    own = work.own.without("icc")
    if work.metadata is None:
        return own
    told = work.metadata if work.strips else work.metadata.or_else(own)
    result = work.finished
    takes_profile = told.icc is None or can_take_profile(
        work.timed(result.file), result.header.type, told.icc
    )
    return told if takes_profile else told.without("icc")


def _choose_conversion(work: _Work) -> Conversion | None:
    """Return how to write the result again; None: it can stay as it is."""
    settings, before = work.settings, work.image.type
    image_type = settings.format.value
    if settings.format is OutputFormat.KEEP:
        takes_alpha = before in ALPHA_TYPES or not work.comparison.lost_alpha
        image_type = before if takes_alpha else "png"
    has_quality = image_type in QUALITY_BY_TYPE and settings.format is not OutputFormat.KEEP
    is_as_wanted = image_type == before and not (has_quality and settings.quality is not None)
    if is_as_wanted and not _needs_alpha(work, image_type):
        return None
    metadata = Metadata()
    if image_type not in REWRITABLE_TYPES:
        metadata = _told(work)
        if metadata.icc is not None and icc.channels_of(metadata.icc) != _RGB_CHANNELS:
            metadata = metadata.without("icc")  # Its pixels become sRGB.
        if not work.strips:
            metadata = tell_resolution_in_exif(tell_texts_in_exif(image_type, metadata))
    if image_type not in REWRITABLE_TYPES and work.orientation != exif.UPRIGHT:
        raise ValueError(f"its pixels are not upright, and {image_type} has no orientation")
    return Conversion(image_type, settings.quality, metadata.without("iptc", "texts"))


def _write_metadata(work: _Work) -> _Work:
    """Write the metadata into the result."""
    metadata, result = work.metadata, work.finished
    if metadata is None:
        return work
    if result.header.type not in REWRITABLE_TYPES:
        message = f"The metadata was not changed: the result is {result.header.type}"
        return work.warn(WarningCode.METADATA_UNWRITTEN, message)
    target = _open_temporary_file(work.files)
    size = result.header.width, result.header.height
    source = ImageFile(work.timed(result.file), result.header.type)
    misfits = rewrite(source, target, size, metadata, strip=work.strips)
    written = work.with_file(target, result.header.type)
    return written.with_warnings(*describe_misfits(result.header.type, misfits))


def _needs_alpha(work: _Work, image_type: str) -> bool:
    return work.comparison.lost_alpha and image_type in ALPHA_TYPES


def _image_of(original: Original | None) -> ImageFile | None:
    if original is None:
        return None
    return ImageFile(original.file, original.header.type, original.metadata.icc)


def _open_temporary_file(files: ExitStack) -> BinaryIO:
    return cast(BinaryIO, files.enter_context(tempfile.TemporaryFile()))
