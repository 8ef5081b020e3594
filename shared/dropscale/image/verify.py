"""Checks that a download is a complete image, without decoding it."""

import os
from typing import BinaryIO

from dropscale.errors import DropscaleError
from dropscale.image.header import DamagedImage, EmptyImage, ImageHeader, NotAnImage, read_header
from dropscale.image.metadata import heif
from dropscale.image.metadata.model import MalformedMetadata

_TAIL_BYTES = 64
_TRAILERS = {"png": b"IEND\xaeB`\x82", "jpeg": b"\xff\xd9"}


class UnreadableResult(DropscaleError):
    """The download from the vendor is not a complete image."""


def verify_result(file: BinaryIO, name: str) -> ImageHeader:
    """Return the header of a downloaded result, if it is a complete image.

    The size is that of its pixels as stored.

    Raises:
        UnreadableResult: the bytes are not an image, or their end is missing.
    """
    try:
        header = read_header(file, name, as_stored=True)
    except (EmptyImage, NotAnImage, DamagedImage) as error:
        raise _unreadable(error.message) from error
    if not _is_whole(file, header.type):
        raise _unreadable(f"{name} is cut off: it does not end like a {header.type}")
    return header


def _unreadable(message: str) -> UnreadableResult:
    return UnreadableResult(
        f"The result could not be used: {message}",
        fix="Drop the image again (or `dropscale retry KEY`) to collect the paid result, free.",
    )


def _is_whole(file: BinaryIO, image_type: str) -> bool:
    size = file.seek(0, os.SEEK_END)
    if image_type == "webp":
        file.seek(4)
        return size >= int.from_bytes(file.read(4), "little") + 8
    if image_type in {"avif", "heic"}:
        try:
            return heif.is_whole(file)
        except MalformedMetadata:
            return False
    trailer = _TRAILERS.get(image_type)
    if trailer is None:
        return True
    # Writers may pad after the trailer, so it is searched near the end.
    file.seek(max(0, size - _TAIL_BYTES))
    return trailer in file.read()
