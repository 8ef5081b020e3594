"""Files with a time limit: an untrusted file may have any number of parts.

All code that walks through a file's parts, also in libraries, reads each part from the file, so one
limit here applies to all of it.
"""

import time
from collections.abc import Callable
from typing import BinaryIO, cast


class OutOfTime(Exception):
    """The time limit for reading or writing a file's parts is over."""


def timed(
    file: BinaryIO,
    seconds: float,
    *,
    most_bytes: int | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> BinaryIO:
    """Return the same file, each use of which raises `OutOfTime` once these seconds are over.

    With `most_bytes`, so does reading more than that at once, because its parts would be walked
    through in memory. It has only `read`, `write`, `seek` and `tell`.
    """
    return cast(BinaryIO, _TimedFile(file, clock() + seconds, most_bytes, clock))


class _TimedFile:
    def __init__(
        self, file: BinaryIO, end: float, most_bytes: int | None, clock: Callable[[], float]
    ) -> None:
        self._file = file
        self._end = end
        self._most_bytes = most_bytes
        self._clock = clock

    def read(self, size: int = -1) -> bytes:
        self._check()
        if self._most_bytes is None or 0 <= size <= self._most_bytes:
            return self._file.read(size)
        piece = self._file.read(self._most_bytes + 1)
        if len(piece) > self._most_bytes:
            raise OutOfTime(f"a part is longer than {self._most_bytes} bytes")
        return piece

    def write(self, data: bytes) -> int:
        self._check()
        return self._file.write(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        self._check()
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def _check(self) -> None:
        if self._clock() >= self._end:
            raise OutOfTime("it has too many parts to be read in time")
