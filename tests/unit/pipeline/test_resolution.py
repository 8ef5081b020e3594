"""Resolution: 300 dpi stay 300 dpi in every format, and none is added; read by Pillow."""

import io
from collections.abc import Iterable
from typing import Any

import pytest
from PIL import Image

from dropscale.specs.effective import OutputFormat
from tests import heic, originals
from tests.originals import encoded, pixels
from tests.unit.pipeline.finishing import SEEN_BY_PILLOW, SIZE, TWICE, Finished, finish

pytestmark = pytest.mark.usefixtures("decoding_here")

X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 282, 283, 296
ADOBE_MARKER = b"\xff\xee"


def exif_with(*, unit: int = 2, dots: float = 300, **tags: Any) -> Image.Exif:
    built = Image.Exif()
    built[originals.MAKE] = "Camera Works"
    built[X_RESOLUTION] = built[Y_RESOLUTION] = dots
    built[RESOLUTION_UNIT] = unit
    return built


ORIGINALS = {
    "JFIF": lambda: encoded(pixels(SIZE), "JPEG", dpi=(300, 300)),
    "pHYs": lambda: encoded(pixels(SIZE), "PNG", dpi=(300, 300)),
    "TIFF": lambda: encoded(pixels(SIZE), "TIFF", dpi=(300, 300)),
    "TIFF by centimetre": lambda: encoded(
        pixels(SIZE), "TIFF", resolution_unit="cm", resolution=118.11
    ),
    "EXIF in JPEG": lambda: encoded(pixels(SIZE), "JPEG", exif=exif_with()),
    "EXIF in WebP": lambda: encoded(pixels(SIZE), "WEBP", exif=exif_with()),
    "EXIF by centimetre": lambda: encoded(pixels(SIZE), "PNG", exif=exif_with(unit=3, dots=118.11)),
    "EXIF in AVIF": lambda: encoded(pixels(SIZE), "AVIF", exif=exif_with()),
    "EXIF in HEIC": lambda: heic.photo(
        pixels(SIZE), exif=exif_with().tobytes().removeprefix(b"Exif\0\0")
    ),
}
"""By where the file says 300 dpi."""


def result_as(came: str) -> bytes:
    """Return a result that says 72 dpi."""
    return encoded(pixels(TWICE), came, dpi=(72, 72))


def resolution_of(done: Finished) -> tuple[float, float] | None:
    """Return what Pillow finds in the format's own field or in EXIF."""
    if "dpi" in done.image.info:
        x, y = done.image.info["dpi"]
        return round(float(x), 1), round(float(y), 1)
    exif = done.image.getexif()
    if X_RESOLUTION not in exif:
        return None
    scale = 2.54 if exif.get(RESOLUTION_UNIT, 2) == 3 else 1
    x, y = (float(exif[tag]) * scale for tag in (X_RESOLUTION, Y_RESOLUTION))
    return round(x, 1), round(y, 1)


def pairs(originals_: Iterable[str]) -> list[tuple[str, str, OutputFormat]]:
    """Each type of original with each format wanted; both come with each type of result."""
    return [
        (original, ("PNG", "JPEG", "WEBP")[(at + number) % 3], wanted)
        for at, original in enumerate(originals_)
        for number, wanted in enumerate(OutputFormat)
    ]


@pytest.mark.parametrize(("told", "came", "wanted"), pairs(ORIGINALS))
def test_300_dpi_stay_300_dpi(told: str, came: str, wanted: OutputFormat) -> None:
    done = finish(ORIGINALS[told](), result_as(came), format=wanted)

    assert done.image.format == SEEN_BY_PILLOW.get(wanted, came)
    assert resolution_of(done) == (300, 300)
    assert done.warnings == ()
    has_field = done.image.format in {"PNG", "JPEG"}
    assert bool(done.image.getexif()) is ("EXIF" in told or "TIFF" in told or not has_field)


@pytest.mark.parametrize(("original", "came", "wanted"), pairs(["PNG", "JPEG", "WEBP", "BMP"]))
def test_none_is_invented_and_no_exif_is(original: str, came: str, wanted: OutputFormat) -> None:
    done = finish(encoded(pixels(SIZE), original), result_as(came), format=wanted)

    assert resolution_of(done) is None
    assert not done.image.getexif()


@pytest.mark.parametrize("wanted", OutputFormat)
def test_exif_gets_no_tag_that_the_original_has_not(wanted: OutputFormat) -> None:
    said = originals.exif(size=SIZE)
    before = Image.Exif()
    before.load(said)

    done = finish(encoded(pixels(SIZE), "JPEG", exif=said), result_as("PNG"), format=wanted)

    after = done.image.getexif()
    assert set(after) == set(before)
    assert set(done.details) == set(before.get_ifd(originals.EXIF_DIRECTORY))
    assert done.details[originals.MAKER_NOTE] == originals.NOTE


def test_a_resolution_is_put_into_exif_that_tells_none_and_all_else_stands() -> None:
    original = encoded(pixels(SIZE), "JPEG", exif=originals.exif(6), dpi=(300, 300))

    done = finish(original, result_as("PNG"), format="webp")

    exif = done.image.getexif()
    assert (exif[X_RESOLUTION], exif[Y_RESOLUTION], exif[RESOLUTION_UNIT]) == (300, 300, 2)
    assert done.details[originals.MAKER_NOTE] == originals.NOTE
    assert exif.get_ifd(originals.GPS_DIRECTORY)[2] == (48.0, 12.0, 30.0)


@pytest.mark.parametrize("wanted", OutputFormat)
def test_it_may_differ_across_and_down(wanted: OutputFormat) -> None:
    original = encoded(pixels(SIZE), dpi=(300, 150))

    assert resolution_of(finish(original, result_as("PNG"), format=wanted)) == (300, 150)


@pytest.mark.parametrize("wanted", ["png", "jpeg", "webp", "avif"])
def test_strip_leaves_it_where_it_takes_no_exif(wanted: str) -> None:
    told = "JFIF" if wanted in {"png", "jpeg"} else "EXIF in JPEG"

    done = finish(ORIGINALS[told](), result_as("PNG"), format=wanted, metadata="strip")

    assert not done.image.getexif()
    assert told != "JFIF" or resolution_of(done) == (300, 300)


def test_a_jpeg_without_jfif_keeps_the_meaning_of_its_colours() -> None:
    rgb = encoded(pixels(TWICE), "JPEG", keep_rgb=True, quality=95)
    assert ADOBE_MARKER in rgb
    assert b"JFIF" not in rgb

    done = finish(ORIGINALS["JFIF"](), rgb)

    assert b"JFIF" not in done.body
    assert resolution_of(done) == (300, 300)
    assert done.image.tobytes() == Image.open(io.BytesIO(rgb)).tobytes()
