"""Headers of every type that the upscaler takes, and of what it does not."""

import io
import struct

import pytest
from PIL import Image

from dropscale.image.header import (
    DamagedImage,
    EmptyImage,
    ImageHeader,
    ImageTooLarge,
    NotAnImage,
    read_header,
    require_upscalable,
)
from dropscale.image.verify import UnreadableResult, verify_result
from tests.fakes import png


def encoded(image_type: str, mode: str = "RGB", **options: object) -> bytes:
    file = io.BytesIO()
    Image.new(mode, (31, 17)).save(file, {"jp2": "JPEG2000"}.get(image_type, image_type), **options)
    return file.getvalue()


def iso_media(brand: bytes, *compatible: bytes) -> bytes:
    """Return a HEIF file's beginning that gives a size of 31 x 17."""

    def box(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body) + 8) + name + body

    ispe = box(b"ispe", struct.pack(">III", 0, 31, 17))
    ipco = box(b"ipco", ispe)
    ipma = box(b"ipma", struct.pack(">IIHBB", 0, 1, 1, 1, 0x81))
    pitm = box(b"pitm", struct.pack(">IH", 0, 1))
    meta = box(b"meta", b"\0\0\0\0" + pitm + box(b"iprp", ipco + ipma))
    return box(b"ftyp", brand + b"\0\0\0\0" + b"".join(compatible)) + meta


@pytest.mark.parametrize(
    ("body", "image_type"),
    [
        (encoded("png"), "png"),
        (encoded("png", "LA"), "png"),
        (encoded("jpeg"), "jpeg"),
        (encoded("jpeg", "CMYK"), "jpeg"),
        (encoded("jpeg", progressive=True), "jpeg"),
        (encoded("webp"), "webp"),
        (encoded("webp", "RGBA", lossless=True), "webp"),
        (encoded("avif"), "avif"),
        (encoded("jp2"), "jp2"),
        (encoded("tiff"), "tiff"),
        (encoded("bmp"), "bmp"),
        (iso_media(b"heic", b"mif1", b"heic"), "heic"),
        (iso_media(b"mif1", b"heic"), "heic"),
        (iso_media(b"mif1", b"avif", b"miaf"), "avif"),
    ],
)
def test_type_and_size_come_from_the_content(body: bytes, image_type: str) -> None:
    assert read_header(io.BytesIO(body), "x") == ImageHeader(image_type, 31, 17)


@pytest.mark.parametrize("body", [b"GIF89a....", b"<svg width='3' height='4'/>", b"\0" * 90, b"P6"])
def test_other_content_is_not_an_image_the_upscaler_takes(body: bytes) -> None:
    with pytest.raises(NotAnImage, match=r"cat\.png is not an image"):
        read_header(io.BytesIO(body), "cat.png")


def test_nothing_is_not_an_image() -> None:
    with pytest.raises(EmptyImage):
        read_header(io.BytesIO(), "cat.png")


@pytest.mark.parametrize("image_type", ["png", "jpeg", "webp", "avif", "jp2", "tiff", "bmp"])
def test_a_header_that_is_cut_off_is_damaged_or_whole_never_a_crash(image_type: str) -> None:
    body = encoded(image_type)
    outcomes: set[ImageHeader | type[Exception]] = set()
    for length in range(1, min(len(body), 400)):
        try:
            outcomes.add(read_header(io.BytesIO(body[:length]), "x"))
        except (DamagedImage, NotAnImage) as error:
            outcomes.add(type(error))

    assert outcomes <= {DamagedImage, NotAnImage, ImageHeader(image_type, 31, 17)}
    assert DamagedImage in outcomes


@pytest.mark.parametrize(("width", "height"), [(4097, 1), (1, 4097)])
def test_a_side_above_the_vendors_limit_is_refused(width: int, height: int) -> None:
    with pytest.raises(ImageTooLarge, match="4096 x 4096"):
        require_upscalable(ImageHeader("png", width, height), "x")


def test_the_vendors_limit_itself_is_allowed() -> None:
    require_upscalable(ImageHeader("png", 4096, 4096), "x")


@pytest.mark.parametrize("image_type", ["png", "jpeg", "webp"])
def test_a_result_whose_end_is_missing_is_found_out(image_type: str) -> None:
    body = encoded(image_type)
    assert verify_result(io.BytesIO(body), "x").width == 31

    with pytest.raises(UnreadableResult):
        verify_result(io.BytesIO(body[:-20]), "x")


def test_padding_after_a_result_does_no_harm() -> None:
    assert verify_result(io.BytesIO(png() + b"\0" * 20), "x").type == "png"
