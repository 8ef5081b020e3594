"""How far results are from their originals in colour, by mode and by fault: docs/results.md.

python -m tests.bench.colours
"""

import io
import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from threading import Event

from PIL import Image, ImageCms, ImageEnhance

from dropscale.image.header import read_header
from dropscale.image.pixels import MAX_DELTA_E, ImageFile
from dropscale.image.vips import Vips
from dropscale.upscaler import SCALE_FACTORS, Mode
from dropscale_embedded.api.engines import best_engine
from dropscale_embedded.api.picture import decode, encode
from tests import originals

EXAMPLES = Path(__file__).parents[2] / "examples"
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
VIPS = Vips(1024 * 1024 * 1024)


def main() -> None:
    """Measure all examples and print the least and the most of each."""
    photos = [
        path.read_bytes() for kind in ("jpg", "png") for path in sorted(EXAMPLES.rglob(f"*.{kind}"))
    ]
    engine = best_engine()
    for factor in SCALE_FACTORS:
        for mode in Mode:

            def upscaled(photo: bytes, factor: int = factor, mode: Mode = mode) -> bytes:
                return encode(
                    engine.upscale(decode(photo), scale_factor=factor, mode=mode, stopping=Event())
                )

            tell(f"{factor}x {mode}", [(upscaled(photo), photo) for photo in photos])
    for name, fault in FAULTS.items():
        tell(name, [fault(Image.open(io.BytesIO(photo)).convert("RGB")) for photo in photos])
    print(f"bound: {MAX_DELTA_E}")  # noqa: T201 # this is its output


def tell(name: str, pairs: list[tuple[bytes, bytes]]) -> None:
    """Print the least and the most difference among results and their originals."""
    found = [difference(*pair) for pair in pairs]
    print(f"{name:28}{min(found):6.2f} to {max(found):.2f}")  # noqa: T201 # this is its output


def difference(result: bytes, original: bytes) -> float:
    """Return the mean difference as deliver measures it."""
    with tempfile.TemporaryFile() as one, tempfile.TemporaryFile() as other:
        images = []
        for file, body in ((one, result), (other, original)):
            file.write(body)
            images.append(ImageFile(file, read_header(io.BytesIO(body), "image").type))
        seen = VIPS.compare(*images, orientation=1, profile_can_hold=True, seconds=60)
    if seen.delta_e is None:
        raise ValueError(seen)
    return seen.delta_e


Fault = Callable[[Image.Image], tuple[bytes, bytes]]
"""Makes of a photo a faulty result and its original."""


def changed(change: Callable[[Image.Image], Image.Image]) -> Fault:
    """Return the fault of a result whose pixels are changed."""
    return lambda photo: (result(change(photo)), originals.encoded(photo, "PNG"))


def result(photo: Image.Image, profile: bytes | None = None) -> bytes:
    size = photo.width * 2, photo.height * 2
    return originals.encoded(photo.resize(size), "PNG", icc_profile=profile)


def taken_for_srgb(space: str) -> Fault:
    """Return the fault of a result that says it is sRGB, and is not."""
    profile = originals.profile(space)

    def fault(photo: Image.Image) -> tuple[bytes, bytes]:
        wide = originals.in_space(photo, profile)
        return result(wide, SRGB), originals.encoded(wide, "PNG", icc_profile=profile)

    return fault


def cmyk(photo: Image.Image) -> tuple[bytes, bytes]:
    """A result of a CMYK original that was converted without regard to its inks."""
    inks = photo.convert("CMYK")
    return result(inks.convert("RGB")), originals.encoded(inks, "JPEG", quality=95)


def gamma(value: float) -> float:
    return 255 * math.pow(value / 255, 2.2 / 1.8)


FAULTS: dict[str, Fault] = {
    "Display P3 taken for sRGB": taken_for_srgb("Display P3"),
    "Adobe RGB taken for sRGB": taken_for_srgb("Adobe RGB"),
    "10 % brighter": changed(lambda photo: ImageEnhance.Brightness(photo).enhance(1.1)),
    "gamma 1.8 for 2.2": changed(lambda photo: photo.point(gamma)),
    "CMYK without its profile": cmyk,
    "no colour": changed(lambda photo: photo.convert("L")),
    "red for blue": changed(lambda photo: Image.merge("RGB", photo.split()[::-1])),
}

if __name__ == "__main__":
    main()
