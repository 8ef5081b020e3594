"""Decides which metadata of an original its result gets, and corrects it for the result."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, BinaryIO

from dropscale.coded_warning import CodedWarning, WarningCode
from dropscale.image.header import ImageHeader
from dropscale.image.metadata import exif, xmp
from dropscale.image.metadata.files import (
    can_take_profile,
    declares_colour,
    describe_misfits,
    misfits_of,
    read_metadata,
)
from dropscale.image.metadata.model import MalformedMetadata, Metadata
from dropscale.image.pixels import Comparison
from dropscale.image.timed_file import OutOfTime, timed

STRIPPED = frozenset(
    {WarningCode.METADATA_DAMAGED, WarningCode.TEXTS_LOST, WarningCode.CREDENTIALS_LOST}
)
"""Warnings that do not matter if metadata is stripped."""

_MOST_SECONDS = 10.0


@dataclass(frozen=True)
class Original:
    """The image that was upscaled; `header` has the size of its pixels as they are stored."""

    file: BinaryIO
    header: ImageHeader
    metadata: Metadata
    orientation: int


def is_upright(original: Original, result: ImageHeader, measured: Comparison | None) -> bool:
    """Whether a result was rotated by its original's orientation.

    If the pixels were not compared, the sides decide; if these cannot, it counts as rotated.
    """
    if measured is not None:
        return measured.is_upright
    width, height = original.header.width, original.header.height
    swaps_sides = original.orientation >= 5
    if not swaps_sides or width == height or result.width == result.height:
        return True
    return (result.width > result.height) != (width > height)


def can_hold(profile: bytes, file: BinaryIO, header: ImageHeader) -> bool:
    """Whether a result does not declare its colours, and has the channels of a profile."""
    return not declares_colour(file, header.type) and can_take_profile(file, header.type, profile)


def carry_metadata(
    original: Original, file: BinaryIO, header: ImageHeader, measured: Comparison | None
) -> tuple[Metadata, list[CodedWarning]]:
    """Return the metadata for a result, and warnings about that of its original not used."""
    upright = is_upright(original, header, measured)
    place = (exif.UPRIGHT if upright else original.orientation, header.width, header.height)
    found, damages = _made_true(original.metadata, *place)
    faults = [*found.faults, *damages]
    profile = found.icc
    if profile is not None and not (
        can_hold(profile, file, header) and (measured is None or measured.keeps_profile)
    ):
        profile = None
    if profile is not None and measured is None:
        message = (
            "The original's colour profile is restored without a test: there are no pixels to "
            "compare"
        )
        faults.append(CodedWarning(WarningCode.PROFILE_UNTESTED, message))
    return replace(found, icc=profile, faults=()), faults


def _made_true(
    found: Metadata, orientation: int, width: int, height: int
) -> tuple[Metadata, list[CodedWarning]]:
    """Return metadata for a file of another orientation and size, and warnings about damage."""
    faults: list[CodedWarning] = []
    for kind, adapt in (("exif", exif.adapt), ("xmp", xmp.adapt)):
        packet: bytes | None = getattr(found, kind)
        made: dict[str, Any] = {kind: None}
        try:
            if packet is not None:
                made[kind] = adapt(packet, orientation, width, height)
        except MalformedMetadata as error:
            message = f"The original's {kind.upper()} is not restored: {error}"
            faults.append(CodedWarning(WarningCode.METADATA_DAMAGED, message))
        found = replace(found, **made)
    return found, faults


def foresee_losses(
    file: BinaryIO, image_type: str, formats: Collection[str], *, strip: bool
) -> list[CodedWarning]:
    """Return warnings about what a result will lack, as far as its original's header shows.

    `formats` are the requested types; nothing is predicted for others.
    """
    try:
        found = read_metadata(timed(file, _MOST_SECONDS), image_type) or Metadata()
    except (MalformedMetadata, OutOfTime) as error:
        message = f"The original's metadata is damaged: {error}"
        return [CodedWarning(WarningCode.METADATA_DAMAGED, message)]
    if strip:
        return [fault for fault in found.faults if fault.code not in STRIPPED]
    usable, damages = _made_true(found, exif.UPRIGHT, 1, 1)
    misfits = (describe_misfits(each, misfits_of(each, usable)) for each in dict.fromkeys(formats))
    return [*found.faults, *damages, *chain.from_iterable(misfits)]


def strip_metadata(metadata: Metadata, orientation: int) -> Metadata:
    """Return only the metadata that affects how the pixels look."""
    needed = orientation != exif.UPRIGHT
    place = exif.only_orientation(orientation) if needed else None
    return Metadata(metadata.icc, place, resolution=metadata.resolution)
