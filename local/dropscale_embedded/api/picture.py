"""Pixels as the engines take them, and the way from and to the bytes of an image file."""

import re
import struct
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from dropscale.upscaler import MAX_SIDE
from dropscale_embedded.heic import HeicTooLarge, HeicUnreadable, decode_heic

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
"""Height x width x channels."""

_PILLOW_FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "JPEG2000", "TIFF", "BMP")
"""What the vendor accepts and Pillow reads, as Pillow calls it: all but HEIC."""

_AVIF_BRAND = re.compile(rb"avi[fs]")
_GREY_MODES = frozenset({"1", "L", "LA", "La", "F"})
_GREY_16_MODES = frozenset({"I;16", "I;16B", "I;16L", "I;16N", "I"})
_OTHER_COLOUR_SPACES = frozenset({"CMYK", "YCbCr", "LAB", "HSV"})
_BLEED_PIXELS = 12
"""A little more than any engine looks around one pixel of the original."""


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
        colour: 1 channel (grey; 8 or 16 bits) or 3 (RGB; 8 bits).
        alpha: 1 channel of 8 bits, or None where the image has no transparency.
        icc_profile: the colour profile of `colour`, where the file has one.
    """

    colour: Pixels
    alpha: Pixels | None
    icc_profile: bytes | None


def decode(data: bytes) -> Picture:
    """Return the first picture in the bytes of an image file.

    EXIF orientation is applied. 16-bit grey stays 16-bit; Pillow reads 16-bit colour as 8-bit.

    Raises:
        ImageFault: the bytes are no readable image, or it is larger than the vendor takes.
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
            "invalid_file_format", "The file is not an image that can be read: unknown format"
        ) from None
    except (HeicUnreadable, OSError, SyntaxError, ValueError, struct.error) as error:
        # Pillow's decoders raise all of these on damaged files.
        raise ImageFault(
            "invalid_file_format", f"The file is not an image that can be read: {error}"
        ) from None


def _open(data: bytes) -> Image.Image:
    # The brands of a HEIC file tell it from AVIF (ISO/IEC 23008-12, annex B.4).
    is_heif = data[4:8] == b"ftyp" and not _AVIF_BRAND.search(data[8:64])
    return (
        decode_heic(data, MAX_SIDE)
        if is_heif
        else Image.open(BytesIO(data), formats=_PILLOW_FORMATS)
    )


def _too_large(size: str) -> ImageFault:
    return ImageFault(
        "file_too_large",
        f"The image has {size} pixels; at most {MAX_SIDE} x {MAX_SIDE} are possible."
        " Scale it down.",
    )


def encode(picture: Picture) -> bytes:
    """Return the picture as the bytes of a PNG file."""
    pixels = picture.colour
    if picture.alpha is not None:
        pixels = np.concatenate([pixels, picture.alpha], axis=2)
    file = BytesIO()
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    image.save(file, "PNG", icc_profile=picture.icc_profile)
    return file.getvalue()


def bleed(colour: Pixels, alpha: Pixels) -> Pixels:
    """Return the colours with those of visible pixels spread under the invisible ones around them.

    What a file holds where alpha is 0 is arbitrary, often black, and would darken the edges when
    an engine mixes it in.
    """
    known = alpha > 0
    filled = np.where(known, colour, 0).astype(np.float32)
    for _ in range(_BLEED_PIXELS):
        reached = _sum_of_neighbours(known.astype(np.float32))
        newly = ~known & (reached > 0)
        if not newly.any():
            break
        mean = _sum_of_neighbours(filled) / np.maximum(reached, 1)
        filled = np.where(newly, mean, filled)
        known |= newly
    spread = colour.copy()
    spread[:] = np.rint(filled)
    return spread


def _sum_of_neighbours(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    padded = np.pad(values, ((1, 1), (1, 1), (0, 0)))
    return padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]


def _picture(image: Image.Image) -> Picture:
    in_other_space = image.mode in _OTHER_COLOUR_SPACES
    icc_profile = None if in_other_space else image.info.get("icc_profile")
    if image.mode in _GREY_16_MODES:
        grey = np.asarray(image).clip(0, 65535).astype(np.uint16)
        return Picture(grey[..., np.newaxis], None, icc_profile)
    mode = "L" if image.mode in _GREY_MODES else "RGB"
    if not image.has_transparency_data:
        pixels = np.asarray(image.convert(mode))
        return Picture(pixels.reshape(*pixels.shape[:2], -1), None, icc_profile)
    pixels = np.asarray(image.convert(f"{mode}A"))
    return Picture(pixels[..., :-1], pixels[..., -1:], icc_profile)
