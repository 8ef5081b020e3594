"""What libvips sees of a result beside its original, by a process of its own or, sooner, here."""

import io
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from PIL import Image, ImageCms, ImageEnhance

from dropscale.image.header import read_header
from dropscale.image.pixels import MAX_DELTA_E, Comparison, ImageFile, PixelsUnreadable
from dropscale.image.vips import Vips
from tests import heic, originals
from tests.originals import encoded, pixels, with_alpha

PLENTY_OF_BYTES, SECONDS = 400 * 1024 * 1024, 30.0
SIZE = (96, 64)
P3, ADOBE = (originals.profile(name) for name in ("Display P3", "Adobe RGB"))
HERE = pytest.mark.usefixtures("decoding_here")
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@contextmanager
def opened(body: bytes) -> Iterator[ImageFile]:
    with tempfile.TemporaryFile() as file:
        file.write(body)
        yield ImageFile(file, read_header(io.BytesIO(body), "image").type)


def enlarged(image: Image.Image) -> Image.Image:
    return image.resize((image.width * 2, image.height * 2), Image.Resampling.BICUBIC)


def compare(
    result: bytes, original: bytes, orientation: int = 1, max_bytes: int = PLENTY_OF_BYTES
) -> Comparison:
    with opened(result) as first, opened(original) as second:
        return Vips(max_bytes).compare(
            first, second, orientation=orientation, profile_can_hold=True, seconds=SECONDS
        )


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_a_good_result_is_near_its_original(image_format: str) -> None:
    view = pixels(SIZE)

    found = compare(encoded(enlarged(view), image_format), encoded(view, "PNG"))

    assert found.delta_e is not None
    assert found.delta_e < 1
    assert (found.fault, found.is_blank, found.is_upright) == (None, False, True)


@HERE
@pytest.mark.parametrize("space", [P3, ADOBE])
def test_it_is_seen_whether_a_result_is_still_in_its_originals_colours(space: bytes) -> None:
    view = pixels(SIZE)
    wide = originals.in_space(view, space)
    original = encoded(wide, "PNG", icc_profile=space)

    kept = compare(encoded(enlarged(wide), "PNG"), original)
    converted = compare(encoded(enlarged(view), "PNG"), original)
    mistaken = compare(encoded(enlarged(wide), "PNG", icc_profile=SRGB), original)

    assert (kept.keeps_profile, converted.keeps_profile) == (True, False)
    assert kept.delta_e is not None
    assert mistaken.delta_e is not None
    assert kept.delta_e < 1 < mistaken.delta_e


@HERE
@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_is_seen_whether_a_result_was_turned(orientation: int) -> None:
    view = pixels(SIZE)
    stored = originals.as_stored(view, orientation)
    original = encoded(stored, "JPEG", quality=95)

    upright = compare(encoded(enlarged(view), "PNG"), original, orientation)
    as_stored = compare(encoded(enlarged(stored), "PNG"), original, orientation)

    assert upright.is_upright
    assert as_stored.is_upright is (orientation == 1)
    for found in (upright, as_stored):
        assert found.delta_e is not None
        assert found.delta_e < 1


@HERE
def test_a_square_result_tells_by_its_pixels_whether_it_was_turned() -> None:
    view = pixels((64, 64))
    stored = originals.as_stored(view, 6)

    assert compare(encoded(view, "PNG"), encoded(stored, "PNG"), 6).is_upright
    assert not compare(encoded(stored, "PNG"), encoded(stored, "PNG"), 6).is_upright


@HERE
@pytest.mark.parametrize("tiles", [1, 2])
def test_a_heic_original_is_compared_as_it_is_seen(tiles: int) -> None:
    view = pixels((64, 128))
    body = heic.photo(originals.as_stored(view, 6), heic.irot(3), tiles=tiles)

    good = compare(encoded(enlarged(view), "PNG"), body)
    wrong = compare(encoded(enlarged(view.transpose(Image.Transpose.ROTATE_180)), "PNG"), body)

    assert good.delta_e is not None
    assert wrong.delta_e is not None
    assert good.delta_e < 1 < MAX_DELTA_E < wrong.delta_e


@HERE
def test_a_heic_original_is_compared_in_its_profiles_colours() -> None:
    view = pixels((64, 64))
    original = heic.photo(originals.in_space(view, P3), heic.icc_of(P3))

    kept = compare(encoded(enlarged(originals.in_space(view, P3)), "PNG"), original)
    converted = compare(encoded(enlarged(view), "PNG"), original)

    assert (kept.keeps_profile, converted.keeps_profile) == (True, False)


def test_a_heic_result_is_decoded_whole() -> None:
    body = bytearray(heic.photo(pixels(SIZE)))
    assert compare(bytes(body), encoded(pixels(SIZE), "PNG")).fault is None

    at = body.index(b"mdat") + 4
    body[at : at + 400] = b"\xff" * 400
    assert compare(bytes(body), encoded(pixels(SIZE), "PNG")).fault is not None


def test_a_heic_original_that_does_not_decode_is_not_compared() -> None:
    body = heic.photo(pixels(SIZE))[:-2000]

    found = compare(encoded(enlarged(pixels(SIZE)), "PNG"), body)

    assert (found.delta_e, found.fault) == (None, None)


def test_a_result_is_looked_at_alone_where_its_original_crashes_the_decoder() -> None:
    body = heic.photo(pixels(SIZE), exif=originals.exif()[6:])
    crashing = body.replace(b"\0\0Exif\0", b"\0\0\xffxif\0", 1)  # pi-heif 1.4.0
    assert read_header(io.BytesIO(crashing), "x").type == "heic"

    whole = compare(encoded(enlarged(pixels(SIZE)), "PNG"), crashing)
    damaged = compare(encoded(enlarged(pixels(SIZE)), "PNG")[:-100], crashing)

    assert (whole.fault, whole.delta_e) == (None, None)
    assert damaged.fault is not None


ODD = {
    "16-bit grey": encoded(pixels(SIZE).convert("I;16").point(lambda value: value * 257), "PNG"),
    "grey": encoded(pixels(SIZE).convert("L"), "JPEG"),
    "palette": encoded(pixels(SIZE).quantize(256), "PNG"),
    "tiff": encoded(pixels(SIZE), "TIFF"),
    "bitmap": encoded(pixels(SIZE), "BMP"),
    "palette bitmap": encoded(pixels(SIZE).quantize(256), "BMP"),
    "JPEG 2000": encoded(pixels(SIZE), "JPEG2000"),
    "16-bit grey JPEG 2000": encoded(
        pixels(SIZE).convert("I;16").point(lambda value: value * 257), "JPEG2000"
    ),
}


@HERE
@pytest.mark.parametrize("name", ODD)
def test_odd_originals_can_be_compared(name: str) -> None:
    view = pixels(SIZE)
    shown = view.convert("L") if "grey" in name else view

    found = compare(encoded(enlarged(shown), "PNG"), ODD[name])

    assert found.delta_e is not None
    assert found.delta_e < MAX_DELTA_E / 2


SHIFTS: dict[str, Any] = {
    "red for blue": lambda view: Image.merge("RGB", view.split()[::-1]),
    "no colour": lambda view: view.convert("L"),
    "darker": lambda view: ImageEnhance.Brightness(view).enhance(0.8),
    "another picture": lambda view: view.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
}


@HERE
@pytest.mark.parametrize("name", SHIFTS)
def test_shifted_colours_are_beyond_the_bound(name: str) -> None:
    view = pixels(SIZE)

    found = compare(encoded(enlarged(SHIFTS[name](view)), "PNG"), encoded(view, "PNG"))

    assert found.delta_e is not None
    assert found.delta_e > MAX_DELTA_E


@HERE
def test_a_cmyk_original_is_compared_by_its_colours() -> None:
    view = pixels(SIZE)

    found = compare(encoded(view, "PNG"), encoded(view.convert("CMYK"), "JPEG", quality=95))

    assert found.delta_e is not None
    assert found.delta_e > MAX_DELTA_E  # Pillow's CMYK is no printer's


@HERE
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_lost_alpha_is_seen_and_what_it_hid_is_not_compared(mode: str) -> None:
    view = pixels(SIZE)
    original = with_alpha(view, mode)
    flattened = Image.new(mode[:-1], SIZE, "black")
    flattened.paste(view.convert(mode[:-1]), mask=original.getchannel("A"))

    lost = compare(encoded(enlarged(flattened), "PNG"), encoded(original, "PNG"))
    kept = compare(encoded(enlarged(original), "PNG"), encoded(original, "PNG"))

    assert (lost.lost_alpha, kept.lost_alpha) == (True, False)
    assert lost.delta_e is not None
    assert lost.delta_e < 1


@HERE
def test_alpha_that_hides_nothing_is_not_missed() -> None:
    view = pixels(SIZE)

    assert not compare(encoded(view, "PNG"), encoded(view.convert("RGBA"), "PNG")).lost_alpha


@HERE
def test_a_blank_result_is_seen_unless_its_original_is_blank() -> None:
    blank, view = encoded(Image.new("RGB", SIZE, "teal"), "PNG"), pixels(SIZE)
    invisible = view.copy()
    invisible.putalpha(0)

    assert compare(blank, encoded(view, "PNG")).is_blank
    assert compare(encoded(invisible, "PNG"), encoded(view, "PNG")).is_blank
    assert not compare(blank, blank).is_blank


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_a_result_that_breaks_off_does_not_decode(image_format: str) -> None:
    view = pixels((256, 256))
    body = encoded(view, image_format)

    found = compare(body[: len(body) // 2], encoded(view, "PNG"))

    assert found.fault


def test_data_that_libjpeg_only_warns_of_are_no_good_result() -> None:
    view = pixels((256, 256))
    body = encoded(view, "JPEG")
    middle = len(body) // 2

    assert compare(body[:middle] + body[middle + 100 :], encoded(view, "PNG")).fault


def look_at(result: bytes, seconds: float = SECONDS) -> Comparison:
    with opened(result) as file:
        return Vips(PLENTY_OF_BYTES).compare(
            file, None, orientation=1, profile_can_hold=False, seconds=seconds
        )


def test_without_an_original_a_result_is_decoded_all_the_same() -> None:
    body = encoded(pixels((256, 256)), "PNG")

    assert look_at(body) == Comparison()
    assert look_at(body[: len(body) // 2]).fault


def test_an_original_that_does_not_decode_is_no_fault_of_the_result() -> None:
    original = encoded(pixels((256, 256)), "PNG")

    found = compare(encoded(pixels(SIZE), "PNG"), original[: len(original) // 2])

    assert (found.fault, found.delta_e) == (None, None)


def test_too_little_memory_is_no_fault_of_the_result() -> None:
    large = encoded(Image.new("RGB", (4000, 4000)), "PNG")

    with pytest.raises(PixelsUnreadable, match=r"memory|ended with"):
        compare(large, large, max_bytes=24 * 1024 * 1024)


def test_a_look_that_takes_too_long_is_ended() -> None:
    body = encoded(pixels(SIZE), "PNG")

    with pytest.raises(PixelsUnreadable, match="no time was left"):
        look_at(body, seconds=-5.0)
    with pytest.raises(PixelsUnreadable, match="longer than"):
        look_at(body, seconds=0.001)


def test_a_process_that_cannot_start_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dropscale.image.vips._WORKER", "dropscale.image.nowhere")

    with pytest.raises(PixelsUnreadable, match="No module named"):
        compare(encoded(pixels(SIZE), "PNG"), encoded(pixels(SIZE), "PNG"))


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b'{"comparison": {"delta": 0.5}}',
        b'{"comparison": {"is_blank": 1}}',
        b'{"comparison": {"metadata": {"icx": "AAAA"}}}',
        b'{"comparison": {"metadata": {"icc": "no base64"}}}',
        b'{"comparison": {}, "and": 1}',
    ],
)
def test_an_answer_with_another_field_or_type_is_none(
    monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    done = subprocess.CompletedProcess([], 0, stdout=answer, stderr=b"")
    monkeypatch.setattr("subprocess.run", lambda *_, **__: done)

    with pytest.raises(PixelsUnreadable, match="cannot be read"):
        look_at(encoded(pixels(SIZE), "PNG"))


def test_no_credentials_are_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    seen: dict[str, Any] = {}

    def run(*_: Any, **options: Any) -> None:
        seen.update(options["env"])
        raise PixelsUnreadable("seen enough")

    monkeypatch.setattr("subprocess.run", run)

    with pytest.raises(PixelsUnreadable, match="seen enough"):
        compare(encoded(pixels(SIZE), "PNG"), encoded(pixels(SIZE), "PNG"))
    assert seen["PATH"] == os.environ["PATH"]
    assert not [name for name in seen if "AWS" in name]
