"""Reads and rewrites the metadata of image files without decoding them.

Types are those of `upscaler.EXTENSION_BY_TYPE`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import BinaryIO

from dropscale.coded_warning import CodedWarning, WarningCode
from dropscale.image.metadata import exif, heif, icc, jpeg, png, tiff, webp
from dropscale.image.metadata.losses import lost_by_xmp
from dropscale.image.metadata.model import MalformedMetadata, Metadata
from dropscale.image.pixels import ImageFile

_READERS: Mapping[str, Callable[[BinaryIO], Metadata]] = MappingProxyType(
    {
        "avif": heif.read,
        "heic": heif.read,
        "jpeg": jpeg.read,
        "png": png.read,
        "tiff": tiff.read,
        "webp": webp.read,
    }
)
_MOST_NAMED = 8
REWRITABLE_TYPES = frozenset({"jpeg", "png", "webp"})


def read_metadata(file: BinaryIO, image_type: str) -> Metadata | None:
    """Return a file's metadata; None: its type is not supported here.

    Raises:
        MalformedMetadata: the file is damaged.
    """
    reader = _READERS.get(image_type)
    found = reader(file) if reader else None
    if found is None:
        return None
    if found.xmp is not None:
        told = (*found.faults, *lost_by_xmp(found.xmp))
        found = replace(found, faults=tuple(dict.fromkeys(told)))
    if found.icc is None:
        return found
    try:
        icc.require_whole(found.icc)
    except MalformedMetadata as error:
        return replace(found.without("icc"), faults=(*found.faults, icc.fault(error)))
    return found


def rewrite(
    image: ImageFile, target: BinaryIO, size: tuple[int, int], metadata: Metadata, *, strip: bool
) -> Metadata:
    """Copy an image file of a rewritable type and of `size` (width, height), with other metadata.

    Its own metadata of kinds that `metadata` lacks stays; with `strip`, only its colour profile
    does. Its resolution becomes that of `metadata`, or is removed. Returns the metadata that its
    type cannot hold.

    Raises:
        MalformedMetadata: the file is damaged.
    """
    if not strip:
        own = (read_metadata(image.file, image.type) or Metadata()).exif
        metadata = tell_texts_in_exif(image.type, metadata, own)
        if not _has_field_for_resolution(image):
            metadata = tell_resolution_in_exif(metadata, own)
    if image.type == "webp":
        return webp.write(image.file, target, metadata, size, strip=strip)
    write = jpeg.write if image.type == "jpeg" else png.write
    return write(image.file, target, metadata, strip=strip)


def tell_resolution_in_exif(metadata: Metadata, own: bytes | None = None) -> Metadata:
    """Return metadata with the resolution in EXIF, for a file without a field for it."""
    if metadata.resolution is None:
        return metadata
    told = exif.with_resolution(metadata.exif or own, metadata.resolution)
    return replace(metadata, exif=told)


def tell_texts_in_exif(image_type: str, metadata: Metadata, own: bytes | None = None) -> Metadata:
    """Return metadata with its texts in EXIF, for a type that cannot hold texts."""
    if image_type == "png" or metadata.texts is None:
        return metadata
    moved = metadata.texts
    if image_type == "jpeg":
        moved = jpeg.texts_without_room(metadata) or ()
    kept = tuple(one for one in metadata.texts if one not in moved)
    try:
        told, left = exif.with_texts(metadata.exif or own, moved)
    except MalformedMetadata:
        return metadata
    told = told if left != moved else metadata.exif
    return replace(metadata, exif=told, texts=(*kept, *left) or None)


def _has_field_for_resolution(image: ImageFile) -> bool:
    if image.type == "jpeg":
        return jpeg.has_field_for_resolution(image.file)
    return image.type == "png"


def misfits_of(image_type: str, metadata: Metadata) -> Metadata:
    """Return the metadata that a type cannot hold; empty for types that are not written here."""
    metadata = tell_texts_in_exif(image_type, metadata)
    if image_type == "jpeg":
        return Metadata(texts=jpeg.texts_without_room(metadata))
    if image_type in {"webp", "avif"}:
        return Metadata(iptc=metadata.iptc, texts=metadata.texts)
    return Metadata()


def describe_misfits(image_type: str, misfits: Metadata) -> Iterator[CodedWarning]:
    """Yield warnings about metadata that a type cannot hold."""
    packets = [kind.upper() for kind in misfits.kinds if kind != "texts"]
    if packets:
        message = f"{image_type} cannot hold the original's {', '.join(packets)}"
        yield CodedWarning(WarningCode.NO_ROOM, message)
    if misfits.texts:
        names = ", ".join(dict.fromkeys(one.keyword for one in misfits.texts[:_MOST_NAMED]))
        message = f"{image_type} cannot hold the original's texts: {names}"
        yield CodedWarning(WarningCode.TEXTS_LOST, message)


def can_take_profile(file: BinaryIO, image_type: str, profile: bytes) -> bool:
    """Whether a profile can apply to a file's pixels: both have the same number of channels."""
    count = {"jpeg": jpeg.channels, "png": png.channels}.get(image_type, lambda _: 3)
    return icc.channels_of(profile) == count(file)


def declares_colour(file: BinaryIO, image_type: str) -> bool:
    """Whether a file declares its colours: by a profile, or by PNG's other means."""
    if image_type == "png" and png.declares_colour(file):
        return True
    found = read_metadata(file, image_type)
    return found is not None and found.icc is not None
