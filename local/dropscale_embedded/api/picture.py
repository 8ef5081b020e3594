"""A decoded image, and conversion from and to image files."""

import re
import struct
from dataclasses import dataclass
from io import BytesIO

from PIL import Image, ImageOps, UnidentifiedImageError

from dropscale.upscaler import MAX_SIDE
from dropscale_embedded.heic import HeicTooLarge, HeicUnreadable, decode_heic

_PILLOW_FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "JPEG2000", "TIFF", "BMP")
"""Formats that the vendor accepts and Pillow reads, by Pillow's names: all but HEIC."""

_AVIF_BRAND = re.compile(rb"avi[fs]")
_GREY_MODES = frozenset({"1", "L", "LA", "La", "F"})
_GREY_16_MODES = frozenset({"I;16", "I;16B", "I;16L", "I;16N", "I"})
_OTHER_COLOUR_SPACES = frozenset({"CMYK", "YCbCr", "LAB", "HSV"})


class ImageFault(Exception):
    """The image cannot be upscaled.

    Attributes:
        code: one of the vendor's documented error codes of a project.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded image, upright.

    Attributes:
        colour: Of Pillow's mode L, I;16 (grey) or RGB.
        alpha: Of mode L, or None if the image has no transparency.
        icc_profile: the colour profile of `colour`, if the file has one.
    """

    colour: Image.Image
    alpha: Image.Image | None
    icc_profile: bytes | None


def decode(data: bytes) -> Picture:
    """Return the first picture in the bytes of an image file.

    EXIF orientation is applied. 16-bit grey stays 16-bit; Pillow reads 16-bit colour as 8-bit.

    Raises:
        ImageFault: the bytes are not a readable image, or it is larger than the vendor accepts.
    """
    try:
        with _open(data) as image:
            if max(image.size) > MAX_SIDE:
                raise _too_large(f"{image.width} x {image.height}")
            return _picture(ImageOps.exif_transpose(image))
    except HeicTooLarge as error:
        raise _too_large(str(error)) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageFault("file_too_large", f"The image is far too large: {error}") from None
    except UnidentifiedImageError:
        raise ImageFault(
            "invalid_file_format", "The file is not a readable image: unknown format"
        ) from None
    except (HeicUnreadable, OSError, SyntaxError, ValueError, struct.error) as error:
        # Pillow's decoders raise all of these on damaged files.
        raise ImageFault(
            "invalid_file_format", f"The file is not a readable image: {error}"
        ) from None


def _open(data: bytes) -> Image.Image:
    # The brands of a HEIC file distinguish it from AVIF (ISO/IEC 23008-12, annex B.4).
    is_heif = data[4:8] == b"ftyp" and not _AVIF_BRAND.search(data[8:64])
    return (
        decode_heic(data, MAX_SIDE)
        if is_heif
        else Image.open(BytesIO(data), formats=_PILLOW_FORMATS)
    )


def _too_large(size: str) -> ImageFault:
    return ImageFault(
        "file_too_large",
        f"The image has {size} pixels; at most {MAX_SIDE} x {MAX_SIDE} are allowed. Scale it down.",
    )


def encode(picture: Picture) -> bytes:
    """Return the picture as the bytes of a PNG file."""
    image = picture.colour
    if picture.alpha is not None:
        image = image.copy()
        image.putalpha(picture.alpha)
    file = BytesIO()
    image.save(file, "PNG", icc_profile=picture.icc_profile)
    return file.getvalue()


def _picture(image: Image.Image) -> Picture:
    in_other_space = image.mode in _OTHER_COLOUR_SPACES
    icc_profile = None if in_other_space else image.info.get("icc_profile")
    if image.mode in _GREY_16_MODES:
        return Picture(image.convert("I").convert("I;16"), None, icc_profile)
    mode = "L" if image.mode in _GREY_MODES else "RGB"
    if not image.has_transparency_data:
        return Picture(image.convert(mode), None, icc_profile)
    image = image.convert(f"{mode}A")
    return Picture(image.convert(mode), image.getchannel("A"), icc_profile)
