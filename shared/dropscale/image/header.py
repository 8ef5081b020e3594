"""Reads an image's type and dimensions from its header."""

import io
import struct
from dataclasses import dataclass
from typing import BinaryIO

from dropscale import upscaler
from dropscale.errors import DropscaleError
from dropscale.image.layouts import read_layout
from dropscale.image.metadata.model import MalformedMetadata
from dropscale.image.timed_file import OutOfTime, timed
from dropscale.image.unsupported import type_by_extension, unsupported_type

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
"""The time limit for finding the size; a complete header needs a thousandth of it."""

_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}
_SWAPPING_SIDES = range(5, 9)
"""EXIF orientations of images stored on their side."""


class EmptyImage(DropscaleError):
    """The object has no bytes."""


class NotAnImage(DropscaleError):
    """The bytes are not of an image type that the upscaler accepts."""


class UnsupportedImage(NotAnImage):
    """The bytes are of a known image type that the upscaler does not accept."""


class DamagedImage(DropscaleError):
    """The image's header is cut off or invalid."""


class ImageTooLarge(DropscaleError):
    """The image is larger than the upscaler accepts."""


@dataclass(frozen=True)
class ImageHeader:
    """An image's type (as in `upscaler.EXTENSION_BY_TYPE`) and size in pixels, from its header."""

    type: str
    width: int
    height: int
    alpha: bool = False


def read_header(file: BinaryIO, name: str, *, as_stored: bool = False) -> ImageHeader:
    """Read the header of the image in `file`, from its beginning; `name` is for messages.

    The size is that of the upright image, or with `as_stored` that of its pixels as stored.

    Raises:
        EmptyImage: the file has no bytes.
        NotAnImage, UnsupportedImage: the upscaler does not accept its type.
        DamagedImage: the header is cut off or invalid.
    """
    file.seek(0)
    head = file.read(64)
    if not head:
        raise EmptyImage(f"{name} is empty", fix="Export the image again, and upload that.")
    if (unsupported := unsupported_type(file)) is not None:
        raise UnsupportedImage(f"{name} is {unsupported.name}", fix=unsupported.fix)
    image_type = _sniff(head)
    if image_type is None:
        raise NotAnImage(
            f"{name} is not an image that the upscaler accepts (by its content)",
            fix=f"Use one of {', '.join(upscaler.EXTENSION_BY_TYPE)}.",
        )
    try:
        layout = read_layout(timed(file, _MOST_SECONDS), image_type)
    except (MalformedMetadata, OutOfTime) as error:
        raise _damaged_image(name, image_type) from error
    width, height = layout.width, layout.height
    if width < 1 or height < 1:
        raise _damaged_image(name, image_type)
    if not as_stored and layout.orientation in _SWAPPING_SIDES:
        width, height = height, width
    return ImageHeader(image_type, width, height, layout.alpha)


def refusal_by_name(head: bytes, name: str) -> DropscaleError:
    """Return why an image is refused whose name has one of `upscaler.UNSUPPORTED_EXTENSIONS`.

    `head` has its first bytes; `unsupported.HEAD_BYTES` are enough.
    """
    told = type_by_extension(name.rpartition(".")[2].lower())
    by_name = UnsupportedImage(f"{name} is {told.name}, by its name", fix=told.fix)
    try:
        header = read_header(io.BytesIO(head), name)
    except (EmptyImage, UnsupportedImage) as error:
        return error
    except (NotAnImage, DamagedImage):
        return by_name
    if told.is_raw and header.type == "tiff":
        return by_name
    return UnsupportedImage(
        f"{name} is {header.type} by its content, and not by its name",
        fix=f"Change the end of its name to .{upscaler.EXTENSION_BY_TYPE[header.type]}.",
    )


def require_upscalable(width: int, height: int, name: str) -> None:
    """Refuse an image that the vendor would refuse later.

    Raises:
        ImageTooLarge: a side is longer than `upscaler.MAX_SIDE` pixels.
    """
    if max(width, height) > upscaler.MAX_SIDE:
        raise ImageTooLarge(
            f"{name} is {width} x {height} pixels",
            fix=f"Scale it down to at most {upscaler.MAX_SIDE} x {upscaler.MAX_SIDE}.",
        )


def _damaged_image(name: str, image_type: str) -> DamagedImage:
    return DamagedImage(
        f"{name} looks like {image_type}, but its header is damaged or cut off",
        fix="Export it again from its original, and upload that.",
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
    # The major brand may be the generic mif1; the compatible brands distinguish AVIF from HEIC.
    box = head[: min(struct.unpack(">I", head[:4])[0], len(head))]
    brands = {box[8:12], *(box[at : at + 4] for at in range(16, len(box) - 3, 4))}
    if brands & _AVIF_BRANDS:
        return "avif"
    return "heic" if brands & _HEIC_BRANDS else None
