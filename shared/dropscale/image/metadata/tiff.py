"""Metadata in TIFF files: fields of their first directory (TIFF 6.0, and its supplements)."""

from typing import BinaryIO

from dropscale.image.metadata.exif import UPRIGHT, exif_of_tiff, resolution_of
from dropscale.image.metadata.ifd import TiffFile
from dropscale.image.metadata.model import MalformedMetadata, Metadata, PixelLayout

_WIDTH, _LENGTH, _ORIENTATION = 0x0100, 0x0101, 0x0112
_XMP, _IPTC, _ICC = 0x02BC, 0x83BB, 0x8773


def layout(file: BinaryIO) -> PixelLayout:
    """Return how the pixels of a TIFF file's first picture lie.

    Raises:
        MalformedMetadata: it is damaged.
    """
    tiff = TiffFile(file)
    entries = tiff.directory(tiff.offset(tiff.first_at)).entries
    width, height, orientation = (
        tiff.number(entries.get(tag)) for tag in (_WIDTH, _LENGTH, _ORIENTATION)
    )
    if width is None or height is None:
        raise MalformedMetadata("a TIFF file without a size")
    if orientation is None or not 1 <= orientation <= 8:
        orientation = UPRIGHT
    return PixelLayout(width, height, orientation)


def read(file: BinaryIO) -> Metadata:
    """Return the metadata of a TIFF file.

    Raises:
        MalformedMetadata: it is damaged.
    """
    tiff = TiffFile(file)
    entries = tiff.directory(tiff.offset(tiff.first_at)).entries
    values = {tag: tiff.value(entries[tag]) for tag in (_XMP, _IPTC, _ICC) if tag in entries}
    exif = exif_of_tiff(file)
    return Metadata(
        icc=values.get(_ICC),
        exif=exif,
        xmp=values.get(_XMP),
        iptc=values.get(_IPTC),
        resolution=resolution_of(exif),
    )
