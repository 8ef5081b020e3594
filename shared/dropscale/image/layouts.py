"""Reads an image's size in pixels and its orientation from the header of each type of file."""

import struct
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import BinaryIO

from dropscale.image.boxes import content_of, first_box
from dropscale.image.metadata import heif, jpeg, png, tiff, webp
from dropscale.image.metadata.model import MalformedMetadata, PixelLayout
from dropscale.image.metadata.streams import read_exactly

_OPACITY = {1, 2}
_CODESTREAM = b"\xff\x4f\xff\x51"


def read_layout(file: BinaryIO, image_type: str) -> PixelLayout:
    """Return the layout of a file of a type of `upscaler.EXTENSION_BY_TYPE`.

    An orientation that cannot be read is ignored, as in viewers.

    Raises:
        MalformedMetadata: the file does not state its size.
    """
    return _READERS[image_type](file)


def _read_bmp(file: BinaryIO) -> PixelLayout:
    """Microsoft's BITMAPFILEHEADER, then a BITMAPCOREHEADER or one of its successors."""
    file.seek(14)
    (header_size,) = struct.unpack("<I", read_exactly(file, 4))
    if header_size == 12:
        return PixelLayout(*struct.unpack("<HH", read_exactly(file, 4)))
    width, height = struct.unpack("<ii", read_exactly(file, 8))
    alpha = b""
    if header_size >= 56:  # it includes the masks of the channels
        file.seek(14 + 52)
        alpha = read_exactly(file, 4)
    # If the rows are stored from top to bottom, the height is negative.
    return PixelLayout(width, abs(height), alpha=any(alpha))


def _read_jp2(file: BinaryIO) -> PixelLayout:
    """A codestream, or boxes around one (ISO/IEC 15444-1, annexes A.5.1 and I.5.3.1)."""
    file.seek(0)
    if read_exactly(file, 4) == _CODESTREAM:
        right, bottom, left, top = struct.unpack("!4x4I", read_exactly(file, 20))
        return PixelLayout(right - left, bottom - top)
    header = first_box(file, b"ihdr", first_box(file, b"jp2h"))
    content = content_of(file, header)
    if len(content) < 8:
        raise MalformedMetadata("the image header is cut off")
    height, width = struct.unpack_from(">II", content)
    return PixelLayout(width, height, alpha=_jp2_has_alpha(file))


def _jp2_has_alpha(file: BinaryIO) -> bool:
    """Whether a channel is defined as opacity (annex I.5.3.6)."""
    try:
        content = content_of(file, first_box(file, b"cdef", first_box(file, b"jp2h")))
    except MalformedMetadata:
        return False
    kinds = struct.iter_unpack(">xxHxx", content[2 : 2 + (len(content) - 2) // 6 * 6])
    return any(kind in _OPACITY for (kind,) in kinds)


_READERS: Mapping[str, Callable[[BinaryIO], PixelLayout]] = MappingProxyType(
    {
        "avif": heif.layout,
        "bmp": _read_bmp,
        "heic": heif.layout,
        "jp2": _read_jp2,
        "jpeg": jpeg.layout,
        "png": png.layout,
        "tiff": tiff.layout,
        "webp": webp.layout,
    }
)
