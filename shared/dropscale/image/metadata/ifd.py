"""Image file directories, the structure of EXIF and of TIFF files (TIFF 6.0, section 2)."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import BinaryIO

from dropscale.image.metadata.model import MalformedMetadata
from dropscale.image.metadata.streams import MAX_BLOB_BYTES, read_exactly

SHORT, LONG, RATIONAL = 3, 4, 5
_SIZE_BY_TYPE = MappingProxyType(
    {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
)
_INLINE_BYTES = 4
_MOST_ENTRIES = 1000


@dataclass(frozen=True)
class Entry:
    """One field of a directory; `at` is the position in the file of its value or its offset."""

    tag: int
    type: int
    count: int
    at: int

    @property
    def size(self) -> int:
        """The value's size in bytes."""
        return _SIZE_BY_TYPE.get(self.type, 1) * self.count

    @property
    def is_inline(self) -> bool:
        """Whether the value is in the directory itself."""
        return self.size <= _INLINE_BYTES


@dataclass(frozen=True)
class Directory:
    """The fields of one directory by tag; `next_at` is the position of the next one's offset."""

    entries: Mapping[int, Entry]
    next_at: int


class TiffFile:
    """A TIFF structure in a seekable file: reads its directories, and replaces numbers.

    Raises:
        MalformedMetadata: it is not one, or (from every method) is damaged.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        file.seek(0)
        head = read_exactly(file, 8)
        if head[:4] not in {b"II*\0", b"MM\0*"}:
            raise MalformedMetadata("not a TIFF structure")
        self.order = "<" if head[:2] == b"II" else ">"
        self.first_at = 4

    def offset(self, at: int) -> int:
        """Return the offset at a position."""
        self._file.seek(at)
        value: int = struct.unpack(f"{self.order}I", read_exactly(self._file, 4))[0]
        return value

    def directory(self, offset: int) -> Directory:
        """Return the directory at an offset."""
        self._file.seek(offset)
        (count,) = struct.unpack(f"{self.order}H", read_exactly(self._file, 2))
        if count > _MOST_ENTRIES:
            raise MalformedMetadata(f"a directory of {count} entries")
        body = read_exactly(self._file, 12 * count)
        entries = {}
        for index in range(count):
            tag, kind, number = struct.unpack_from(f"{self.order}HHI", body, 12 * index)
            entries[tag] = Entry(tag, kind, number, offset + 2 + 12 * index + 8)
        return Directory(entries, offset + 2 + 12 * count)

    def value(self, entry: Entry) -> bytes:
        """Return the value of an entry, in the file's byte order."""
        if entry.size > MAX_BLOB_BYTES:
            raise MalformedMetadata(f"a field of {entry.size} bytes")
        return self._bytes_at(entry.at if entry.is_inline else self.offset(entry.at), entry.size)

    def number(self, entry: Entry | None) -> int | None:
        """Return the value of an entry that is one number, else None."""
        if entry is None or entry.count != 1 or entry.type not in {SHORT, LONG}:
            return None
        (number,) = struct.unpack(self._format(entry), self.value(entry))
        return int(number)

    def fraction(self, entry: Entry | None) -> float | None:
        """Return the value of an entry that is one fraction of two numbers, else None."""
        if entry is None or (entry.count, entry.type) != (1, RATIONAL):
            return None
        over, under = struct.unpack(f"{self.order}II", self.value(entry))
        return over / under if under else None

    def rows(self, offset: int) -> list[bytes]:
        """Return the raw entries of the directory at an offset."""
        return [
            self._bytes_at(entry.at - 8, 12) for entry in self.directory(offset).entries.values()
        ]

    def set_number(self, entry: Entry | None, number: int) -> None:
        """Replace the value of an entry, if it exists and is one number."""
        if entry is not None and self.number(entry) is not None:
            self._file.seek(entry.at)
            self._file.write(struct.pack(self._format(entry), number))

    def clear(self, at: int, size: int) -> None:
        """Write zeros over a range."""
        self._file.seek(at)
        self._file.write(bytes(size))

    def _bytes_at(self, at: int, size: int) -> bytes:
        self._file.seek(at)
        return read_exactly(self._file, size)

    def _format(self, entry: Entry) -> str:
        return self.order + ("H" if entry.type == SHORT else "I")
