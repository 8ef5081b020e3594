"""HEIC and AVIF: sizes and metadata in boxes, compared with two decoders; and hostile boxes."""

import io
import random
import struct
import time
from contextlib import suppress
from typing import Any

import numpy as np
import pi_heif
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from dropscale.image.header import DamagedImage, read_header
from dropscale.image.metadata.files import read_metadata
from dropscale.image.metadata.model import MalformedMetadata, Metadata
from dropscale.image.verify import UnreadableResult, verify_result
from tests import heic, originals
from tests.heic import Item, box, clap, full_box, imir, irot, ispe
from tests.originals import encoded, pixels

SIZE = (96, 64)
P3 = originals.profile("Display P3")
EXIF = originals.exif(6, SIZE).removeprefix(b"Exif\0\0")
XMP = originals.xmp()
CPU_SECONDS = 2.0


def decoded(body: bytes) -> Image.Image:
    """Return what an independent reader sees."""
    if read_header(io.BytesIO(body), "x").type == "avif":
        return ImageOps.exif_transpose(Image.open(io.BytesIO(body)))
    shown: Image.Image = pi_heif.open_heif(io.BytesIO(body)).to_pillow()
    return shown


def size_in(body: bytes) -> tuple[int, int]:
    header = read_header(io.BytesIO(body), "x")
    assert header == read_header(io.BytesIO(body), "x", as_stored=True)
    return header.width, header.height


def metadata_in(body: bytes, image_type: str = "heic") -> Metadata:
    found = read_metadata(io.BytesIO(body), image_type)
    assert found is not None
    return found


TURNS: dict[str, tuple[bytes, ...]] = {
    "none": (),
    **{f"turned {quarters}": (irot(quarters),) for quarters in range(4)},
    **{f"mirrored {axis}": (imir(axis),) for axis in range(2)},
    "turned, then mirrored": (irot(1), imir(0)),
    "cut": (clap(64, 32),),
    "cut, then turned": (clap(64, 32), irot(3)),
}


@pytest.mark.parametrize("tiles", [1, 2])
@pytest.mark.parametrize("name", TURNS)
def test_the_size_is_that_of_what_a_decoder_shows(name: str, tiles: int) -> None:
    body = heic.photo(pixels((128, 64)), *TURNS[name], tiles=tiles)

    assert size_in(body) == decoded(body).size


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_avif_is_turned_by_its_boxes_alone(orientation: int) -> None:
    tag = Image.Exif()
    tag[originals.ORIENTATION] = orientation
    body = encoded(pixels(SIZE), "AVIF", exif=tag)

    assert (b"irot" in body or b"imir" in body) is (orientation > 1)
    assert size_in(body) == decoded(body).size


@pytest.mark.parametrize("tiles", [1, 2])
def test_a_phones_photo_says_all_that_it_has(tiles: int) -> None:
    body = heic.photo(pixels(SIZE), heic.icc_of(P3), irot(3), exif=EXIF, xmp=XMP, tiles=tiles)

    assert metadata_in(body) == Metadata(icc=P3, exif=EXIF, xmp=XMP)
    assert size_in(body) == SIZE[::-1]
    assert decoded(body).info["icc_profile"] == P3


def test_an_avif_says_all_that_it_has() -> None:
    body = encoded(pixels(SIZE), "AVIF", icc_profile=P3, exif=EXIF, xmp=XMP)

    found = metadata_in(body, "avif")
    assert (found.icc, found.xmp) == (P3, XMP)
    exif = Image.Exif()
    exif.load(found.exif or b"")
    assert exif[originals.MAKE] == "Camera Works"
    assert exif.get_ifd(originals.EXIF_DIRECTORY)[originals.MAKER_NOTE] == originals.NOTE


def test_the_pixels_of_the_fixtures_are_those_of_the_picture() -> None:
    view = pixels(SIZE)

    shown = np.asarray(decoded(heic.photo(view, tiles=2)), dtype=float)

    assert np.abs(shown - np.asarray(view, dtype=float)).mean() < 3


def test_the_primary_item_counts_among_several() -> None:
    thumbnail = heic.coded(pixels((32, 32)))
    photo = heic.coded(pixels(SIZE), irot(1))
    described = ((b"cdsc", (2,)),)
    others = ((b"cdsc", (1,)),)
    items = [
        Item(thumbnail.type, thumbnail.data, thumbnail.properties, ((b"thmb", (2,)),)),
        photo,
        Item(b"Exif", bytes(4) + b"II*\0another's", (), others),
        Item(b"Exif", bytes(4) + EXIF, (), described),
        Item(b"mime", XMP, (), described, in_idat=True),
    ]

    body = heic.heif(items, primary=2)

    assert size_in(body) == SIZE[::-1] == decoded(body).size
    assert metadata_in(body) == Metadata(exif=EXIF, xmp=XMP)


def test_a_profile_that_only_the_tiles_have_is_the_photos() -> None:
    tile = heic.coded(pixels((64, 64)), heic.icc_of(P3))
    one_by_two = struct.pack(">BBBBHH", 0, 0, 0, 1, 128, 64)
    grid = Item(b"grid", one_by_two, (ispe(128, 64),), ((b"dimg", (2, 3)),), in_idat=True)

    body = heic.heif([grid, tile, tile])

    assert size_in(body) == (128, 64) == decoded(body).size
    assert metadata_in(body).icc == P3


START = box(b"ftyp", b"heic\0\0\0\0heic")


def hostile_meta(*boxes: bytes, items: bytes = b"") -> bytes:
    pitm = full_box(b"pitm", b"\0\1")
    properties = box(b"iprp", box(b"ipco", ispe(4, 3)), *boxes)
    return START + full_box(b"meta", pitm, properties, items)


ASSOCIATION = b"\0\1\1\1"
HOSTILE = {
    "no boxes": START,
    "no primary": START + full_box(b"meta"),
    "no properties": hostile_meta(),
    "a number of no property": hostile_meta(full_box(b"ipma", b"\0\0\0\1\0\1\1\x7f")),
    "more associations than there are": hostile_meta(full_box(b"ipma", b"\xff" * 4, ASSOCIATION)),
    "a box longer than the one around it": hostile_meta(struct.pack(">I4s", 1000, b"ipma")),
    "a box of 2**64": hostile_meta(struct.pack(">I4sQ", 1, b"ipma", 2**64 - 1)),
    "a box shorter than its head": hostile_meta(struct.pack(">I4s", 4, b"ipma")),
    "a million boxes": hostile_meta(struct.pack(">I4s", 8, b"free") * 1_000_000),
    "a file of boxes": START + struct.pack(">I4s", 8, b"free") * 1_000_000,
    "many associations": hostile_meta(
        full_box(b"ipma", struct.pack(">I", 200_000), b"\0\1\1\1" * 200_000, b"\0\2")
    ),
}


def iloc(items: int, extents: int, sizes: int = 0, body: bytes = b"") -> bytes:
    each = struct.pack(">HHHH", 2, 0, 0, extents) + body
    return full_box(b"iloc", struct.pack(">HH", sizes << 8, items), each * items, version=1)


EXIF_ENTRY = full_box(b"iinf", b"\0\1", full_box(b"infe", b"\0\2\0\0Exif\0", version=2))
HOSTILE_LOCATIONS: dict[str, bytes] = {
    "65,535 pieces of nothing": iloc(60_000, 65_535),
    "1,000 pieces of nothing": iloc(2_000, 1_000),
    "far away": iloc(1, 1, 0x88, struct.pack(">QQ", 2**64 - 1, 5)),
    "farther than files can be": iloc(1, 1, 0xFF, b"\xff" * 15 + b"\0" * 14 + b"\5"),
    "endless": iloc(1, 2, 0x88, struct.pack(">QQQQ", 0, 2**63, 0, 2**63)),
}


@pytest.mark.parametrize("name", [*HOSTILE, *HOSTILE_LOCATIONS])
def test_hostile_boxes_are_damage_or_cost_the_metadata_and_no_time(name: str) -> None:
    body = HOSTILE.get(name)
    if body is None:
        items = EXIF_ENTRY + HOSTILE_LOCATIONS[name]
        body = hostile_meta(full_box(b"ipma", b"\0\0\0\1", ASSOCIATION), items=items)
    before = time.process_time()
    if name in HOSTILE.keys() - {"many associations"}:
        with pytest.raises(DamagedImage):
            read_header(io.BytesIO(body), "x")
    else:
        assert size_in(body) == (4, 3)
    if name in HOSTILE_LOCATIONS:
        with suppress(MalformedMetadata):
            assert metadata_in(body).exif is None
    assert time.process_time() - before < CPU_SECONDS


WHOLE = {
    "heic": heic.photo(pixels((64, 64)), irot(1), heic.icc_of(P3), exif=EXIF, xmp=XMP, tiles=2),
    "avif": encoded(pixels((64, 64)), "AVIF", exif=originals.exif(6, SIZE), xmp=XMP),
}


def look(body: bytes) -> None:
    """Read everything; a file of another type may raise only that error."""
    with suppress(DamagedImage, UnreadableResult):
        verify_result(io.BytesIO(body), "x")
    for image_type in ("heic", "avif"):
        with suppress(MalformedMetadata):
            read_metadata(io.BytesIO(body), image_type)


@pytest.mark.parametrize("kind", WHOLE)
def test_mutated_files_are_read_or_damaged_and_nothing_else(kind: str) -> None:
    dice = random.Random(kind)
    meta = WHOLE[kind].index(b"mdat")
    for _ in range(1_500):
        body = bytearray(WHOLE[kind])
        for _ in range(dice.randint(1, 4)):
            body[dice.randrange(meta)] = dice.choice((0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256)))
        end = dice.randrange(len(body)) if dice.random() < 0.2 else len(body)
        look(bytes(body[:end]))


@st.composite
def boxes(draw: Any, depth: int = 3) -> bytes:
    names = st.sampled_from(
        (b"meta", b"iprp", b"ipco", b"ipma", b"iinf", b"infe", b"iloc", b"iref")
    )
    name = draw(names | st.sampled_from((b"pitm", b"ispe", b"clap", b"irot", b"colr", b"idat")))
    body: bytes = draw(st.binary(max_size=24))
    if depth:
        body = body[: draw(st.sampled_from((0, 4, 6)))] + b"".join(
            draw(st.lists(boxes(depth - 1), max_size=3))
        )
    return box(name, body)


@given(st.lists(boxes(), max_size=4))
def test_boxes_in_any_order_are_read_or_damaged_and_nothing_else(found: list[bytes]) -> None:
    pitm = full_box(b"pitm", b"\0\1")
    look(START + full_box(b"meta", pitm, *found))
