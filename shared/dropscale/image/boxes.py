"""Boxes, the structure of JPEG 2000, HEIC and AVIF files (ISO/IEC 14496-12, section 4.2).

The files are untrusted: every count and size has a limit, and there is no recursion.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from dropscale.image.metadata.model import MalformedMetadata
from dropscale.image.metadata.streams import read_exactly, size_of

_MOST_BOXES = 10_000
"""The limit for one box. A phone's photo has some fifty items; 4096 x 4096 pixels have 64 tiles."""

_MOST_BYTES = 1024 * 1024
"""The longest box that is read as a whole; descriptions of a photo's items have some kilobytes."""


class Box(NamedTuple):
    """A box's type, and where in the file its content begins and ends."""

    type: bytes
    at: int
    end: int


class Fields:
    """The numbers in a box's content, read in order, big-endian.

    Raises:
        MalformedMetadata: from every method: the content is too short.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, size: int) -> int:
        """Return the next number, of `size` bytes; 0 if `size` is 0."""
        return int.from_bytes(self.take(size), "big")

    def take(self, size: int) -> bytes:
        """Return the next bytes as they are."""
        found = self._data[self._at : self._at + size]
        if len(found) < size:
            raise MalformedMetadata("a box is too short")
        self._at += size
        return found

    def text(self) -> bytes:
        """Return the bytes before the next zero, or before the end."""
        found, _, _ = self._data[self._at :].partition(b"\0")
        self._at += len(found) + 1
        return found


def boxes_in(file: BinaryIO, box: Box | None = None, skip: int = 0) -> Iterator[Box]:
    """Yield the boxes in `box`, after its first `skip` bytes; without `box`, those of the file.

    The caller may read elsewhere in the file between two boxes.

    Raises:
        MalformedMetadata: they do not fit into each other, or there are far too many.
    """
    at, end = (0, size_of(file)) if box is None else (box.at + skip, box.end)
    for _ in range(_MOST_BOXES):
        if at + 8 > end:
            return
        file.seek(at)
        size, name = struct.unpack(">I4s", read_exactly(file, 8))
        content = at + 8
        if size == 1:
            size = int.from_bytes(read_exactly(file, 8), "big")
            content += 8
        elif size == 0:
            size = end - at
        if at + size < content or (box is not None and at + size > end):
            raise MalformedMetadata("boxes do not fit into each other")
        yield Box(name, content, min(at + size, end))  # the last of a file may be cut off
        at += size
    raise MalformedMetadata(f"more than {_MOST_BOXES:,} boxes in one")


def first_box(file: BinaryIO, name: bytes, within: Box | None = None, skip: int = 0) -> Box:
    """Return the first box of a type.

    Raises:
        MalformedMetadata: there is none, or the file is damaged before it.
    """
    for box in boxes_in(file, within, skip):
        if box.type == name:
            return box
    raise MalformedMetadata(f"there is no {name.decode(errors='replace')} box")


def content_of(file: BinaryIO, box: Box, most: int = _MOST_BYTES) -> bytes:
    """Return the content of a box.

    Raises:
        MalformedMetadata: it is cut off, or far too long.
    """
    size = box.end - box.at
    if size > most:
        raise MalformedMetadata(f"a box of {size:,} bytes")
    file.seek(box.at)
    return read_exactly(file, size)
