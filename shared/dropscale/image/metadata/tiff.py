"""Metadata in TIFF files: fields of their first directory (TIFF 6.0, and its supplements)."""

from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO

from dropscale.coded_warning import CodedWarning, WarningCode
from dropscale.image.metadata.exif import exif_of_tiff, orientation_by_xmp, resolution_of
from dropscale.image.metadata.ifd import TiffFile
from dropscale.image.metadata.losses import lost
from dropscale.image.metadata.model import MalformedMetadata, Metadata, PixelLayout

_WIDTH, _LENGTH, _ORIENTATION = 0x0100, 0x0101, 0x0112
_SUBFILE, _REDUCED, _BITS, _C2PA = 0x00FE, 1, 0x0102, 0xCD41
_EXTRA_SAMPLES, _ALPHA_SAMPLES = 0x0152, {1, 2}
_MOST_BITS = 8
_MOST_PAGES = 50
_XMP, _IPTC, _ICC = 0x02BC, 0x83BB, 0x8773


def layout(file: BinaryIO) -> PixelLayout:
    """Return the layout of the pixels of a TIFF file's first image.

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
        orientation = orientation_by_xmp(tiff.value(entries[_XMP]) if _XMP in entries else None)
    alpha = tiff.number(entries.get(_EXTRA_SAMPLES)) in _ALPHA_SAMPLES
    return PixelLayout(width, height, orientation, alpha)


def read(file: BinaryIO) -> Metadata:
    """Return the metadata of a TIFF file.

    Raises:
        MalformedMetadata: it is damaged.
    """
    tiff = TiffFile(file)
    entries = tiff.directory(tiff.offset(tiff.first_at)).entries
    values = {tag: tiff.value(entries[tag]) for tag in (_XMP, _IPTC, _ICC) if tag in entries}
    exif = exif_of_tiff(file)
    faults = _losses(tiff)
    return Metadata(
        icc=values.get(_ICC),
        exif=exif,
        xmp=values.get(_XMP),
        iptc=values.get(_IPTC),
        resolution=resolution_of(exif),
        faults=tuple(faults),
    )


def _losses(tiff: TiffFile) -> Iterator[CodedWarning]:
    first = tiff.directory(tiff.offset(tiff.first_at))
    bits = first.entries.get(_BITS)
    if bits is not None and max(tiff.value(bits), default=0) > _MOST_BITS:
        yield lost(WarningCode.BITS_LOST)
    if _C2PA in first.entries:
        yield lost(WarningCode.CREDENTIALS_LOST)
    with suppress(MalformedMetadata):
        page = first
        for _ in range(_MOST_PAGES):
            at = tiff.offset(page.next_at)
            if not at:
                return
            page = tiff.directory(at)
            if not (tiff.number(page.entries.get(_SUBFILE)) or 0) & _REDUCED:
                yield lost(WarningCode.PICTURES_LOST)
                return
