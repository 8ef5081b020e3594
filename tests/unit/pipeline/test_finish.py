"""What a result gets from its original when the pixels are not compared."""

import io
import random
from typing import Any

import pytest
from PIL import Image

from dropscale.image.pixels import Comparison
from tests import originals
from tests.fakes import FakePixels
from tests.originals import encoded, pixels
from tests.unit.pipeline.finishing import (
    ADOBE,
    FORMATS,
    NOT_SEEN,
    P3,
    SEEN_BY_PILLOW,
    SIZE,
    VIPS,
    Finished,
    finish,
)

CAME = ("png", "jpeg", "webp")


def result(image_type: str = "png", size: tuple[int, int] = SIZE, **options: Any) -> bytes:
    return encoded(pixels(size), SEEN_BY_PILLOW[image_type], **options)


RESULTS = {
    "png": result("png"),
    "grey png": encoded(pixels(SIZE).convert("L")),
    "palette png": encoded(pixels(SIZE).convert("P")),
    "jpeg": result("jpeg"),
    "progressive jpeg": result("jpeg", progressive=True),
    "webp": result("webp", quality=80),
    "lossless webp": result("webp", lossless=True),
    "webp with alpha": encoded(pixels(SIZE).convert("RGBA"), "WEBP"),
}


def finished(original: bytes, came: bytes, **options: Any) -> Finished:
    return finish(original, came, NOT_SEEN, **options)


@pytest.mark.parametrize("original", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("came", RESULTS)
def test_a_result_gets_its_originals_metadata_and_keeps_its_pixels(
    original: str, came: str
) -> None:
    done = finished(originals.photo(original, icc_profile=P3), RESULTS[came])

    before = Image.open(io.BytesIO(RESULTS[came]))
    assert done.image.mode == before.mode
    assert done.image.tobytes() == before.tobytes()
    exif = done.image.getexif()
    assert exif[originals.MAKE] == "Camera Works"
    assert done.details[originals.DATE_TIME_ORIGINAL] == "2026:11:26 10:00:00"
    packet = done.image.info["xmp"]
    assert originals.CREATOR.encode() in packet
    assert b'PixelXDimension="%d"' % SIZE[0] in packet
    assert b"<exif:PixelYDimension>%d<" % SIZE[1] in packet
    assert originals.THUMBNAIL_MARK not in done.body
    if original != "TIFF":
        assert done.details[originals.MAKER_NOTE] == originals.NOTE
        assert exif.get_ifd(originals.GPS_DIRECTORY)[originals.GPS_LATITUDE_REF] == "N"
        sides = originals.PIXEL_X_DIMENSION, originals.PIXEL_Y_DIMENSION
        assert tuple(done.details[side] for side in sides) == SIZE
    has_profile = came != "grey png"
    assert (done.image.info.get("icc_profile") == P3) is has_profile
    assert any("without a test" in each for each in done.warnings) is has_profile


@pytest.mark.parametrize("original", ["JPEG", "TIFF", "PNG"])
def test_iptc_is_given_back_to_jpeg_and_png_and_webp_has_no_room_for_it(original: str) -> None:
    body = originals.photo(original)
    if original == "PNG":
        body = finished(originals.photo("JPEG"), RESULTS["png"]).body

    jpeg, png, webp = (finished(body, RESULTS[came]) for came in ("jpeg", "png", "webp"))

    assert jpeg.caption == originals.CAPTION
    assert jpeg.warnings == png.warnings == ()
    told = png.image.info["Raw profile type iptc"].replace("\n", "")
    assert originals.CAPTION.encode().hex() in told
    assert webp.warnings == ("webp cannot hold the original's IPTC",)


@pytest.mark.parametrize("metadata", ["keep", "strip"])
@pytest.mark.parametrize("came", CAME)
def test_a_result_says_how_it_is_to_be_turned_unless_it_was(came: str, metadata: str) -> None:
    for orientation in range(5, 9):
        original = originals.photo("JPEG", orientation)
        turned, lying = (
            finished(original, result(came, size), metadata=metadata) for size in (SIZE[::-1], SIZE)
        )
        assert (turned.orientation, lying.orientation) == (1, orientation)
        if metadata == "keep":
            assert b'tiff:Orientation="1"' in turned.image.info["xmp"]


@pytest.mark.parametrize(
    ("came", "wanted"),
    [*((came, "keep") for came in RESULTS), *(("png", wanted) for wanted in FORMATS)],
)
@pytest.mark.usefixtures("decoding_here")
def test_strip_leaves_the_colour_profile_only(came: str, wanted: str) -> None:
    body = RESULTS[came]
    if came in CAME:
        body = result(came, exif=originals.exif(), icc_profile=P3)

    done = finish(
        originals.photo("JPEG", icc_profile=P3),
        body,
        NOT_SEEN if wanted == "keep" else VIPS,
        format=wanted,
        metadata="strip",
    )

    assert not done.image.getexif()
    assert not done.image.info.keys() & {"exif", "xmp", "photoshop", "comment"}
    assert (done.image.info.get("icc_profile") == P3) is (came != "grey png")
    assert originals.CREATOR.encode() not in done.body


@pytest.mark.parametrize("came", CAME)
def test_a_results_own_profile_stands_and_a_long_one_is_given_back_whole(came: str) -> None:
    more = random.Random(8).randbytes(200_000)
    long = (len(P3) + len(more)).to_bytes(4, "big") + P3[4:] + more

    own = finished(originals.photo("JPEG", icc_profile=P3), result(came, icc_profile=ADOBE))
    given = finished(originals.photo("JPEG", icc_profile=long), RESULTS[came])

    assert own.image.info["icc_profile"] == ADOBE
    assert given.image.info["icc_profile"] == long


def test_a_result_that_says_it_is_srgb_gets_no_profile() -> None:
    srgb = originals.with_png_chunk(RESULTS["png"], b"sRGB", b"\0")

    assert "icc_profile" not in finished(originals.photo("JPEG", icc_profile=P3), srgb).image.info


def test_what_is_too_long_for_a_jpeg_is_left_out_with_a_warning() -> None:
    packet = originals.xmp().replace(b"</rdf:RDF>", b" " * 70_000 + b"</rdf:RDF>")
    original = encoded(pixels(), "WEBP", xmp=packet, exif=originals.exif())

    done = finished(original, RESULTS["jpeg"])

    assert done.warnings == ("jpeg cannot hold the original's XMP",)
    assert done.image.getexif()[originals.MAKE] == "Camera Works"


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ({"etag": "another"}, "it was overwritten"),
        ({"key": "other.jpg"}, "it was deleted"),
        ({"sha256": None, "image_path": "https://example.com/cat.jpg"}, "it is stored elsewhere"),
        (None, None),
    ],
)
def test_without_an_original_or_its_metadata_a_result_is_published_as_it_came(
    source: dict[str, Any] | None, why: str | None
) -> None:
    original = originals.photo("JPEG") if source else encoded(pixels())

    done = finished(original, RESULTS["jpeg"], source=source)

    assert done.body == RESULTS["jpeg"]
    assert [why in warning for warning in done.warnings if why] == [True] * bool(source)


@pytest.mark.parametrize(
    ("seen", "warning"),
    [
        (Comparison(fault="bad data"), "The result does not decode: bad data"),
        (Comparison(delta_e=1.0, is_blank=True), "The result is blank: all of it has one colour"),
        (Comparison(delta_e=12.34), "they differ by 12.3 on average (CIEDE2000), more than 3.0"),
    ],
)
def test_a_suspicious_result_is_delivered_with_a_warning(seen: Comparison, warning: str) -> None:
    done = finish(originals.photo("JPEG"), RESULTS["png"], FakePixels(seen))

    assert [warning in said for said in done.warnings] == [True]
    assert done.delta_e == (seen.delta_e or float("inf"))
    assert done.image.getexif()[originals.MAKE] == "Camera Works"
