"""Corrects EXIF for another file than the one it was written for.

It is edited in place, because maker notes contain offsets into the whole of it. Tags: Exif 2.32
(CIPA DC-008), section 4.6.
"""

import io
import struct
from collections.abc import Iterable, Mapping
from contextlib import suppress
from fractions import Fraction
from types import MappingProxyType
from typing import BinaryIO, NamedTuple

from dropscale.image.metadata import xmp
from dropscale.image.metadata.ifd import LONG, RATIONAL, SHORT, Entry, TiffFile
from dropscale.image.metadata.model import MalformedMetadata, Resolution, Text
from dropscale.image.metadata.streams import MAX_BLOB_BYTES, size_of

UPRIGHT = 1
"""The orientation of pixels that are stored upright."""

_BYTE, _ASCII, _UNDEFINED = 1, 2, 7
_DESCRIPTION, _SOFTWARE, _ARTIST, _COPYRIGHT = 0x010E, 0x0131, 0x013B, 0x8298
_XP_TITLE, _USER_COMMENT = 0x9C9B, 0x9286
_TAG_BY_KEYWORD = MappingProxyType(
    {
        "Title": _XP_TITLE,
        "Description": _DESCRIPTION,
        "Author": _ARTIST,
        "Copyright": _COPYRIGHT,
        "Software": _SOFTWARE,
        "parameters": _USER_COMMENT,
        "Comment": _USER_COMMENT,
    }
)
"""The EXIF tags for PNG texts in types that have no texts, by keyword."""

_TYPE_BY_TAG = MappingProxyType({_XP_TITLE: _BYTE, _USER_COMMENT: _UNDEFINED})
_MOST_WITH_TEXTS = 60_000
"""The most bytes of EXIF with texts: a JPEG's has to fit into one segment."""

_EMPTY = b"MM\0*" + struct.pack(">IHI", 8, 0, 0)
_IMAGE_WIDTH, _IMAGE_LENGTH, _ORIENTATION = 0x0100, 0x0101, 0x0112
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 0x011A, 0x011B, 0x0128
_INCH = 2
_INCHES_PER_UNIT = MappingProxyType({None: 1.0, _INCH: 1.0, 3: 2.54})
"""By ResolutionUnit, for inches and centimetres; inches if it is missing."""

_PIXEL_X_DIMENSION, _PIXEL_Y_DIMENSION = 0xA002, 0xA003
_EXIF_DIRECTORY, _GPS_DIRECTORY = 0x8769, 0x8825
_THUMBNAIL_AT, _THUMBNAIL_SIZE = 0x0201, 0x0202
_HOLDS_OFFSETS = frozenset({0x927C, 0xA005})
"""Maker notes and the interoperability directory: unusable at another offset."""

_DESCRIPTIVE_TAGS = frozenset(
    {0x010D, 0x010E, 0x010F, 0x0110, _ORIENTATION, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132}
    | {0x013B, 0x013C, 0x4746, 0x4749, 0x8298, 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F}
)
"""Tags in a TIFF file's first directory that are about the photo, not the storage of its pixels."""


def orientation_of(exif: bytes | None, packet: bytes | None) -> int:
    """Return the orientation, 1 to 8: by EXIF, or, if that has no readable one, by XMP."""
    told = None
    with suppress(MalformedMetadata):
        if exif is not None:
            tiff = TiffFile(io.BytesIO(exif))
            first = tiff.directory(tiff.offset(tiff.first_at)).entries
            told = tiff.number(first.get(_ORIENTATION))
    return told if told is not None and 1 <= told <= 8 else orientation_by_xmp(packet)


def orientation_by_xmp(packet: bytes | None) -> int:
    """Return the orientation by XMP alone; if there is none, that of upright pixels."""
    return (xmp.orientation_of(packet) if packet is not None else None) or UPRIGHT


def resolution_of(exif: bytes | None) -> Resolution | None:
    """Return the resolution in EXIF; None: it has none, or cannot be read."""
    if exif is None:
        return None
    with suppress(MalformedMetadata):
        tiff = TiffFile(io.BytesIO(exif))
        first = tiff.directory(tiff.offset(tiff.first_at)).entries
        scale = _INCHES_PER_UNIT.get(tiff.number(first.get(_RESOLUTION_UNIT)))
        x, y = (tiff.fraction(first.get(tag)) for tag in (_X_RESOLUTION, _Y_RESOLUTION))
        if x and y and scale:
            return Resolution(x * scale, y * scale)
    return None


def with_resolution(exif: bytes | None, resolution: Resolution) -> bytes:
    """Return EXIF (new if there is none) with a resolution; one that it already has stays.

    Raises:
        MalformedMetadata: it is not EXIF, or is damaged.
    """
    data = exif or _EMPTY
    tiff = TiffFile(io.BytesIO(data))
    if _X_RESOLUTION in tiff.directory(tiff.offset(tiff.first_at)).entries:
        return data
    added = {_RESOLUTION_UNIT: _Field(SHORT, 1, struct.pack(f"{tiff.order}H", _INCH))}
    for tag, value in zip((_X_RESOLUTION, _Y_RESOLUTION), resolution, strict=True):
        exact = Fraction(value).limit_denominator(10_000)
        packed = struct.pack(f"{tiff.order}II", exact.numerator, exact.denominator)
        added[tag] = _Field(RATIONAL, 1, packed)
    return _with_fields(data, added, {})


def with_texts(exif: bytes | None, texts: Iterable[Text]) -> tuple[bytes | None, tuple[Text, ...]]:
    """Return EXIF with the texts that it has fields for, and the other texts; its own stay.

    Of two texts for one field the first is used. `parameters` are also written to UserComment,
    where other programs look for a prompt.

    Raises:
        MalformedMetadata: it is not EXIF, or is damaged.
    """
    data = exif or _EMPTY
    tiff = TiffFile(io.BytesIO(data))
    first = tiff.directory(tiff.offset(tiff.first_at)).entries
    at = tiff.number(first.get(_EXIF_DIRECTORY))
    known = {*first, *(tiff.directory(at).entries if at is not None else ())}
    added: dict[int, _Field] = {}
    left: list[Text] = []
    room = _MOST_WITH_TEXTS - len(data)
    for text in texts:
        tag = _TAG_BY_KEYWORD.get(text.keyword)
        value = b"" if tag is None else _encoded(tag, text.text, tiff.order)
        if tag is None or tag in known | added.keys() or len(value) > room:
            left.append(text)
        else:
            added[tag] = _Field(_TYPE_BY_TAG.get(tag, _ASCII), len(value), value)
            room -= len(value)
    details = {tag: field for tag, field in added.items() if tag == _USER_COMMENT}
    first_ones = {tag: field for tag, field in added.items() if tag not in details}
    return (_with_fields(data, first_ones, details) if added else exif), tuple(left)


def _encoded(tag: int, text: str, order: str) -> bytes:
    if tag == _XP_TITLE:
        return text.encode("utf-16-le", errors="replace") + bytes(2)
    if tag != _USER_COMMENT:
        return text.encode(errors="replace") + b"\0"
    if text.isascii():
        return b"ASCII\0\0\0" + text.encode()
    return b"UNICODE\0" + text.encode("utf-16-le" if order == "<" else "utf-16-be", "replace")


def _with_fields(
    data: bytes, added: Mapping[int, "_Field"], details: Mapping[int, "_Field"]
) -> bytes:
    """Return EXIF with fields added to its first directory, and to the Exif directory.

    Directories that get new fields are written again at the end, so that no offset changes.
    """
    tiff = TiffFile(io.BytesIO(data))
    first_at = tiff.offset(tiff.first_at)
    built = bytearray(data + bytes(len(data) % 2))
    if details:
        at = tiff.number(tiff.directory(first_at).entries.get(_EXIF_DIRECTORY))
        packed = struct.pack(f"{tiff.order}I", _lay(built, tiff, at, details))
        added = {**added, _EXIF_DIRECTORY: _Field(LONG, 1, packed)}
    built[4:8] = struct.pack(f"{tiff.order}I", _lay(built, tiff, first_at, added))
    return bytes(built)


def _lay(built: bytearray, tiff: TiffFile, at: int | None, added: Mapping[int, "_Field"]) -> int:
    """Append a directory with added fields to `built`; return its offset."""
    order = tiff.order
    rows = []
    for tag, (kind, length, value) in added.items():
        told = value.ljust(4, b"\0")
        if len(value) > 4:
            told = struct.pack(f"{order}I", len(built))
            built += value + bytes(len(value) % 2)
        rows.append(struct.pack(f"{order}HHI", tag, kind, length) + told)
    following = 0
    if at is not None:
        rows += [row for row in tiff.rows(at) if _tag_of(row, order) not in added]
        following = tiff.offset(tiff.directory(at).next_at)
    rows.sort(key=lambda row: _tag_of(row, order))  # TIFF 6.0, section 2
    offset = len(built)
    built += struct.pack(f"{order}H", len(rows)) + b"".join(rows)
    built += struct.pack(f"{order}I", following)
    return offset


def adapt(exif: bytes, orientation: int, width: int, height: int) -> bytes:
    """Return EXIF for a file of another orientation and size, without the thumbnail.

    Raises:
        MalformedMetadata: it is not EXIF, or is damaged.
    """
    file = io.BytesIO(exif)
    tiff = TiffFile(file)
    first = tiff.directory(tiff.offset(tiff.first_at))
    tiff.set_number(first.entries.get(_ORIENTATION), orientation)
    tiff.set_number(first.entries.get(_IMAGE_WIDTH), width)
    tiff.set_number(first.entries.get(_IMAGE_LENGTH), height)
    if (at := tiff.number(first.entries.get(_EXIF_DIRECTORY))) is not None:
        details = tiff.directory(at).entries
        tiff.set_number(details.get(_PIXEL_X_DIMENSION), width)
        tiff.set_number(details.get(_PIXEL_Y_DIMENSION), height)
    if at := tiff.offset(first.next_at):
        _drop_thumbnail(file, tiff, at)
        tiff.clear(first.next_at, 4)
    return file.getvalue()


def only_orientation(orientation: int) -> bytes:
    """Return the shortest EXIF with an orientation."""
    entry = struct.pack("<HHIHH", _ORIENTATION, SHORT, 1, orientation, 0)
    return b"II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4)


def placeholder(size: int) -> bytes:
    """Return empty EXIF of at least `size` bytes."""
    length = max(size, 5)
    head = b"II*\0" + struct.pack("<IHHHIII", 8, 1, _DESCRIPTION, _ASCII, length, 26, 0)
    return head + b" " * (length - 1) + b"\0"


def exif_of_tiff(file: BinaryIO) -> bytes:
    """Return the metadata of a TIFF file as separate EXIF.

    Raises:
        MalformedMetadata: it is not a TIFF file, or is damaged.
    """
    tiff = TiffFile(file)
    first = tiff.directory(tiff.offset(tiff.first_at)).entries
    described = [first[tag] for tag in sorted(_DESCRIPTIVE_TAGS & first.keys())]
    built = _Builder(tiff, b"II*\0" if tiff.order == "<" else b"MM\0*")
    pointers = {}
    for tag in (_EXIF_DIRECTORY, _GPS_DIRECTORY):
        if (at := tiff.number(first.get(tag))) is not None:
            entries = tiff.directory(at).entries
            kept = sorted(entries.keys() - _HOLDS_OFFSETS)
            pointers[tag] = built.add([entries[key] for key in kept], {})
    built.finish(built.add(described, pointers))
    return bytes(built.data)


class _Field(NamedTuple):
    """A new entry of a directory: its type, the number of its values, and the values."""

    type: int
    length: int
    value: bytes


class _Builder:
    """Writes directories one after the other."""

    def __init__(self, tiff: TiffFile, magic: bytes) -> None:
        self._tiff = tiff
        self.data = bytearray(magic + bytes(4))

    def add(self, entries: list[Entry], pointers: dict[int, int]) -> int:
        """Add a directory of entries copied from the file, and of pointers; return its offset.

        Raises:
            MalformedMetadata: entries point at the same bytes again and again.
        """
        rows = []
        for entry in entries:
            value = self._tiff.value(entry)
            if len(self.data) + len(value) > MAX_BLOB_BYTES:
                raise MalformedMetadata("its fields together are too long")
            if len(value) > 4:
                at = len(self.data)
                self.data += value + bytes(len(value) % 2)
                value = self._pack("I", at)
            rows.append(
                self._pack("HHI", entry.tag, entry.type, entry.count) + value.ljust(4, b"\0")
            )
        rows += [self._pack("HHII", tag, LONG, 1, at) for tag, at in pointers.items()]
        rows.sort(key=lambda row: _tag_of(row, self._tiff.order))  # TIFF 6.0, section 2
        offset = len(self.data)
        self.data += self._pack("H", len(rows)) + b"".join(rows) + bytes(4)
        return offset

    def finish(self, first: int) -> None:
        """Write the offset of the first directory."""
        self.data[4:8] = self._pack("I", first)

    def _pack(self, layout: str, *values: int) -> bytes:
        return struct.pack(self._tiff.order + layout, *values)


def _tag_of(row: bytes, order: str) -> int:
    return int.from_bytes(row[:2], "little" if order == "<" else "big")


def _drop_thumbnail(file: BinaryIO, tiff: TiffFile, directory_at: int) -> None:
    """Erase a thumbnail's bytes; if they are the last ones, cut them off."""
    entries = tiff.directory(directory_at).entries
    at = tiff.number(entries.get(_THUMBNAIL_AT))
    size = tiff.number(entries.get(_THUMBNAIL_SIZE))
    if not at or not size:
        return
    end = size_of(file)
    if at + size >= end - 1:
        file.truncate(max(at, tiff.first_at))
    else:
        tiff.clear(at, size)
