"""Reading and copying parts of a file that may be larger than memory."""

import os
from typing import BinaryIO

from dropscale.image.metadata.model import MalformedMetadata

MAX_BLOB_BYTES = 16 * 1024 * 1024
"""The largest piece of metadata that is read into memory; larger ones are skipped."""

_CHUNK = 1024 * 1024


def read_exactly(file: BinaryIO, size: int) -> bytes:
    """Return the next `size` bytes.

    Raises:
        MalformedMetadata: the file ends too early.
    """
    data = file.read(size)
    if len(data) < size:
        raise MalformedMetadata("the file ends too early")
    return data


def copy(source: BinaryIO, target: BinaryIO, size: int | None = None) -> None:
    """Copy the next `size` bytes, or all that are left.

    Raises:
        MalformedMetadata: the source ends too early.
    """
    left = size
    while left is None or left > 0:
        chunk = source.read(_CHUNK if left is None else min(_CHUNK, left))
        if not chunk:
            if left is not None:
                raise MalformedMetadata("the file ends too early")
            return
        target.write(chunk)
        left = None if left is None else left - len(chunk)


def size_of(file: BinaryIO) -> int:
    """Return a file's size in bytes; its position does not change."""
    position = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(position)
    return size
