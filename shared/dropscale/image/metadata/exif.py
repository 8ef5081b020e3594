"""EXIF that tells the truth about another file than the one it was written for.

It is edited in place, because maker notes hold offsets into the whole of it. Tags: Exif 2.32
(CIPA DC-008), section 4.6.
"""

import io
import struct
from contextlib import suppress
from fractions import Fraction
from types import MappingProxyType
from typing import BinaryIO

from dropscale.image.metadata import xmp
from dropscale.image.metadata.ifd import LONG, RATIONAL, SHORT, Entry, TiffFile
from dropscale.image.metadata.model import MalformedMetadata, Resolution
from dropscale.image.metadata.streams import MAX_BLOB_BYTES, size_of

UPRIGHT = 1
"""The orientation of pixels that stand as they are to be seen."""

_ASCII = 2
_DESCRIPTION = 0x010E
_IMAGE_WIDTH, _IMAGE_LENGTH, _ORIENTATION = 0x0100, 0x0101, 0x0112
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 0x011A, 0x011B, 0x0128
_INCH = 2
_INCHES_PER_UNIT = MappingProxyType({None: 1.0, _INCH: 1.0, 3: 2.54})
"""By ResolutionUnit, for inches and centimetres; without it inches are meant."""

_PIXEL_X_DIMENSION, _PIXEL_Y_DIMENSION = 0xA002, 0xA003
_EXIF_DIRECTORY, _GPS_DIRECTORY = 0x8769, 0x8825
_THUMBNAIL_AT, _THUMBNAIL_SIZE = 0x0201, 0x0202
_HOLDS_OFFSETS = frozenset({0x927C, 0xA005})
"""Maker notes and the interoperability directory: useless at another place than their own."""

_DESCRIPTIVE_TAGS = frozenset(
    {0x010D, 0x010E, 0x010F, 0x0110, _ORIENTATION, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132}
    | {0x013B, 0x013C, 0x4746, 0x4749, 0x8298, 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F}
)
"""What a TIFF file's first directory says of the photo, and not of how its pixels are stored."""


def orientation_of(exif: bytes | None, packet: bytes | None) -> int:
    """Return the orientation by EXIF, or where that tells none that can be read, by XMP, 1 to 8."""
    told = None
    with suppress(MalformedMetadata):
        if exif is not None:
            tiff = TiffFile(io.BytesIO(exif))
            first = tiff.directory(tiff.offset(tiff.first_at)).entries
            told = tiff.number(first.get(_ORIENTATION))
    return told if told is not None and 1 <= told <= 8 else orientation_by_xmp(packet)


def orientation_by_xmp(packet: bytes | None) -> int:
    """Return the orientation by XMP alone; where that tells none, that of upright pixels."""
    return (xmp.orientation_of(packet) if packet is not None else None) or UPRIGHT


def resolution_of(exif: bytes | None) -> Resolution | None:
    """Return the resolution that EXIF tells; None: it tells none, or cannot be read."""
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
    """Return EXIF, or if there is none the shortest, that tells a resolution; its own one stands.

    Only the first directory is laid anew, behind all else, so that no offset changes.

    Raises:
        MalformedMetadata: it is no EXIF, or is damaged.
    """
    data = exif or b"II*\0" + struct.pack("<IHI", 8, 0, 0)
    tiff = TiffFile(io.BytesIO(data))
    first_at = tiff.offset(tiff.first_at)
    first = tiff.directory(first_at)
    if _X_RESOLUTION in first.entries:
        return data
    order = tiff.order
    built = bytearray(data + bytes(len(data) % 2))
    added = [struct.pack(f"{order}HHIHH", _RESOLUTION_UNIT, SHORT, 1, _INCH, 0)]
    for tag, value in zip((_X_RESOLUTION, _Y_RESOLUTION), resolution, strict=True):
        added.append(struct.pack(f"{order}HHII", tag, RATIONAL, 1, len(built)))
        exact = Fraction(value).limit_denominator(10_000)
        built += struct.pack(f"{order}II", exact.numerator, exact.denominator)
    told = {_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT}
    kept = [row for row in tiff.rows(first_at) if _tag_of(row, order) not in told]
    rows = sorted([*kept, *added], key=lambda row: _tag_of(row, order))
    built[4:8] = struct.pack(f"{order}I", len(built))
    built += struct.pack(f"{order}H", len(rows)) + b"".join(rows)
    return bytes(built + struct.pack(f"{order}I", tiff.offset(first.next_at)))


def adapt(exif: bytes, orientation: int, width: int, height: int) -> bytes:
    """Return EXIF for a file of another orientation and size, without the thumbnail.

    Raises:
        MalformedMetadata: it is no EXIF, or is damaged.
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
    """Return the shortest EXIF that says how the pixels lie."""
    entry = struct.pack("<HHIHH", _ORIENTATION, SHORT, 1, orientation, 0)
    return b"II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4)


def placeholder(size: int) -> bytes:
    """Return EXIF of at least `size` bytes that tells nothing."""
    length = max(size, 5)
    head = b"II*\0" + struct.pack("<IHHHIII", 8, 1, _DESCRIPTION, _ASCII, length, 26, 0)
    return head + b" " * (length - 1) + b"\0"


def exif_of_tiff(file: BinaryIO) -> bytes:
    """Return what a TIFF file says of its photo as EXIF of its own.

    Raises:
        MalformedMetadata: it is no TIFF file, or is damaged.
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


class _Builder:
    """Lays directories one behind the other."""

    def __init__(self, tiff: TiffFile, magic: bytes) -> None:
        self._tiff = tiff
        self.data = bytearray(magic + bytes(4))

    def add(self, entries: list[Entry], pointers: dict[int, int]) -> int:
        """Add a directory of entries copied from the file, and of offsets; return its offset.

        Raises:
            MalformedMetadata: entries point at the same bytes again and again.
        """
        rows = []
        for entry in entries:
            value = self._tiff.value(entry)
            if len(self.data) + len(value) > MAX_BLOB_BYTES:
                raise MalformedMetadata("its fields are too long together")
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
        """Say which directory is the first."""
        self.data[4:8] = self._pack("I", first)

    def _pack(self, layout: str, *values: int) -> bytes:
        return struct.pack(self._tiff.order + layout, *values)


def _tag_of(row: bytes, order: str) -> int:
    return int.from_bytes(row[:2], "little" if order == "<" else "big")


def _drop_thumbnail(file: BinaryIO, tiff: TiffFile, directory_at: int) -> None:
    """Erase a thumbnail's bytes; where they are the last ones, cut them off."""
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
