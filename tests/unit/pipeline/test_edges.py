"""Grey with a grey profile, CMYK, and an orientation only in XMP; read by Pillow."""

import io

import pytest
from PIL import Image, ImageOps
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from dropscale.image.header import read_header
from dropscale.specs.effective import OutputFormat
from tests import originals
from tests.originals import encoded, pixels
from tests.unit.pipeline.finishing import SIZE, distance, enlarged, finish

pytestmark = pytest.mark.usefixtures("decoding_here")

GAMMA = 1.4
GREY = originals.profile("grey", GAMMA)  # far from sRGB's curve


def shown(stored: Image.Image) -> Image.Image:
    """Return what a grey picture of that profile shows, in sRGB."""

    def srgb(value: int) -> int:
        linear = float((value / 255) ** GAMMA)
        low = linear <= 0.0031308
        return round(255 * (12.92 * linear if low else 1.055 * linear ** (1 / 2.4) - 0.055))

    return stored.point([srgb(value) for value in range(256)])


@pytest.mark.parametrize("wanted", OutputFormat)
@pytest.mark.parametrize("original", ["PNG", "JPEG"])
def test_grey_with_a_grey_profile_looks_the_same_in_every_format(
    original: str, wanted: OutputFormat
) -> None:
    view = pixels(SIZE).convert("L")
    body = encoded(view, original, icc_profile=GREY)

    done = finish(body, encoded(enlarged(view), "PNG"), format=wanted)

    assert done.warnings == ()
    if wanted in {"webp", "avif"}:
        assert done.image.info.get("icc_profile", b"")[16:20] != b"GRAY"
        assert distance(done.image.convert("L"), shown(enlarged(view))) < 4
    else:
        assert done.image.mode == "L"
        assert done.image.info["icc_profile"] == GREY
        assert distance(done.image, enlarged(view)) < 4
    assert done.delta_e < 1.5


@pytest.mark.parametrize("turned", [True, False])
@pytest.mark.parametrize("orientation", [3, 6, 8])
@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "PNG", "TIFF"])
def test_an_orientation_that_only_xmp_tells_is_followed(
    kind: str, orientation: int, turned: bool
) -> None:
    view = pixels(SIZE)
    stored = originals.as_stored(view, orientation)
    body = originals.photo(kind, orientation, image=stored)
    without_exif = Image.Exif()
    if kind == "TIFF":
        tags = ImageFileDirectory_v2()
        tags[700] = originals.xmp(orientation)
        body = encoded(stored, kind, tiffinfo=tags)
    elif kind == "PNG":
        body = body.replace(b"eXIf", b"exIf")
    else:
        body = encoded(stored, kind, xmp=originals.xmp(orientation), exif=without_exif)

    header = read_header(io.BytesIO(body), kind)
    done = finish(body, encoded(enlarged(view if turned else stored), "PNG"))

    assert (header.width, header.height) == view.size
    assert distance(ImageOps.exif_transpose(done.image), enlarged(view)) < 4
    told = 1 if turned else orientation
    assert f'tiff:Orientation="{told}"'.encode() in done.image.info["xmp"]
    assert done.warnings == ()
