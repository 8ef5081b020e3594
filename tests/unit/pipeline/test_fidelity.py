"""Results compared with their originals by libvips; Pillow reads what is published."""

from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image, ImageOps

from dropscale.image.metadata.model import MalformedMetadata
from dropscale.image.pixels import QUALITY_BY_TYPE, Comparison, PixelsUnreadable
from dropscale.ledger.drops import Source
from dropscale.specs.effective import OutputFormat
from dropscale.specs.model import OutputSpec
from tests import heic, originals
from tests.fakes import FakeInputBucket, FakePixels
from tests.originals import encoded, grey16, pixels, with_alpha
from tests.unit.pipeline.finishing import (
    ADOBE,
    FORMATS,
    P3,
    SEEN_BY_PILLOW,
    SIZE,
    TWICE,
    VIPS,
    distance,
    enlarged,
    finish,
)

pytestmark = pytest.mark.usefixtures("decoding_here")
GOOD = encoded(enlarged(pixels(SIZE)))


@pytest.mark.parametrize("wanted", OutputFormat)
@pytest.mark.parametrize("space", [P3, ADOBE])
def test_colours_stay_those_of_the_originals_space(space: bytes, wanted: OutputFormat) -> None:
    wide = originals.in_space(pixels(SIZE), space)
    original = originals.photo("JPEG", icc_profile=space, image=wide)

    done = finish(original, encoded(enlarged(wide)), format=wanted)

    assert done.image.info["icc_profile"] == space
    assert distance(done.image.convert("RGB"), enlarged(wide)) < 4
    assert done.delta_e < 1.5


def test_a_result_that_was_made_srgb_gets_no_other_profile() -> None:
    view = pixels(SIZE)
    original = encoded(originals.in_space(view, P3), "PNG", icc_profile=P3)

    done = finish(original, encoded(enlarged(view)))

    assert "icc_profile" not in done.image.info
    assert done.warnings == ()


def test_a_cmyk_profile_is_none_for_an_rgb_result() -> None:
    cmyk = P3[:16] + b"CMYK" + P3[20:]
    original = originals.photo("JPEG", icc_profile=cmyk, image=pixels(SIZE).convert("CMYK"))

    done = finish(original)

    assert "icc_profile" not in done.image.info
    assert done.image.getexif()[originals.MAKE] == "Camera Works"
    assert "The result's colours are not the original's" in done.warnings[0]


@pytest.mark.parametrize("turned", [True, False])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_made_true(orientation: int, turned: bool) -> None:
    view = pixels(SIZE)
    stored = originals.as_stored(view, orientation)
    original = originals.photo("JPEG", orientation, image=stored)

    done = finish(original, encoded(enlarged(view if turned else stored)))

    assert done.orientation == (1 if turned else orientation)
    assert distance(ImageOps.exif_transpose(done.image), enlarged(view)) < 4
    assert done.warnings == ()


@pytest.mark.parametrize("wanted", FORMATS)
@pytest.mark.parametrize("came", ["PNG", "JPEG", "WEBP"])
def test_every_format_is_written_with_what_the_original_says(
    came: str, wanted: OutputFormat
) -> None:
    view = pixels(SIZE)
    original = originals.photo("JPEG", icc_profile=P3, image=originals.in_space(view, P3))

    done = finish(original, encoded(enlarged(originals.in_space(view, P3)), came), format=wanted)

    assert done.image.format == SEEN_BY_PILLOW[wanted]
    assert done.image.getexif()[originals.MAKE] == "Camera Works"
    assert done.details[originals.DATE_TIME_ORIGINAL] == "2026:11:26 10:00:00"
    assert done.details[originals.PIXEL_X_DIMENSION] == TWICE[0]
    assert originals.CREATOR.encode() in done.image.info["xmp"]
    assert originals.THUMBNAIL_MARK not in done.body
    no_room = (f"{wanted} cannot hold the original's IPTC",)
    assert done.warnings == (no_room if wanted in {"webp", "avif"} else ())


def test_quality_is_that_of_the_spec_and_has_a_value_of_its_own_for_each_format() -> None:
    result = encoded(enlarged(pixels(SIZE)), "JPEG", quality=95)
    original = originals.photo("JPEG", image=pixels(SIZE))

    sizes = [
        len(finish(original, result, format=wanted, quality=quality).body)
        for wanted in QUALITY_BY_TYPE
        for quality in (30, None, 98)
    ]

    for at in range(0, len(sizes), 3):
        assert sizes[at] < sizes[at + 1] < sizes[at + 2]
    text = str(OutputSpec.model_json_schema()["properties"]["quality"]["description"])
    assert all(f"{name} {quality}" in text for name, quality in QUALITY_BY_TYPE.items())


TRANSPARENT: dict[str, Callable[[], bytes]] = {
    "RGBA": lambda: encoded(with_alpha(pixels(SIZE))),
    "grey with alpha": lambda: encoded(with_alpha(pixels(SIZE), "LA")),
    "palette with transparency": lambda: encoded(with_alpha(pixels(SIZE)).quantize(200)),
    "webp": lambda: encoded(with_alpha(pixels(SIZE)), "WEBP", lossless=True),
}


def flattened(mode: str = "RGB") -> Image.Image:
    """Return the result of an upscaler that paints transparent areas black."""
    view = pixels(SIZE)
    flat = Image.new(mode, SIZE)
    flat.paste(view.convert(mode), mask=with_alpha(view).getchannel("A"))
    return enlarged(flat)


@pytest.mark.parametrize("wanted", ["keep", "png", "webp", "avif"])
@pytest.mark.parametrize("came", ["PNG", "JPEG"])
@pytest.mark.parametrize("name", TRANSPARENT)
def test_alpha_that_a_result_lost_is_given_back(name: str, came: str, wanted: str) -> None:
    mode = "L" if name.startswith("grey") else "RGB"
    done = finish(TRANSPARENT[name](), encoded(flattened(mode), came), format=wanted)

    assert done.image.format == SEEN_BY_PILLOW.get(wanted, "PNG")
    alpha = done.image.convert("RGBA").getchannel("A")
    expected = enlarged(with_alpha(pixels(SIZE)).getchannel("A"))
    assert distance(alpha, expected) < 5
    assert distance(done.image.convert(mode), flattened(mode)) < 12
    assert done.warnings == ()


@pytest.mark.parametrize("turned", [True, False])
def test_alpha_is_turned_as_the_result_was(turned: bool) -> None:
    view = with_alpha(pixels(SIZE))
    stored = originals.as_stored(view, 6)
    shown = enlarged(view if turned else stored)

    done = finish(encoded(stored, exif=originals.exif(6)), encoded(shown.convert("RGB")))

    assert distance(done.image.getchannel("A"), shown.getchannel("A")) < 5


def test_alpha_that_a_result_kept_is_left_alone_and_becomes_white_in_a_jpeg() -> None:
    result = encoded(enlarged(with_alpha(pixels(SIZE))))

    assert finish(TRANSPARENT["RGBA"](), result).body == result
    jpeg = finish(TRANSPARENT["RGBA"](), result, format="jpeg").image
    assert jpeg.mode == "RGB"
    assert min(jpeg.getpixel((5, 60))) > 245  # type: ignore[arg-type]


@pytest.mark.parametrize("wanted", OutputFormat)
def test_16_bits_stay_where_the_format_has_room_for_them(wanted: OutputFormat) -> None:
    deep = grey16(SIZE).resize(TWICE, Image.Resampling.NEAREST)

    done = finish(encoded(grey16(SIZE), exif=originals.exif()), encoded(deep), format=wanted)

    assert done.image.size == TWICE
    assert (done.image.mode == "I;16") is (wanted in {"keep", "png"})
    assert wanted != "keep" or done.image.tobytes() == deep.tobytes()
    assert done.image.getexif()[originals.MAKE] == "Camera Works"
    assert done.delta_e < 1.5


@pytest.mark.parametrize("wanted", OutputFormat)
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1)])
def test_the_narrowest_images_are_verified_and_written(
    size: tuple[int, int], wanted: OutputFormat
) -> None:
    view = pixels(SIZE).resize(size)
    twice = size[0] * 2, size[1] * 2

    done = finish(encoded(view), encoded(view.resize(twice)), format=wanted)

    assert done.image.size == twice
    assert done.warnings == ()


@pytest.mark.parametrize("kind", ["avif", "heic", "heic in tiles"])
def test_what_avif_and_heic_originals_say_is_given_back(kind: str) -> None:
    view = pixels(SIZE)
    wide = originals.in_space(view, P3)
    if kind == "avif":
        original = originals.photo("AVIF", icc_profile=P3, image=wide)
    else:
        exif = originals.exif(6).removeprefix(b"Exif\0\0")
        stored = originals.as_stored(wide, 6)
        properties = (heic.icc_of(P3), heic.irot(3))
        tiles = 2 if kind == "heic in tiles" else 1
        original = heic.photo(stored, *properties, exif=exif, xmp=originals.xmp(6), tiles=tiles)

    done = finish(original, encoded(enlarged(originals.in_space(view, P3))))

    assert done.image.info["icc_profile"] == P3
    assert done.image.getexif()[originals.MAKE] == "Camera Works"
    assert originals.CREATOR.encode() in done.image.info["xmp"]
    assert done.orientation == 1
    assert done.delta_e < 1.5
    assert done.warnings == ()


class Failing:
    """libvips with one call that fails."""

    def __init__(self, call: str, nth: int = 1) -> None:
        self._call, self._left = call, nth

    def compare(self, *args: Any, **options: Any) -> Comparison:
        self._fail("compare")
        return VIPS.compare(*args, **options)

    def convert(self, *args: Any, **options: Any) -> None:
        self._fail("convert")
        VIPS.convert(*args, **options)

    def _fail(self, call: str) -> None:
        if call == self._call:
            self._left -= 1
            if self._left == 0:
                raise PixelsUnreadable("broken")


class FailingBucket(FakeInputBucket):
    def open_original(self, source: Source) -> Any:
        raise ConnectionError("broken")


class Spoiling(Failing):
    def convert(self, result: Any, to: Any, target: Any, **_: Any) -> None:
        target.write(encoded(enlarged(pixels(SIZE)).convert("L"), SEEN_BY_PILLOW[to.type]))


def fail(*_: Any, **__: Any) -> Any:
    raise OSError("broken")


def write_part(_: Any, target: Any, *__: Any, **___: Any) -> None:
    target.write(GOOD[:100])
    raise MalformedMetadata("broken off")


def write_half(_: Any, target: Any, *__: Any, **___: Any) -> None:
    target.write(GOOD[:-20])


UNVERIFIED = "The result was not verified: PixelsUnreadable: broken"
FAULTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "open": ("WEBP", "ConnectionError: broken", {"bucket": FailingBucket()}),
    "header": ("WEBP", "broken", {"read_header": fail}),
    "first look": ("WEBP", UNVERIFIED, {"pixels_": Failing("compare")}),
    "metadata": ("WEBP", "broken", {"carry_metadata": fail}),
    "conversion": ("PNG", "broken", {"pixels_": Failing("convert")}),
    "second look": ("PNG", "broken", {"pixels_": Failing("compare", 2)}),
    "writing": ("WEBP", "The metadata was not restored: OSError: broken", {"rewrite": fail}),
    "part written": (
        "WEBP",
        "The metadata was not restored: MalformedMetadata: broken off",
        {"rewrite": write_part},
    ),
    "half written": ("WEBP", "The metadata was not restored: ", {"rewrite": write_half}),
    "disk": ("PNG", "broken", {"_open_temporary_file": fail}),
    "another size": (
        "PNG",
        "The result keeps its format",
        {"pixels_": FakePixels(converted=encoded(pixels((10, 10)), "WEBP"))},
    ),
    "spoilt colours": (
        "PNG",
        "The result keeps its format: ValueError: The result's colours",
        {"pixels_": Spoiling("nothing")},
    ),
}
"""By step: the format that comes, the warning, and what is broken."""


@pytest.mark.parametrize("broken", FAULTS)
def test_a_fault_at_any_step_costs_a_warning_and_no_result(
    monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    comes, warning, changes = FAULTS[broken]
    options = {name: changes[name] for name in changes.keys() & {"bucket", "pixels_"}}
    for name in changes.keys() - options.keys():
        monkeypatch.setattr(f"dropscale.pipeline.parts.finish.{name}", changes[name])

    done = finish(originals.photo("JPEG", image=pixels(SIZE)), GOOD, format="webp", **options)

    assert (done.image.format, done.image.size) == (comes, TWICE)
    assert [each for each in done.warnings if warning in each]
    assert (done.body == GOOD) is (broken == "disk")
