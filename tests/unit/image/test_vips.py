"""Vips compares a result with its original, in its own process or, faster, in this one.

That it sees turned pixels and lost alpha is in `tests/unit/pipeline/test_fidelity.py`.
"""

import io
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from PIL import Image, ImageEnhance

from dropscale.image.header import read_header
from dropscale.image.pixels import MAX_DELTA_E, Comparison, ImageFile, PixelsUnreadable
from dropscale.image.vips import Vips
from tests import heic, originals
from tests.originals import SRGB, encoded, grey16, pixels

PLENTY_OF_BYTES, SECONDS = 400 * 1024 * 1024, 30.0
SIZE = (96, 64)
P3, ADOBE = (originals.profile(name) for name in ("Display P3", "Adobe RGB"))
HERE = pytest.mark.usefixtures("decoding_here")


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


def delta_e_of(found: Comparison) -> float:
    assert found.delta_e is not None
    return found.delta_e


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_a_good_result_is_near_its_original(image_format: str) -> None:
    view = pixels(SIZE)

    found = compare(encoded(enlarged(view), image_format), encoded(view))

    assert delta_e_of(found) < 1
    assert (found.fault, found.is_blank, found.is_upright) == (None, False, True)


@HERE
@pytest.mark.parametrize("kind", ["png", "heic"])
@pytest.mark.parametrize("space", [P3, ADOBE])
def test_it_is_seen_whether_a_result_is_still_in_its_originals_colours(
    space: bytes, kind: str
) -> None:
    view = pixels(SIZE)
    wide = originals.in_space(view, space)
    original = encoded(wide, icc_profile=space)
    if kind == "heic":
        original = heic.photo(wide, heic.icc_of(space))

    kept = compare(encoded(enlarged(wide)), original)
    converted = compare(encoded(enlarged(view)), original)
    mistaken = compare(encoded(enlarged(wide), icc_profile=SRGB), original)

    assert (kept.keeps_profile, converted.keeps_profile) == (True, False)
    assert delta_e_of(kept) < 1 < delta_e_of(mistaken)


@HERE
def test_a_square_result_tells_by_its_pixels_whether_it_was_turned() -> None:
    view = pixels((64, 64))
    stored = originals.as_stored(view, 6)

    assert compare(encoded(view), encoded(stored), 6).is_upright
    assert not compare(encoded(stored), encoded(stored), 6).is_upright


@HERE
@pytest.mark.parametrize("tiles", [1, 2])
def test_a_heic_original_is_compared_as_it_is_seen(tiles: int) -> None:
    view = pixels((64, 128))
    body = heic.photo(originals.as_stored(view, 6), heic.irot(3), tiles=tiles)

    good = compare(encoded(enlarged(view)), body)
    wrong = compare(encoded(enlarged(view.transpose(Image.Transpose.ROTATE_180))), body)

    assert delta_e_of(good) < 1 < MAX_DELTA_E < delta_e_of(wrong)


def test_a_result_is_looked_at_alone_where_its_original_crashes_the_decoder() -> None:
    body = heic.photo(pixels(SIZE), exif=originals.exif()[6:])
    crashing = body.replace(b"\0\0Exif\0", b"\0\0\xffxif\0", 1)  # pi-heif 1.4.0
    assert read_header(io.BytesIO(crashing), "x").type == "heic"

    whole = compare(encoded(enlarged(pixels(SIZE))), crashing)
    damaged = compare(encoded(enlarged(pixels(SIZE)))[:-100], crashing)

    assert (whole.fault, whole.delta_e) == (None, None)
    assert damaged.fault is not None


ODD = {
    "16-bit grey": encoded(grey16(SIZE)),
    "grey": encoded(pixels(SIZE).convert("L"), "JPEG"),
    "palette": encoded(pixels(SIZE).quantize(256)),
    "tiff": encoded(pixels(SIZE), "TIFF"),
    "bitmap": encoded(pixels(SIZE), "BMP"),
    "palette bitmap": encoded(pixels(SIZE).quantize(256), "BMP"),
    "JPEG 2000": encoded(pixels(SIZE), "JPEG2000"),
    "16-bit grey JPEG 2000": encoded(grey16(SIZE), "JPEG2000"),
}


@HERE
@pytest.mark.parametrize("name", ODD)
def test_odd_originals_can_be_compared(name: str) -> None:
    shown = pixels(SIZE).convert("L") if "grey" in name else pixels(SIZE)

    assert delta_e_of(compare(encoded(enlarged(shown)), ODD[name])) < MAX_DELTA_E / 2


SHIFTS: dict[str, Any] = {
    "red for blue": lambda view: Image.merge("RGB", view.split()[::-1]),
    "no colour": lambda view: view.convert("L"),
    "darker": lambda view: ImageEnhance.Brightness(view).enhance(0.8),
    "another picture": lambda view: view.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
}


@HERE
@pytest.mark.parametrize("name", [*SHIFTS, "CMYK"])
def test_shifted_colours_are_beyond_the_bound(name: str) -> None:
    view = pixels(SIZE)
    result, original = encoded(view), encoded(view)
    if name == "CMYK":  # Pillow's is no printer's
        original = encoded(view.convert("CMYK"), "JPEG", quality=95)
    else:
        result = encoded(enlarged(SHIFTS[name](view)))

    assert delta_e_of(compare(result, original)) > MAX_DELTA_E


@HERE
def test_a_blank_result_is_seen_unless_its_original_is_blank() -> None:
    blank, view = encoded(Image.new("RGB", SIZE, "teal")), pixels(SIZE)
    invisible = view.copy()
    invisible.putalpha(0)

    assert compare(blank, encoded(view)).is_blank
    assert compare(encoded(invisible), encoded(view)).is_blank
    assert not compare(blank, blank).is_blank


def overwritten(body: bytes, at: int) -> bytes:
    return body[:at] + b"\xff" * 400 + body[at + 400 :]


LARGE = {kind: encoded(pixels((256, 256)), kind) for kind in ("JPEG", "PNG", "WEBP")}
FAULTY = {
    **{kind: body[: len(body) // 2] for kind, body in LARGE.items()},
    "data that libjpeg only warns of": LARGE["JPEG"][: len(LARGE["JPEG"]) // 2]
    + LARGE["JPEG"][len(LARGE["JPEG"]) // 2 + 100 :],
    "HEIC": overwritten(heic.photo(pixels(SIZE)), heic.photo(pixels(SIZE)).index(b"mdat") + 4),
}


@pytest.mark.parametrize("name", FAULTY)
def test_a_result_that_does_not_decode_whole_is_found_out(name: str) -> None:
    assert compare(FAULTY[name], LARGE["PNG"]).fault
    if name == "HEIC":
        assert compare(heic.photo(pixels(SIZE)), encoded(pixels(SIZE))).fault is None


def look_at(result: bytes, seconds: float = SECONDS) -> Comparison:
    with opened(result) as file:
        return Vips(PLENTY_OF_BYTES).compare(
            file, None, orientation=1, profile_can_hold=False, seconds=seconds
        )


def test_without_an_original_a_result_is_decoded_all_the_same() -> None:
    assert look_at(LARGE["PNG"]) == Comparison()
    assert look_at(FAULTY["PNG"]).fault


@pytest.mark.parametrize("original", [FAULTY["PNG"], heic.photo(pixels(SIZE))[:-2000]])
def test_an_original_that_does_not_decode_is_no_fault_of_the_result(original: bytes) -> None:
    found = compare(encoded(pixels(SIZE)), original)

    assert (found.fault, found.delta_e) == (None, None)


def test_too_little_memory_is_no_fault_of_the_result() -> None:
    large = encoded(Image.new("RGB", (4000, 4000)))

    with pytest.raises(PixelsUnreadable, match=r"memory|ended with"):
        compare(large, large, max_bytes=24 * 1024 * 1024)


def test_a_look_that_takes_too_long_is_ended() -> None:
    body = encoded(pixels(SIZE))

    with pytest.raises(PixelsUnreadable, match="no time was left"):
        look_at(body, seconds=-5.0)
    with pytest.raises(PixelsUnreadable, match="longer than"):
        look_at(body, seconds=0.001)


def test_a_process_that_cannot_start_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dropscale.image.vips._WORKER", "dropscale.image.nowhere")

    with pytest.raises(PixelsUnreadable, match="No module named"):
        compare(encoded(pixels(SIZE)), encoded(pixels(SIZE)))


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
        look_at(encoded(pixels(SIZE)))


def test_no_credentials_are_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    seen: dict[str, Any] = {}

    def run(*_: Any, **options: Any) -> None:
        seen.update(options["env"])
        raise PixelsUnreadable("seen enough")

    monkeypatch.setattr("subprocess.run", run)

    with pytest.raises(PixelsUnreadable, match="seen enough"):
        compare(encoded(pixels(SIZE)), encoded(pixels(SIZE)))
    assert seen["PATH"] == os.environ["PATH"]
    assert not [name for name in seen if "AWS" in name]
