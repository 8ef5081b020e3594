"""What a result gets from its original, read by Pillow; and that no fault there costs a result."""

import io
import random
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from PIL import Image, IptcImagePlugin
from PIL.ImageFile import ImageFile

from dropscale.image.metadata.model import MalformedMetadata
from dropscale.image.pixels import Comparison, PixelsUnreadable
from dropscale.image.verify import verify_result
from dropscale.ledger.drops import Source
from dropscale.pipeline.parts.finish import FinishResult
from dropscale.pipeline.parts.ports import FinishedResult, Pixels
from dropscale.specs.effective import OutputSettings
from tests import originals
from tests.fakes import FakeInputBucket, FakePixels
from tests.world import PLENTY

KEY = "cat.jpg"
TWICE = (96, 64)
P3 = originals.profile("Display P3")
STRIP = OutputSettings(metadata="strip")
SWAPPING = range(5, 9)
NOTHING_TO_SEE = FakePixels(Comparison(delta_e=None))
PILLOW_NAMES = {"jpeg": "JPEG", "png": "PNG", "webp": "WEBP"}


@dataclass
class Finished:
    """A finished result as Pillow reads it."""

    body: bytes
    warnings: tuple[str, ...]
    delta_e: float | None = None
    image: ImageFile = field(init=False)

    def __post_init__(self) -> None:
        self.image = Image.open(io.BytesIO(self.body))
        self.image.load()

    @property
    def orientation(self) -> int:
        return int(self.image.getexif().get(originals.ORIENTATION, 1))

    @property
    def caption(self) -> str:
        found = (IptcImagePlugin.getiptcinfo(self.image) or {}).get(originals.CAPTION_DATASET)
        return found.decode() if isinstance(found, bytes) else ""


def source_of(bucket: FakeInputBucket, original: bytes) -> Source:
    bucket.objects[KEY] = original
    version = bucket.head("input", KEY)
    assert version is not None
    return Source(bucket="input", key=KEY, etag=version.etag, sha256="known")


def finish(
    original: bytes,
    result: bytes,
    settings: OutputSettings | None = None,
    pixels: Pixels = NOTHING_TO_SEE,
    **changes: Any,
) -> Finished:
    bucket = FakeInputBucket()
    source = source_of(bucket, original).model_copy(update=changes)
    return finished_with(FinishResult(bucket, pixels), source, result, settings)


def finished_with(
    finisher: FinishResult, source: Source, result: bytes, settings: OutputSettings | None = None
) -> Finished:
    file = io.BytesIO(result)
    with ExitStack() as files:
        settings = settings or OutputSettings()
        done: FinishedResult = finisher(
            file, verify_result(file, KEY), source, settings, files, lambda: PLENTY
        )
        done.file.seek(0)
        told = tuple(warning.message for warning in done.warnings)
        return Finished(done.file.read(), told, done.delta_e)


def result(image_type: str = "png", size: tuple[int, int] = TWICE, **options: Any) -> bytes:
    return originals.encoded(originals.pixels(size), PILLOW_NAMES[image_type], **options)


RESULTS = {
    "png": result("png"),
    "grey png": originals.encoded(originals.pixels(TWICE).convert("L"), "PNG"),
    "palette png": originals.encoded(originals.pixels(TWICE).convert("P"), "PNG"),
    "jpeg": result("jpeg"),
    "progressive jpeg": result("jpeg", progressive=True),
    "webp": result("webp", quality=80),
    "lossless webp": result("webp", lossless=True),
    "webp with alpha": originals.encoded(originals.pixels(TWICE).convert("RGBA"), "WEBP"),
}


@pytest.mark.parametrize("original", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("came", RESULTS)
def test_a_result_gets_its_originals_metadata_and_keeps_its_pixels(
    original: str, came: str
) -> None:
    done = finish(originals.photo(original, icc_profile=P3), RESULTS[came])

    before = Image.open(io.BytesIO(RESULTS[came]))
    assert done.image.mode == before.mode
    assert done.image.tobytes() == before.tobytes()
    exif = done.image.getexif()
    details = exif.get_ifd(originals.EXIF_DIRECTORY)
    assert exif[originals.MAKE] == "Camera Works"
    assert details[originals.DATE_TIME_ORIGINAL] == "2026:11:26 10:00:00"
    assert originals.CREATOR.encode() in done.image.info["xmp"]
    if original != "TIFF":
        assert details[originals.MAKER_NOTE] == originals.NOTE
        assert exif.get_ifd(originals.GPS_DIRECTORY)[originals.GPS_LATITUDE_REF] == "N"
    assert (done.image.info.get("icc_profile") == P3) is (came != "grey png")


@pytest.mark.parametrize("original", ["JPEG", "TIFF"])
def test_iptc_is_given_back_to_jpeg_and_png_and_webp_has_no_room_for_it(original: str) -> None:
    body = originals.photo(original)

    jpeg, png = finish(body, RESULTS["jpeg"]), finish(body, RESULTS["png"])
    webp = finish(body, RESULTS["webp"])

    assert jpeg.caption == originals.CAPTION
    assert jpeg.warnings == png.warnings == ()
    assert originals.CAPTION.encode().hex() in png.image.info["Raw profile type iptc"].replace(
        "\n", ""
    )
    assert webp.warnings == ("webp cannot hold the original's IPTC",)


def test_iptc_in_a_png_is_found_again() -> None:
    once = finish(originals.photo("JPEG"), RESULTS["png"])

    again = finish(once.body, RESULTS["jpeg"])

    assert again.caption == originals.CAPTION


@pytest.mark.parametrize("came", ["png", "jpeg", "webp"])
def test_exif_and_xmp_tell_the_results_size_and_have_no_thumbnail(came: str) -> None:
    done = finish(originals.photo("JPEG"), RESULTS[came])

    details = done.image.getexif().get_ifd(originals.EXIF_DIRECTORY)
    assert (details[originals.PIXEL_X_DIMENSION], details[originals.PIXEL_Y_DIMENSION]) == TWICE
    assert originals.THUMBNAIL_MARK not in done.body
    assert b'PixelXDimension="96"' in done.image.info["xmp"]
    assert b"<exif:PixelYDimension>64<" in done.image.info["xmp"]


@pytest.mark.parametrize("orientation", SWAPPING)
@pytest.mark.parametrize("came", ["png", "jpeg", "webp"])
def test_an_upright_result_is_said_to_be_upright(orientation: int, came: str) -> None:
    done = finish(originals.photo("JPEG", orientation), result(came, TWICE[::-1]))

    assert done.orientation == 1
    assert b'tiff:Orientation="1"' in done.image.info["xmp"]


@pytest.mark.parametrize("settings", [OutputSettings(), STRIP])
@pytest.mark.parametrize("orientation", SWAPPING)
@pytest.mark.parametrize("came", ["png", "jpeg", "webp"])
def test_a_result_that_was_not_turned_says_how_it_is_to_be(
    settings: OutputSettings, orientation: int, came: str
) -> None:
    done = finish(originals.photo("JPEG", orientation), result(came), settings)

    assert done.orientation == orientation


@pytest.mark.parametrize("came", RESULTS)
def test_strip_leaves_the_colour_profile_only(came: str) -> None:
    body = RESULTS[came]
    if came in PILLOW_NAMES:
        body = result(came, exif=originals.exif(), icc_profile=P3)

    done = finish(originals.photo("JPEG", icc_profile=P3), body, STRIP)

    assert not done.image.getexif()
    assert not done.image.info.keys() & {"exif", "xmp", "photoshop", "comment"}
    assert (done.image.info.get("icc_profile") == P3) is (came != "grey png")
    assert originals.CREATOR.encode() not in done.body


@pytest.mark.parametrize("came", ["png", "jpeg", "webp"])
def test_a_results_own_profile_stands(came: str) -> None:
    adobe = originals.profile("Adobe RGB")

    done = finish(originals.photo("JPEG", icc_profile=P3), result(came, icc_profile=adobe))

    assert done.image.info["icc_profile"] == adobe


def test_a_result_that_says_it_is_srgb_gets_no_profile() -> None:
    srgb = RESULTS["png"][:33] + b"\0\0\0\x01sRGB\0\xae\xce\x1c\xe9" + RESULTS["png"][33:]

    assert "icc_profile" not in finish(originals.photo("JPEG", icc_profile=P3), srgb).image.info


@pytest.mark.parametrize("came", ["png", "jpeg", "webp"])
def test_a_long_profile_is_given_back_whole(came: str) -> None:
    more = random.Random(8).randbytes(200_000)
    long = (len(P3) + len(more)).to_bytes(4, "big") + P3[4:] + more

    done = finish(originals.photo("JPEG", icc_profile=long), RESULTS[came])

    assert done.image.info["icc_profile"] == long


def test_what_is_too_long_for_a_jpeg_is_left_out_with_a_warning() -> None:
    packet = originals.xmp().replace(b"</rdf:RDF>", b" " * 70_000 + b"</rdf:RDF>")
    original = originals.encoded(originals.pixels(), "WEBP", xmp=packet, exif=originals.exif())

    done = finish(original, RESULTS["jpeg"])

    assert done.warnings == ("jpeg cannot hold the original's XMP",)
    assert done.image.getexif()[originals.MAKE] == "Camera Works"


def test_an_original_without_metadata_leaves_the_result_as_it_came() -> None:
    plain = originals.encoded(originals.pixels(), "PNG")

    assert finish(plain, RESULTS["jpeg"]).body == RESULTS["jpeg"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"etag": "another"}, "it was overwritten"),
        ({"key": "other.jpg"}, "it was deleted"),
        ({"sha256": None, "image_path": "https://example.com/cat.jpg"}, "it is stored elsewhere"),
    ],
)
def test_without_its_original_the_result_is_published_as_it_came(
    changes: dict[str, Any], why: str
) -> None:
    done = finish(originals.photo("JPEG"), RESULTS["jpeg"], **changes)

    assert done.body == RESULTS["jpeg"]
    assert [why in warning for warning in done.warnings] == [True]


def test_a_bucket_that_cannot_be_read_costs_a_warning() -> None:
    class Broken(FakeInputBucket):
        def open_original(self, *_: Any) -> Any:
            raise ConnectionError("no route")

    done = finished_with(
        FinishResult(Broken(), NOTHING_TO_SEE), source_of(FakeInputBucket(), b""), RESULTS["png"]
    )

    assert done.body == RESULTS["png"]
    assert "ConnectionError: no route" in done.warnings[0]


def test_a_fault_while_it_is_written_costs_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def break_off(_: Any, target: Any, *__: Any, **___: Any) -> None:
        target.write(RESULTS["png"][:100])
        raise MalformedMetadata("broken off")

    monkeypatch.setattr("dropscale.pipeline.parts.finish.rewrite", break_off)

    done = finish(originals.photo("JPEG"), RESULTS["png"])

    assert done.body == RESULTS["png"]
    assert done.warnings == ("The metadata was not restored: MalformedMetadata: broken off",)


def test_what_is_written_is_looked_at_before_it_is_published(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def write_half(_: Any, target: Any, *__: Any, **___: Any) -> None:
        target.write(RESULTS["png"][:-20])

    monkeypatch.setattr("dropscale.pipeline.parts.finish.rewrite", write_half)

    done = finish(originals.photo("JPEG"), RESULTS["png"])

    assert done.body == RESULTS["png"]
    assert len(done.warnings) == 1


def test_pixels_that_cannot_be_looked_at_cost_a_warning() -> None:
    pixels = FakePixels(fail=PixelsUnreadable("no time"))

    done = finish(originals.photo("JPEG", 6), result("png", TWICE[::-1]), pixels=pixels)

    assert done.warnings == ("The result was not verified: PixelsUnreadable: no time",)
    assert (done.orientation, done.delta_e) == (1, None)


def test_a_profile_that_nothing_speaks_for_is_given_back_with_a_warning() -> None:
    done = finish(originals.photo("JPEG", icc_profile=P3), RESULTS["png"])

    assert done.image.info["icc_profile"] == P3
    assert "without a test" in done.warnings[0]


@pytest.mark.parametrize(
    ("seen", "warning"),
    [
        (Comparison(fault="bad data"), "The result does not decode: bad data"),
        (Comparison(delta_e=1.0, is_blank=True), "The result is blank: all of it has one colour"),
        (Comparison(delta_e=12.34), "they differ by 12.3 on average (CIEDE2000), more than 3.0"),
    ],
)
def test_a_suspicious_result_is_delivered_with_a_warning(seen: Comparison, warning: str) -> None:
    done = finish(originals.photo("JPEG"), RESULTS["png"], pixels=FakePixels(seen))

    assert [warning in said for said in done.warnings] == [True]
    assert done.delta_e == seen.delta_e
    assert done.image.getexif()[originals.MAKE] == "Camera Works"
