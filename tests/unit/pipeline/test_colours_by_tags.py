"""Colours described without a profile: the result shows the same, by Pillow and LittleCMS."""

import io
import struct
from collections.abc import Callable
from itertools import cycle, islice

import numpy as np
import pytest
from PIL import Image, ImageCms

from dropscale.specs.effective import OutputFormat
from tests import heic
from tests.originals import encoded, pixels, with_png_chunk
from tests.unit.pipeline.finishing import FORMATS, SIZE, Finished, distance, enlarged, finish

pytestmark = pytest.mark.usefixtures("decoding_here")

SRGB, BT709, BT2020, P3 = 13, 1, 9, 12
PQ, HLG = 16, 18
P3_CHROMATICITIES = 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000
SRGB_CHROMATICITIES = 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000
NCLX = b"colrnclx"

TO_XYZ = {
    BT709: ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505)),
    P3: ((0.4866, 0.2657, 0.1982), (0.2290, 0.6917, 0.0793), (0.0000, 0.0451, 1.0439)),
    BT2020: ((0.6370, 0.1446, 0.1689), (0.2627, 0.6780, 0.0593), (0.0000, 0.0281, 1.0610)),
}
"""What SMPTE EG 432-1, and ITU-R BT.709 and BT.2020 give, for D65."""


def muted() -> Image.Image:
    """Return an sRGB picture whose colours exist in every space."""
    return Image.fromarray((64 + np.asarray(pixels(SIZE)) * 0.5).astype(np.uint8))


def in_primaries(view: Image.Image, primaries: int) -> Image.Image:
    """Return the pixels in other primaries, with sRGB's curve."""
    encoded_ = np.asarray(view) / 255
    linear = np.where(encoded_ <= 0.04045, encoded_ / 12.92, ((encoded_ + 0.055) / 1.055) ** 2.4)
    matrix = np.linalg.inv(TO_XYZ[primaries]) @ np.array(TO_XYZ[BT709])
    other = np.clip(linear @ matrix.T, 0, 1)
    back = np.where(other <= 0.0031308, other * 12.92, 1.055 * other ** (1 / 2.4) - 0.055)
    return Image.fromarray(np.rint(back * 255).astype(np.uint8))


def by_cicp(view: Image.Image, primaries: int, transfer: int = SRGB) -> bytes:
    return with_png_chunk(encoded(view), b"cICP", bytes([primaries, transfer, 0, 1]))


def by_nclx(
    view: Image.Image, primaries: int, transfer: int = SRGB, *, kind: str = "avif"
) -> bytes:
    body = heic.photo(view) if kind == "heic" else encoded(view, "AVIF", quality=95)
    assert body.count(NCLX) == 1
    at = body.index(NCLX) + len(NCLX)
    return body[:at] + struct.pack(">HH", primaries, transfer) + body[at + 4 :]


def by_chromaticities(view: Image.Image, primaries: int) -> bytes:
    told = {P3: P3_CHROMATICITIES, BT709: SRGB_CHROMATICITIES}[primaries]
    body = with_png_chunk(encoded(view), b"cHRM", struct.pack(">8I", *told))
    return with_png_chunk(body, b"gAMA", struct.pack(">I", 45455))


TOLD: dict[str, Callable[[Image.Image], bytes]] = {
    "P3 by cICP": lambda view: by_cicp(in_primaries(view, P3), P3),
    "BT.2020 by cICP": lambda view: by_cicp(in_primaries(view, BT2020), BT2020),
    "P3 by nclx in AVIF": lambda view: by_nclx(in_primaries(view, P3), P3),
    "BT.2020 by nclx in AVIF": lambda view: by_nclx(in_primaries(view, BT2020), BT2020),
    "P3 by nclx in HEIC": lambda view: by_nclx(in_primaries(view, P3), P3, kind="heic"),
    "P3 by cHRM": lambda view: by_chromaticities(in_primaries(view, P3), P3),
}


def stored(told: str) -> Image.Image:
    return enlarged(in_primaries(muted(), BT2020 if "2020" in told else P3))


def shown(done: Finished) -> Image.Image:
    """Return what is shown in sRGB, by the result's profile."""
    profile = ImageCms.ImageCmsProfile(io.BytesIO(done.image.info["icc_profile"]))
    srgb = ImageCms.createProfile("sRGB")
    shown_ = ImageCms.profileToProfile(done.image, profile, srgb, outputMode="RGB")
    assert shown_ is not None
    return shown_


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        *((told, OutputFormat.KEEP) for told in TOLD),
        *zip(TOLD, islice(cycle(FORMATS), len(TOLD)), strict=True),
    ],
)
def test_a_result_in_the_originals_space_gets_a_profile_that_means_the_same(
    told: str, wanted: OutputFormat
) -> None:
    done = finish(TOLD[told](muted()), encoded(stored(told)), format=wanted)

    assert distance(shown(done), enlarged(muted())) < 3
    assert distance(done.image.convert("RGB"), enlarged(muted())) > 3
    assert done.delta_e < 1.5
    assert done.warnings == ()


@pytest.mark.parametrize("told", TOLD)
def test_a_result_that_was_made_srgb_gets_none_and_a_shifted_one_is_not_called_good(
    told: str,
) -> None:
    done = finish(TOLD[told](muted()), encoded(enlarged(muted())))
    assert "icc_profile" not in done.image.info
    assert done.delta_e < 1.5

    strong = Image.fromarray(255 - np.asarray(pixels(SIZE)) // 2)
    honest = finish(TOLD[told](strong), encoded(enlarged(strong)))
    # It is in another space than it says.
    wrong = finish(TOLD[told](strong), by_cicp(enlarged(strong), BT2020))
    assert wrong.delta_e > honest.delta_e + 2


@pytest.mark.parametrize("wanted", OutputFormat)
def test_the_tag_of_a_result_stands_in_every_format(wanted: OutputFormat) -> None:
    result = by_cicp(enlarged(in_primaries(muted(), P3)), P3)

    done = finish(encoded(muted()), result, format=wanted)

    assert done.delta_e < 1.5
    if wanted in {"keep", "png"}:
        assert b"cICP\x0c\x0d\0\1" in done.body
    else:
        assert distance(shown(done), enlarged(muted())) < 3


@pytest.mark.parametrize(
    "original",
    [
        by_cicp(muted(), BT709),
        by_cicp(muted(), BT709, 1),
        by_chromaticities(muted(), BT709),
        by_nclx(muted(), BT709, 1),
        by_cicp(muted(), 2, 2),
    ],
)
def test_what_is_srgb_or_not_known_gets_no_profile(original: bytes) -> None:
    done = finish(original, encoded(enlarged(muted())))

    assert "icc_profile" not in done.image.info
    assert done.warnings == ()


@pytest.mark.parametrize("transfer", [PQ, HLG])
@pytest.mark.parametrize("tell", [by_cicp, by_nclx])
def test_hdr_is_told(tell: Callable[..., bytes], transfer: int) -> None:
    done = finish(tell(muted(), BT2020, transfer), encoded(enlarged(muted())))

    assert "icc_profile" not in done.image.info
    name = "PQ" if transfer == PQ else "HLG"
    assert [each for each in done.warnings if f"HDR ({name})" in each]
