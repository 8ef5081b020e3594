import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from dropscale_embedded.api.picture import ImageFault, Picture, decode, encode
from tests import heic, originals

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def file_of(image: Image.Image, format_: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format_, **options)
    return file.getvalue()


def reopened(picture: Picture) -> Image.Image:
    return Image.open(io.BytesIO(encode(picture)))


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and has no pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"")


@pytest.mark.parametrize(
    ("mode", "format_", "expected"),
    [
        ("1", "PNG", "L"),
        ("L", "PNG", "L"),
        ("LA", "PNG", "LA"),
        ("P", "PNG", "RGB"),
        ("RGB", "PNG", "RGB"),
        ("RGB", "JPEG", "RGB"),
        ("RGB", "WEBP", "RGB"),
        ("RGB", "AVIF", "RGB"),
        ("RGB", "JPEG2000", "RGB"),
        ("RGB", "BMP", "RGB"),
        ("RGBA", "PNG", "RGBA"),
        ("CMYK", "JPEG", "RGB"),
        ("CMYK", "TIFF", "RGB"),
        ("YCbCr", "TIFF", "RGB"),
        ("I;16", "PNG", "I;16"),
        ("I;16", "TIFF", "I;16"),
        ("F", "TIFF", "L"),
    ],
)
def test_every_mode_comes_out_as_grey_or_rgb_with_its_alpha(
    mode: str, format_: str, expected: str
) -> None:
    image = reopened(decode(file_of(Image.new(mode, (7, 5)), format_)))

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


def test_a_damaged_heic_is_no_readable_image() -> None:
    body = heic.photo(originals.pixels((64, 64)))
    for damaged in (body[:-2000], body[:100], body.replace(b"hvcC", b"free")):
        with pytest.raises(ImageFault) as raised:
            decode(damaged)
        assert raised.value.code == "invalid_file_format"


def test_a_heic_file_that_crashes_its_decoder_is_no_readable_image() -> None:
    body = heic.photo(originals.pixels((64, 64)), exif=originals.exif()[6:])
    with pytest.raises(ImageFault) as raised:
        decode(body.replace(b"\0\0Exif\0", b"\0\0\xffxif\0", 1))  # pi-heif 1.4.0
    assert raised.value.code == "invalid_file_format"


def test_a_heic_image_is_not_larger_than_the_vendor_takes() -> None:
    whole = heic.photo(originals.pixels((64, 64)))
    with pytest.raises(ImageFault, match="has 4098 x 64 pixels") as raised:
        decode(whole.replace(heic.ispe(64, 64), heic.ispe(4098, 64)))
    assert raised.value.code == "file_too_large"


def test_a_transparent_colour_becomes_alpha() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)

    picture = reopened(decode(file_of(image, transparency=0)))

    assert picture.getpixel((0, 0)) == (10, 20, 30, 0)
    assert picture.getpixel((1, 0)) == (40, 50, 60, 255)


def test_16_bit_grey_keeps_its_values() -> None:
    values = np.array([[0, 1, 257], [32768, 65534, 65535]], np.uint16)

    picture = decode(file_of(Image.fromarray(values)))

    assert np.array_equal(np.asarray(reopened(picture)), values)


def test_exif_orientation_is_applied() -> None:
    image = Image.new("RGB", (4, 2))
    image.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 6  # "rotate by 90 degrees, clockwise, to see it upright"

    picture = decode(file_of(image, exif=exif))

    assert picture.colour.size == (2, 4)
    assert picture.colour.getpixel((1, 0)) == (255, 255, 255)


def test_the_colour_profile_stays_with_the_colours_it_describes() -> None:
    kept = decode(file_of(Image.new("RGB", (2, 2)), icc_profile=SRGB))
    dropped = decode(file_of(Image.new("CMYK", (2, 2)), "JPEG", icc_profile=SRGB))

    assert reopened(kept).info["icc_profile"] == SRGB
    assert dropped.icc_profile is None


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<html>not an image</html>", id="text"),
        pytest.param(file_of(Image.effect_noise((64, 64), 90))[:-500], id="cut off"),
        pytest.param(file_of(Image.new("L", (2, 2)), "GIF"), id="a format the vendor refuses"),
        pytest.param(png_header(3, 3), id="no pixels"),
    ],
)
def test_an_unreadable_image_is_an_invalid_file(data: bytes) -> None:
    with pytest.raises(ImageFault, match="not a readable image") as caught:
        decode(data)

    assert caught.value.code == "invalid_file_format"


@pytest.mark.parametrize("side", [4097, 10_000, 30_000])
def test_an_image_over_the_vendors_limit_is_too_large(side: int) -> None:
    with pytest.raises(ImageFault, match=r"too large|at most 4096 x 4096") as caught:
        decode(png_header(side, side))

    assert caught.value.code == "file_too_large"


def test_the_vendors_limit_itself_is_allowed() -> None:
    assert decode(file_of(Image.new("1", (4096, 1)))).colour.size == (4096, 1)
