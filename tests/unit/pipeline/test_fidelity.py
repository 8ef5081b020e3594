"""Results beside their originals, as libvips sees both and Pillow reads what comes out."""

import io
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from dropscale.coded_warning import CodedWarning
from dropscale.image.pixels import QUALITY_BY_TYPE, Comparison, PixelsUnreadable
from dropscale.image.verify import verify_result
from dropscale.image.vips import Vips
from dropscale.ledger.drops import Source
from dropscale.pipeline.parts.finish import FinishResult
from dropscale.pipeline.parts.ports import Pixels
from dropscale.specs.effective import OutputFormat, OutputSettings
from dropscale.specs.model import OutputSpec
from tests import heic, originals
from tests.fakes import FakeInputBucket, FakePixels
from tests.originals import encoded, pixels, with_alpha
from tests.world import PLENTY

SIZE, TWICE = (96, 64), (192, 128)
KEY = "cat"
VIPS = Vips(400 * 1024 * 1024)
P3, ADOBE = (originals.profile(name) for name in ("Display P3", "Adobe RGB"))
FORMATS = [each for each in OutputFormat if each is not OutputFormat.KEEP]
SEEN_BY_PILLOW = {"png": "PNG", "jpeg": "JPEG", "webp": "WEBP", "avif": "AVIF"}


pytestmark = pytest.mark.usefixtures("decoding_here")


class Finished:
    """A finished result as Pillow reads it."""

    def __init__(
        self, body: bytes, warnings: tuple[CodedWarning, ...], delta_e: float | None
    ) -> None:
        self.body, self.delta_e = body, delta_e
        self.warnings = tuple(warning.message for warning in warnings)
        self.codes = [warning.code for warning in warnings]
        self.image = Image.open(io.BytesIO(body))
        self.image.load()

    @property
    def orientation(self) -> int:
        return int(self.image.getexif().get(originals.ORIENTATION, 1))


def finish(
    original: bytes,
    result: bytes,
    pixels_: Pixels = VIPS,
    bucket: FakeInputBucket | None = None,
    **settings: Any,
) -> Finished:
    bucket = bucket or FakeInputBucket()
    bucket.objects[KEY] = original
    version = bucket.head("input", KEY)
    assert version is not None
    source = Source(bucket="input", key=KEY, etag=version.etag, sha256="known")
    wanted = OutputSettings(**settings)
    with ExitStack() as files:
        file = io.BytesIO(result) if isinstance(pixels_, FakePixels) else on_disk(files, result)
        header = verify_result(file, KEY)
        finisher = FinishResult(bucket, pixels_)
        done = finisher(file, header, source, wanted, files, lambda: PLENTY)
        done.file.seek(0)
        return Finished(done.file.read(), done.warnings, done.delta_e)


def on_disk(files: ExitStack, body: bytes) -> Any:
    bucket = FakeInputBucket()
    bucket.objects[KEY] = body
    version = bucket.head("input", KEY)
    assert version is not None
    opening = bucket.open_original(Source(bucket="input", key=KEY, etag=version.etag))
    return files.enter_context(opening)


def enlarged(image: Image.Image) -> Image.Image:
    return image.resize(TWICE if image.width > image.height else TWICE[::-1])


def distance(one: Image.Image, other: Image.Image) -> float:
    """Return the mean difference of two pictures' values, of 255."""
    first, second = (np.asarray(each, dtype=float) for each in (one, other))
    return float(np.abs(first - second).mean())


@pytest.mark.parametrize("wanted", OutputFormat)
@pytest.mark.parametrize("space", [P3, ADOBE])
def test_colours_stay_those_of_the_originals_space(space: bytes, wanted: OutputFormat) -> None:
    wide = originals.in_space(pixels(SIZE), space)
    original = originals.photo("JPEG", icc_profile=space, image=wide)

    done = finish(original, encoded(enlarged(wide), "PNG"), format=wanted)

    assert done.image.info["icc_profile"] == space
    assert distance(done.image.convert("RGB"), enlarged(wide)) < 4
    assert done.delta_e is not None
    assert done.delta_e < 1.5


def test_a_result_that_was_made_srgb_gets_no_other_profile() -> None:
    view = pixels(SIZE)
    original = encoded(originals.in_space(view, P3), "PNG", icc_profile=P3)

    done = finish(original, encoded(enlarged(view), "PNG"))

    assert "icc_profile" not in done.image.info
    assert done.warnings == ()


def test_a_cmyk_profile_is_none_for_an_rgb_result() -> None:
    cmyk = P3[:16] + b"CMYK" + P3[20:]
    original = originals.photo("JPEG", icc_profile=cmyk, image=pixels(SIZE).convert("CMYK"))

    done = finish(original, encoded(enlarged(pixels(SIZE)), "PNG"))

    assert "icc_profile" not in done.image.info
    assert done.image.getexif()[originals.MAKE] == "Camera Works"
    assert "The result's colours are not the original's" in done.warnings[0]


@pytest.mark.parametrize("turned", [True, False])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_made_true(orientation: int, turned: bool) -> None:
    view = pixels(SIZE)
    stored = originals.as_stored(view, orientation)
    original = originals.photo("JPEG", orientation, image=stored)

    done = finish(original, encoded(enlarged(view if turned else stored), "PNG"))

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
    exif = done.image.getexif()
    details = exif.get_ifd(originals.EXIF_DIRECTORY)
    assert exif[originals.MAKE] == "Camera Works"
    assert details[originals.DATE_TIME_ORIGINAL] == "2026:11:26 10:00:00"
    assert details[originals.PIXEL_X_DIMENSION] == TWICE[0]
    assert originals.CREATOR.encode() in done.image.info["xmp"]
    assert originals.THUMBNAIL_MARK not in done.body
    no_room = (f"{wanted} cannot hold the original's IPTC",)
    assert done.warnings == (no_room if wanted in {"webp", "avif"} else ())


@pytest.mark.parametrize("wanted", FORMATS)
def test_strip_leaves_nothing_that_tells_of_the_photo(wanted: OutputFormat) -> None:
    own = encoded(enlarged(pixels(SIZE)), "PNG", exif=originals.exif(), icc_profile=P3)

    done = finish(originals.photo("JPEG"), own, format=wanted, metadata="strip")

    assert not done.image.getexif()
    assert not done.image.info.keys() & {"exif", "xmp", "photoshop", "comment"}
    assert done.image.info["icc_profile"] == P3
    assert originals.CREATOR.encode() not in done.body


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
    "RGBA": lambda: encoded(with_alpha(pixels(SIZE)), "PNG"),
    "grey with alpha": lambda: encoded(with_alpha(pixels(SIZE), "LA"), "PNG"),
    "palette with transparency": lambda: encoded(with_alpha(pixels(SIZE)).quantize(200), "PNG"),
    "webp": lambda: encoded(with_alpha(pixels(SIZE)), "WEBP", lossless=True),
}


def flattened(mode: str = "RGB") -> Image.Image:
    """Return the result of an upscaler that paints what is transparent black."""
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

    done = finish(
        encoded(stored, "PNG", exif=originals.exif(6)), encoded(shown.convert("RGB"), "PNG")
    )

    assert distance(done.image.getchannel("A"), shown.getchannel("A")) < 5


def test_alpha_that_a_result_kept_is_left_alone() -> None:
    result = encoded(enlarged(with_alpha(pixels(SIZE))), "PNG")

    assert finish(TRANSPARENT["RGBA"](), result).body == result


def test_what_is_transparent_becomes_white_in_a_jpeg() -> None:
    result = encoded(enlarged(with_alpha(pixels(SIZE))), "PNG")

    done = finish(TRANSPARENT["RGBA"](), result, format="jpeg")

    assert done.image.mode == "RGB"
    assert min(done.image.getpixel((5, 60))) > 245  # type: ignore[arg-type]


@pytest.mark.parametrize("wanted", FORMATS)
def test_16_bits_stay_where_the_format_has_room_for_them(wanted: OutputFormat) -> None:
    grey = pixels(SIZE).convert("L").convert("I;16").point(lambda value: value * 257)
    deep = grey.resize(TWICE, Image.Resampling.NEAREST)

    done = finish(encoded(grey, "PNG"), encoded(deep, "PNG"), format=wanted)

    assert done.image.size == TWICE
    assert (done.image.mode == "I;16") is (wanted == "png")
    assert done.delta_e is not None
    assert done.delta_e < 1.5


@pytest.mark.parametrize("wanted", OutputFormat)
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1)])
def test_the_narrowest_images_are_verified_and_written(
    size: tuple[int, int], wanted: OutputFormat
) -> None:
    view = pixels(SIZE).resize(size)
    twice = size[0] * 2, size[1] * 2

    done = finish(encoded(view, "PNG"), encoded(view.resize(twice), "PNG"), format=wanted)

    assert done.image.size == twice
    assert done.delta_e is not None
    assert done.warnings == ()


def test_16_bits_of_a_result_as_it_came_are_not_touched() -> None:
    grey = pixels(SIZE).convert("L").convert("I;16").point(lambda value: value * 257)
    original = encoded(grey, "PNG", exif=originals.exif())

    done = finish(original, encoded(grey.resize(TWICE), "PNG"))

    assert done.image.mode == "I;16"
    assert done.image.tobytes() == grey.resize(TWICE).tobytes()
    assert done.image.getexif()[originals.MAKE] == "Camera Works"


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

    done = finish(original, encoded(enlarged(originals.in_space(view, P3)), "PNG"))

    assert done.image.info["icc_profile"] == P3
    assert done.image.getexif()[originals.MAKE] == "Camera Works"
    assert originals.CREATOR.encode() in done.image.info["xmp"]
    assert done.orientation == 1
    assert done.delta_e is not None
    assert done.delta_e < 1.5
    assert done.warnings == ()


class Failing:
    """libvips, of which one call fails."""

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


def fail(*_: Any, **__: Any) -> Any:
    raise OSError("broken")


@pytest.mark.parametrize(
    ("broken", "comes"),
    [
        ("open", "WEBP"),
        ("header", "WEBP"),
        ("first look", "WEBP"),
        ("metadata", "WEBP"),
        ("conversion", "PNG"),
        ("second look", "PNG"),
        ("writing", "WEBP"),
        ("disk", "PNG"),
    ],
)
def test_a_fault_at_any_step_costs_a_warning_and_no_result(
    monkeypatch: pytest.MonkeyPatch, broken: str, comes: str
) -> None:
    seams = {"header": "read_header", "metadata": "carry_metadata", "writing": "rewrite"}
    seams |= {"disk": "_open_temporary_file"}
    if broken in seams:
        monkeypatch.setattr(f"dropscale.pipeline.parts.finish.{seams[broken]}", fail)
    looks = {"first look": Failing("compare"), "second look": Failing("compare", 2)}
    looks["conversion"] = Failing("convert")
    result = encoded(enlarged(pixels(SIZE)), "PNG")

    done = finish(
        originals.photo("JPEG", image=pixels(SIZE)),
        result,
        looks.get(broken, VIPS),
        FailingBucket() if broken == "open" else None,
        format="webp",
    )

    assert done.image.format == comes
    assert done.image.size == TWICE
    assert any("broken" in warning for warning in done.warnings)
    assert (done.body == result) is (broken == "disk")


def test_a_conversion_that_spoils_the_colours_is_not_published() -> None:
    class Spoiling(Failing):
        def convert(self, result: Any, to: Any, target: Any, **_: Any) -> None:
            target.write(encoded(enlarged(pixels(SIZE)).convert("L"), SEEN_BY_PILLOW[to.type]))

    done = finish(
        encoded(pixels(SIZE), "PNG"),
        encoded(enlarged(pixels(SIZE)), "PNG"),
        Spoiling("nothing"),
        format="webp",
    )

    assert done.image.format == "PNG"
    assert "The result keeps its format: ValueError: The result's colours" in done.warnings[0]


def test_a_conversion_of_another_size_is_not_published() -> None:
    pixels_ = FakePixels(converted=encoded(pixels((10, 10)), "WEBP"))

    done = finish(
        encoded(pixels(SIZE), "PNG"), encoded(pixels(TWICE), "PNG"), pixels_, format="webp"
    )

    assert done.image.format == "PNG"
    assert "The result keeps its format" in done.warnings[0]
