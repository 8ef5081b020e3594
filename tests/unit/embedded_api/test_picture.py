import io
import struct

import numpy as np
import pytest
from PIL import Image

from dropscale_embedded.api.picture import ImageFault, Picture, decode, encode
from tests import heic, originals
from tests.fakes import png_chunk
from tests.originals import SRGB, encoded


def reopened(picture: Picture) -> Image.Image:
    return Image.open(io.BytesIO(encode(picture)))


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and has no pixels."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", b"")


@pytest.mark.parametrize(
    ("format_", "modes"),
    [
        ("PNG", {"1": "L", "L": "L", "LA": "LA", "P": "RGB", "RGB": "RGB", "RGBA": "RGBA"}),
        ("PNG", {"I;16": "I;16"}),
        ("TIFF", {"CMYK": "RGB", "YCbCr": "RGB", "I;16": "I;16", "F": "L"}),
        ("JPEG", {"RGB": "RGB", "CMYK": "RGB"}),
        *((format_, {"RGB": "RGB"}) for format_ in ("WEBP", "AVIF", "JPEG2000", "BMP")),
    ],
)
def test_every_mode_comes_out_as_grey_or_rgb_with_its_alpha(
    format_: str, modes: dict[str, str]
) -> None:
    for mode, expected in modes.items():
        image = reopened(decode(encoded(Image.new(mode, (7, 5)), format_)))
        assert (image.mode, image.size) == (expected, (7, 5))


@pytest.mark.parametrize("tiles", [1, 2])
def test_a_phones_photo_is_read_upright_with_its_profile(tiles: int) -> None:
    view = originals.pixels((64, 128))
    stored = originals.as_stored(view, 6)
    exif = originals.exif(6).removeprefix(b"Exif\0\0")

    picture = decode(heic.photo(stored, heic.icc_of(SRGB), heic.irot(3), exif=exif, tiles=tiles))

    assert picture.icc_profile == SRGB
    assert picture.colour.size == (64, 128)
    assert np.abs(np.asarray(picture.colour, float) - np.asarray(view)).mean() < 4


def test_a_transparent_colour_becomes_alpha() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)

    picture = reopened(decode(encoded(image, transparency=0)))

    assert picture.getpixel((0, 0)) == (10, 20, 30, 0)
    assert picture.getpixel((1, 0)) == (40, 50, 60, 255)


def test_16_bit_grey_keeps_its_values() -> None:
    values = np.array([[0, 1, 257], [32768, 65534, 65535]], np.uint16)

    picture = decode(encoded(Image.fromarray(values)))

    assert np.array_equal(np.asarray(reopened(picture)), values)


def test_exif_orientation_is_applied() -> None:
    image = Image.new("RGB", (4, 2))
    image.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 6  # "rotate by 90 degrees, clockwise, to see it upright"

    picture = decode(encoded(image, exif=exif))

    assert picture.colour.size == (2, 4)
    assert picture.colour.getpixel((1, 0)) == (255, 255, 255)


def test_the_colour_profile_stays_with_the_colours_it_describes() -> None:
    kept = decode(encoded(Image.new("RGB", (2, 2)), icc_profile=SRGB))
    dropped = decode(encoded(Image.new("CMYK", (2, 2)), "JPEG", icc_profile=SRGB))

    assert reopened(kept).info["icc_profile"] == SRGB
    assert dropped.icc_profile is None


PHOTO = heic.photo(originals.pixels((64, 64)))
WITH_EXIF = heic.photo(originals.pixels((64, 64)), exif=originals.exif()[6:])
UNREADABLE = {
    "empty": b"",
    "text": b"<html>not an image</html>",
    "cut off": encoded(Image.effect_noise((64, 64), 90))[:-500],
    "a format the vendor refuses": encoded(Image.new("L", (2, 2)), "GIF"),
    "no pixels": png_header(3, 3),
    "HEIC, cut off": PHOTO[:-2000],
    "HEIC, its head": PHOTO[:100],
    "HEIC, no configuration": PHOTO.replace(b"hvcC", b"free"),
    "HEIC that crashes pi-heif 1.4.0": WITH_EXIF.replace(b"\0\0Exif\0", b"\0\0\xffxif\0", 1),
}
TOO_LARGE = {
    **{str(side): png_header(side, side) for side in (4097, 10_000, 30_000)},
    "HEIC": PHOTO.replace(heic.ispe(64, 64), heic.ispe(4098, 64)),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_an_unreadable_image_is_an_invalid_file(name: str) -> None:
    with pytest.raises(ImageFault, match="not a readable image") as caught:
        decode(UNREADABLE[name])

    assert caught.value.code == "invalid_file_format"


@pytest.mark.parametrize("name", TOO_LARGE)
def test_an_image_over_the_vendors_limit_is_too_large(name: str) -> None:
    with pytest.raises(ImageFault, match=r"too large|at most 4096 x 4096|4098 x 64") as caught:
        decode(TOO_LARGE[name])

    assert caught.value.code == "file_too_large"
    assert decode(encoded(Image.new("1", (4096, 1)))).colour.size == (4096, 1)
