"""Reads an image's type and dimensions from its header."""

import struct
from dataclasses import dataclass
from typing import BinaryIO

import imagesize

from dropscale import upscaler
from dropscale.errors import DropscaleError
from dropscale.image.timed_file import timed

_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "jp2"),
    (b"\xff\x4f\xff\x51", "jp2"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"BM", "bmp"),
)
_MOST_SECONDS = 10.0
_MOST_BYTES = 1024 * 1024
"""What finding the size may take: a whole header needs a thousandth of either."""

_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"mif1", b"msf1"}


class EmptyImage(DropscaleError):
    """The object has no bytes."""


class NotAnImage(DropscaleError):
    """The bytes are of no image type that the upscaler takes."""


class DamagedImage(DropscaleError):
    """The image's header is cut off or makes no sense."""


class ImageTooLarge(DropscaleError):
    """The image exceeds what the upscaler takes."""


@dataclass(frozen=True)
class ImageHeader:
    """What an image's header says: its type (as in `upscaler.EXTENSION_BY_TYPE`) and pixels."""

    type: str
    width: int
    height: int


def read_header(file: BinaryIO, name: str, *, as_stored: bool = False) -> ImageHeader:
    """Read the header of the image in `file`, from its beginning; `name` is for messages.

    The size is that of the image as it is to be seen, or with `as_stored` that of its pixels.

    Raises:
        EmptyImage, NotAnImage, DamagedImage: as their names say.
    """
    file.seek(0)
    head = file.read(64)
    if not head:
        raise EmptyImage(f"{name} is empty", fix="Upload the image again.")
    image_type = _sniff(head)
    if image_type is None:
        raise NotAnImage(
            f"{name} is not an image the upscaler takes (by its content)",
            fix=f"Use one of {', '.join(upscaler.EXTENSION_BY_TYPE)}.",
        )
    file.seek(0)
    bounded = timed(file, _MOST_SECONDS, most_bytes=_MOST_BYTES)
    try:
        width, height = imagesize.get(bounded, exif_rotation=not as_stored)
    except (ValueError, struct.error, OSError, IndexError) as error:
        raise _damaged_image(name, image_type) from error
    if width < 1 or height < 1:
        raise _damaged_image(name, image_type)
    return ImageHeader(image_type, int(width), int(height))


def require_upscalable(header: ImageHeader, name: str) -> None:
    """Refuse what the vendor would refuse after taking it.

    Raises:
        ImageTooLarge: a side is longer than `upscaler.MAX_SIDE` pixels.
    """
    if max(header.width, header.height) > upscaler.MAX_SIDE:
        raise ImageTooLarge(
            f"{name} is {header.width} x {header.height} pixels",
            fix=f"Scale it down to at most {upscaler.MAX_SIDE} x {upscaler.MAX_SIDE}.",
        )


def _damaged_image(name: str, image_type: str) -> DamagedImage:
    return DamagedImage(
        f"{name} looks like {image_type}, but its header is damaged or cut off",
        fix="Upload the image again, or export it anew.",
    )


def _sniff(head: bytes) -> str | None:
    for signature, image_type in _SIGNATURES:
        if head.startswith(signature):
            return image_type
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        return _sniff_iso_media(head)
    return None


def _sniff_iso_media(head: bytes) -> str | None:
    # The major brand alone may be the generic mif1; the compatible brands tell AVIF from HEIC.
    box = head[: min(struct.unpack(">I", head[:4])[0], len(head))]
    brands = {box[8:12], *(box[at : at + 4] for at in range(16, len(box) - 3, 4))}
    if brands & _AVIF_BRANDS:
        return "avif"
    return "heic" if brands & _HEIC_BRANDS else None
