"""Metadata in TIFF files: fields of their first directory (TIFF 6.0, and its supplements)."""

from typing import BinaryIO

from dropscale.image.metadata.exif import exif_of_tiff
from dropscale.image.metadata.ifd import TiffFile
from dropscale.image.metadata.model import Metadata

_XMP, _IPTC, _ICC = 0x02BC, 0x83BB, 0x8773


def read(file: BinaryIO) -> Metadata:
    """Return the metadata of a TIFF file.

    Raises:
        MalformedMetadata: it is damaged.
    """
    tiff = TiffFile(file)
    entries = tiff.directory(tiff.offset(tiff.first_at)).entries
    values = {tag: tiff.value(entries[tag]) for tag in (_XMP, _IPTC, _ICC) if tag in entries}
    return Metadata(
        icc=values.get(_ICC),
        exif=exif_of_tiff(file),
        xmp=values.get(_XMP),
        iptc=values.get(_IPTC),
    )
