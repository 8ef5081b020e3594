"""Recognises image files that the upscaler does not accept, by their first bytes; and what to do.

Camera raw files begin like TIFF files, and many have a small preview where a photo has its pixels:
mistaken for a photo, the preview would be paid for.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import BinaryIO, NamedTuple

from dropscale.image.metadata.ifd import TiffFile
from dropscale.image.metadata.model import MalformedMetadata

HEAD_BYTES = 64 * 1024
"""How much of a file's beginning is read to find its type; it includes the first directory of many
raw files."""

_TEXT_BYTES = 4096
"""How much of a drawing's beginning is searched for its first element."""

_DEVELOP = "Develop it in a raw editor, and export it as tiff, png or jpeg."
_EXPORT = "Export it as png or jpeg."


class UnsupportedType(NamedTuple):
    """A type of file: its name in a sentence, and what to do about it."""

    name: str
    fix: str

    @property
    def is_raw(self) -> bool:
        """Whether it is camera raw data, many kinds of which look like a TIFF file."""
        return self.fix == _DEVELOP


_BIGTIFF = UnsupportedType(
    "a BigTIFF file", "Save it as an ordinary tiff (not BigTIFF), or export it as png."
)
_GIF = UnsupportedType("a GIF file", "Export it as png; of an animation, the picture you want.")
_JXL = UnsupportedType("a JPEG XL file", _EXPORT)
_PHOTOSHOP = UnsupportedType("a Photoshop document", "Export it as png or tiff.")
_SVG = UnsupportedType(
    "an SVG drawing",
    "It needs no upscaling: export it as png, in the size you want.",
)
_PDF = UnsupportedType("a PDF document", "Export the picture in it as png or jpeg.")
_VIDEO = UnsupportedType("a video", "Export the picture you want as png or jpeg.")


def _raw(name: str) -> UnsupportedType:
    return UnsupportedType(f"a camera raw file ({name})", _DEVELOP)


_ORF, _RAF, _RW2 = map(_raw, ("ORF", "RAF", "RW2"))

_SIGNATURES = (
    (b"II+\0", _BIGTIFF),
    (b"MM\0+", _BIGTIFF),
    (b"GIF87a", _GIF),
    (b"GIF89a", _GIF),
    (b"8BPS", _PHOTOSHOP),
    (b"\xff\x0a", _JXL),
    (b"\0\0\0\x0cJXL \r\n\x87\n", _JXL),
    (b"%PDF-", _PDF),
    (b"FUJIFILMCCD-RAW", _RAF),
    (b"IIU\0", _RW2),
    (b"IIRO", _ORF),
    (b"IIRS", _ORF),
    (b"MMOR", _ORF),
)
_TIFF_SIGNATURES = (b"II*\0", b"MM\0*")
_CR2_MARK = b"CR"
_BRANDS = (
    (b"crx ", _raw("CR3")),
    (b"qt  ", _VIDEO),
    (b"isom", _VIDEO),
    (b"iso2", _VIDEO),
    (b"mp41", _VIDEO),
    (b"mp42", _VIDEO),
)
# After a byte order mark: declarations, comments and blanks, then the drawing.
_SVG_BEGINS = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml|<!--|<!DOCTYPE\s+svg|<svg)", re.IGNORECASE
)
_SVG_ELEMENT = re.compile(rb"<(?:\w{1,20}:)?svg[\s>]", re.IGNORECASE)

_SUBFILE_TYPE, _MAKE, _SUBDIRECTORIES, _DNG_VERSION = 0x00FE, 0x010F, 0x014A, 0xC612
_REDUCED = 1
_RAW_BY_MAKE = {"nikon": "NEF", "sony": "ARW", "pentax": "PEF", "samsung": "SRW"}


_BY_EXTENSION: Mapping[str, UnsupportedType] = MappingProxyType(
    {"gif": _GIF, "jxl": _JXL, "psb": _PHOTOSHOP, "psd": _PHOTOSHOP, "svg": _SVG}
    | {"btf": _BIGTIFF, "tf8": _BIGTIFF}
)


def type_by_extension(extension: str) -> UnsupportedType:
    """Return the type of one of `upscaler.UNSUPPORTED_EXTENSIONS`."""
    return _BY_EXTENSION.get(extension) or _raw(extension.upper())


def unsupported_type(file: BinaryIO) -> UnsupportedType | None:
    """Return the type of a file, if it is a known one that cannot be upscaled; None: it is not."""
    file.seek(0)
    head = file.read(_TEXT_BYTES)
    for signature, found in _SIGNATURES:
        if head.startswith(signature):
            return found
    if head[4:8] == b"ftyp":
        return next((found for brand, found in _BRANDS if head[8:12] == brand), None)
    if head.startswith(_TIFF_SIGNATURES):
        return _raw("CR2") if head[8:10] == _CR2_MARK else _raw_in_tiff(file)
    is_svg = _SVG_BEGINS.match(head) and _SVG_ELEMENT.search(head)
    return _SVG if is_svg else None


def _raw_in_tiff(file: BinaryIO) -> UnsupportedType | None:
    """Return the raw type of a TIFF file whose first image is a preview; None: it is not raw."""
    try:
        tiff = TiffFile(file)
        entries = tiff.directory(tiff.offset(tiff.first_at)).entries
        if _DNG_VERSION in entries:
            return _raw("DNG")
        is_preview = (tiff.number(entries.get(_SUBFILE_TYPE)) or 0) & _REDUCED
        if not is_preview or _SUBDIRECTORIES not in entries:
            return None
        make = tiff.value(entries[_MAKE]) if _MAKE in entries else b""
    except MalformedMetadata:
        return None
    first = make.decode(errors="replace").lower().partition(" ")[0].strip("\0")
    return _raw(_RAW_BY_MAKE.get(first, "TIFF"))
