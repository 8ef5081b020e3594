"""Headers of every type that the upscaler accepts, and of other types."""

import io
import random
import struct
import time
from contextlib import suppress

import pytest
from PIL import Image, ImageOps
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from dropscale import upscaler
from dropscale.image.header import (
    DamagedImage,
    EmptyImage,
    ImageHeader,
    ImageTooLarge,
    NotAnImage,
    UnsupportedImage,
    read_header,
    refusal_by_name,
    require_upscalable,
)
from dropscale.image.verify import UnreadableResult, verify_result
from tests import heic, originals
from tests.fakes import png


def encoded(image_type: str, mode: str = "RGB", **options: object) -> bytes:
    file = io.BytesIO()
    Image.new(mode, (31, 17)).save(file, {"jp2": "JPEG2000"}.get(image_type, image_type), **options)
    return file.getvalue()


def iso_media(brand: bytes, *compatible: bytes) -> bytes:
    """Return a HEIF file of these brands and 31 x 17 pixels."""
    return heic.heif([heic.Item(b"hvc1", b"", [heic.ispe(31, 17)])], brands=(brand, *compatible))


def with_alpha_mask(bits: bytes) -> bytes:
    """Return a BMP file whose header has masks of its channels."""
    header = struct.pack("<IiiHHI", 56, 31, 17, 1, 32, 3).ljust(52, b"\0") + bits
    return b"BM" + bytes(12) + header + bytes(4 * 31 * 17)


def tiff(*entries: tuple[int, int, int, bytes], magic: bytes = b"II*\0") -> bytes:
    """Return a TIFF file's head and first directory, its values inline."""
    rows = b"".join(struct.pack("<HHI4s", *entry) for entry in sorted(entries))
    return magic + struct.pack("<I", 8) + struct.pack("<H", len(entries)) + rows + bytes(4)


SIZE_TAGS = (0x100, 3, 1, b"\xa0\0"), (0x101, 3, 1, b"\x78\0")
PREVIEW = (0xFE, 4, 1, b"\1\0\0\0"), (0x14A, 4, 1, bytes(4))
HEADERS: dict[ImageHeader, dict[str, bytes]] = {
    ImageHeader("png", 31, 17): {"RGB": encoded("png"), "palette": encoded("png", "P")},
    ImageHeader("jpeg", 31, 17): {
        "RGB": encoded("jpeg"),
        "CMYK": encoded("jpeg", "CMYK"),
        "progressive": encoded("jpeg", progressive=True),
    },
    ImageHeader("webp", 31, 17): {
        "lossy": encoded("webp"),
        "lossless": encoded("webp", lossless=True),
        "with EXIF": encoded("webp", exif=b"Exif\0\0MM\0*\0\0\0\x08"),
    },
    ImageHeader("avif", 31, 17): {
        "whole": encoded("avif"),
        "by its brands": iso_media(b"mif1", b"avif", b"miaf"),
    },
    ImageHeader("jp2", 31, 17): {
        "in boxes": encoded("jp2"),
        "without boxes": (body := encoded("jp2"))[body.index(b"\xff\x4f\xff\x51") :],
    },
    ImageHeader("tiff", 31, 17): {"RGB": encoded("tiff")},
    ImageHeader("tiff", 160, 120): {
        "with smaller versions of itself": tiff(*SIZE_TAGS, (0x14A, 4, 1, bytes(4)))
    },
    ImageHeader("bmp", 31, 17): {
        "RGB": encoded("bmp"),
        "masks without alpha": with_alpha_mask(bytes(4)),
        "from top to bottom": b"BM" + bytes(12) + struct.pack("<Iii", 40, 31, -17),
        "of the oldest kind": b"BM" + bytes(12) + struct.pack("<IHH", 12, 31, 17),
    },
    ImageHeader("heic", 31, 17): {
        "several brands": iso_media(b"heic", b"mif1", b"heic"),
        "by its brands": iso_media(b"mif1", b"heic"),
    },
    ImageHeader("png", 31, 17, alpha=True): {
        "RGBA": encoded("png", "RGBA"),
        "LA": encoded("png", "LA"),
        "palette": encoded("png", "P", transparency=0),
        "one colour": encoded("png", transparency=(0, 0, 0), exif=Image.Exif()),
    },
    ImageHeader("webp", 31, 17, alpha=True): {
        "lossy": encoded("webp", "RGBA"),
        "lossless": encoded("webp", "RGBA", lossless=True),
    },
    ImageHeader("avif", 31, 17, alpha=True): {"RGBA": encoded("avif", "RGBA")},
    ImageHeader("tiff", 31, 17, alpha=True): {"RGBA": encoded("tiff", "RGBA")},
    ImageHeader("jp2", 31, 17, alpha=True): {"RGBA": encoded("jp2", "RGBA")},
    ImageHeader("bmp", 31, 17, alpha=True): {"masks": with_alpha_mask(b"\0\0\0\xff")},
}


@pytest.mark.parametrize("header", HEADERS, ids=str)
def test_type_size_and_alpha_come_from_the_content(header: ImageHeader) -> None:
    for name, body in HEADERS[header].items():
        assert read_header(io.BytesIO(body), name) == header, name


@pytest.mark.parametrize("body", [b"<html>", b"\0" * 90, b"P6", b"<?xml version='1.0'?><a/>"])
def test_other_content_is_not_an_image_the_upscaler_takes(body: bytes) -> None:
    with pytest.raises(NotAnImage, match=r"cat\.png is not an image"):
        read_header(io.BytesIO(body), "cat.png")


TURNED = ("jpeg", "png", "webp", "webp, lossless", "avif", "tiff")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", TURNED)
def test_the_size_is_that_of_the_picture_as_it_is_seen(name: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[originals.ORIENTATION] = orientation
    image_type, _, lossless = name.partition(", ")
    body = encoded(image_type, exif=exif, lossless=bool(lossless))

    seen = ImageOps.exif_transpose(Image.open(io.BytesIO(body))).size
    header = read_header(io.BytesIO(body), "x")
    assert (header.width, header.height) == seen
    if name != "avif":  # its boxes turn it, and every decoder does
        assert read_header(io.BytesIO(body), "x", as_stored=True) == ImageHeader(
            header.type, 31, 17
        )


def test_an_orientation_is_found_at_a_png_files_end_and_in_xmp_and_not_in_nonsense() -> None:
    exif = Image.Exif()
    exif[originals.ORIENTATION] = 6
    body = encoded("png", exif=exif)
    at = body.index(b"eXIf") - 4
    chunk = body[at : at + 12 + int.from_bytes(body[at : at + 4], "big")]
    moved = body[:at] + body[at + len(chunk) : -12] + chunk + body[-12:]
    tags = ImageFileDirectory_v2()
    tags[originals.ORIENTATION], tags[700] = 0, originals.xmp(6)
    by_xmp, nonsense = encoded("tiff", tiffinfo=tags), encoded("jpeg", exif=b"Exif\0\0nonsense")

    headers = [read_header(io.BytesIO(each), "x") for each in (moved, by_xmp, nonsense)]

    assert [(each.width, each.height) for each in headers] == [(17, 31), (17, 31), (31, 17)]


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1)])
@pytest.mark.parametrize("image_type", ["png", "jpeg", "webp", "avif", "jp2", "tiff", "bmp"])
def test_the_smallest_sizes_are_read(image_type: str, size: tuple[int, int]) -> None:
    file = io.BytesIO()
    Image.new("RGB", size).save(file, {"jp2": "JPEG2000"}.get(image_type, image_type))

    assert read_header(file, "x") == ImageHeader(image_type, *size)


@pytest.mark.parametrize("extension", sorted(upscaler.UNSUPPORTED_EXTENSIONS))
def test_names_alone_tell_of_types_that_the_upscaler_does_not_take(extension: str) -> None:
    refusal = refusal_by_name(b"?", f"cat.{extension.upper()}")

    assert isinstance(refusal, UnsupportedImage)
    assert "by its name" in refusal.message
    assert "xport" in refusal.fix


def test_content_counts_for_more_than_a_name() -> None:
    assert "a GIF file" in refusal_by_name(b"GIF89a....", "cat.nef").message
    assert isinstance(refusal_by_name(b"", "cat.nef"), EmptyImage)
    assert "raw file (NEF), by its name" in refusal_by_name(tiff(*SIZE_TAGS), "cat.nef").message
    misnamed = refusal_by_name(png(), "cat.gif")
    assert "is png by its content" in misnamed.message
    assert misnamed.fix == "Change the end of its name to .png."


UNSUPPORTED = {
    "GIF": b"GIF89a....",
    "BigTIFF": b"II+\0\x08\0\0\0" + bytes(8),
    "BigTIFF, big end first": b"MM\0+\0\x08\0\0" + bytes(8),
    "DNG": tiff(*SIZE_TAGS, (0xC612, 1, 4, b"\1\4\0\0")),
    "NEF": tiff(*SIZE_TAGS, *PREVIEW, (0x10F, 2, 4, b"NIK\0")),
    "ARW": tiff(*SIZE_TAGS, *PREVIEW, (0x10F, 2, 4, b"SON\0")),
    "CR2": b"II*\0\x10\0\0\0CR\2\0" + bytes(20),
    "CR3": heic.box(b"ftyp", b"crx \0\0\0\1crx isom"),
    "RAF": b"FUJIFILMCCD-RAW 0201",
    "Photoshop": b"8BPS\0\1" + bytes(20),
    "SVG": b"<svg width='3' height='4'/>",
    "SVG, declared": b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- a -->\n<svg:svg xmlns:svg='x'>",
    "JPEG XL": b"\xff\x0a\x00\x10",
    "JPEG XL, in boxes": b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl ",
    "PDF": b"%PDF-1.7",
    "video": heic.box(b"ftyp", b"qt  \0\0\0\0qt  "),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_known_types_that_the_upscaler_does_not_take_are_named_with_what_to_do(name: str) -> None:
    with pytest.raises(UnsupportedImage) as raised:
        read_header(io.BytesIO(UNSUPPORTED[name]), "cat.jpg")

    is_of_unknown_maker = name in {"NEF", "ARW"}
    told = "raw file (TIFF)" if is_of_unknown_maker else name.partition(",")[0]
    assert told in raised.value.message
    assert "xport" in raised.value.fix


@pytest.mark.parametrize(("make", "kind"), [(b"NIKON CORPORATION", "NEF"), (b"SONY", "ARW")])
def test_raw_files_are_named_by_their_maker(make: bytes, kind: str) -> None:
    value = make + b"\0"
    at = struct.pack("<I", 8 + 2 + 5 * 12 + 4)
    body = tiff(*SIZE_TAGS, *PREVIEW, (0x10F, 2, len(value), at)) + value

    with pytest.raises(UnsupportedImage, match=kind):
        read_header(io.BytesIO(body), "cat.tif")


def test_damage_is_never_to_be_dropped_again() -> None:
    damaged = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe1", heic.box(b"ftyp", b"heic\0\0\0\0"))
    for body in (b"", *damaged):
        with pytest.raises(DamagedImage if body else EmptyImage) as raised:
            read_header(io.BytesIO(body), "cat.jpg")
        assert "xport" in raised.value.fix
        assert "again" in raised.value.fix


MANY = {
    "segments": lambda: b"\xff\xd8" + b"\xff\xe2\0\2" * 500_000,
    "chunks": lambda: png()[:33] + struct.pack(">I4sI", 0, b"IDAT", 0) * 500_000,
    "riff": lambda: (
        b"RIFF\xff\xff\xff\x7fWEBPVP8X\x0a\0\0\0\x08" + bytes(9) + b"ABCD\0\0\0\0" * 500_000
    ),
    "directory": lambda: b"II*\0\x08\0\0\0\xff\xff" + bytes(12 * 65_535),
    "a box": lambda: (
        heic.box(b"ftyp", b"avif\0\0\0\0avifmif1") + heic.box(b"meta", bytes(60_000_000))
    ),
}


@pytest.mark.parametrize("name", MANY)
def test_files_of_many_parts_take_no_time(name: str) -> None:
    body = io.BytesIO(MANY[name]())
    before = time.process_time()
    with suppress(DamagedImage):
        read_header(body, "x")
    assert time.process_time() - before < 1.25


@pytest.mark.parametrize("image_type", ["png", "jpeg", "webp", "jp2", "tiff", "bmp"])
def test_mutated_headers_are_read_or_damaged_and_nothing_else(image_type: str) -> None:
    dice = random.Random(image_type)
    exif = Image.Exif() if image_type in {"jp2", "bmp"} else originals.exif(6)
    whole = encoded(image_type, exif=exif)
    for _ in range(400):
        body = bytearray(whole)
        for _ in range(dice.randint(1, 4)):
            body[dice.randrange(min(len(body), 400))] = dice.choice((0, 0xFF, dice.randrange(256)))
        end = dice.randrange(len(body)) if dice.random() < 0.3 else len(body)
        with suppress(DamagedImage, NotAnImage, EmptyImage):
            read_header(io.BytesIO(body[:end]), "x")


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


def test_a_side_above_the_vendors_limit_is_refused() -> None:
    require_upscalable(4096, 4096, "x")
    for size in ((4097, 1), (1, 4097)):
        with pytest.raises(ImageTooLarge, match="4096 x 4096"):
            require_upscalable(*size, "x")


@pytest.mark.parametrize("image_type", ["png", "jpeg", "webp", "avif", "heic"])
def test_a_result_whose_end_is_missing_is_found_out(image_type: str) -> None:
    view = originals.pixels((96, 64))
    body = heic.photo(view) if image_type == "heic" else originals.encoded(view, image_type)
    assert verify_result(io.BytesIO(body), "x") == ImageHeader(image_type, 96, 64)

    with pytest.raises(UnreadableResult, match="cut off"):
        verify_result(io.BytesIO(body[:-1]), "x")


def test_padding_after_a_result_does_no_harm() -> None:
    assert verify_result(io.BytesIO(png() + b"\0" * 20), "x").type == "png"
