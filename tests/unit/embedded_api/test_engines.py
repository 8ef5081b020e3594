import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dropscale.upscaler import Mode
from dropscale_embedded.api import Engine, LanczosEngine, ModelEngine, StubEngine, best_engine
from dropscale_embedded.api.engines import Stopped
from dropscale_embedded.api.engines.tiles import Pixels, bleed, image_of, pixels_of
from dropscale_embedded.api.picture import Picture, decode

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture(scope="module")
def model() -> ModelEngine:
    return ModelEngine()


@pytest.fixture(params=["model", "lanczos", "stub"])
def engine(request: pytest.FixtureRequest, model: ModelEngine) -> Engine:
    if request.param == "model":
        return model
    return LanczosEngine() if request.param == "lanczos" else StubEngine(seconds=0)


@dataclass(frozen=True)
class Layers:
    """A picture's pixels, height x width x channels."""

    colour: Pixels
    alpha: Pixels | None

    @classmethod
    def of(cls, picture: Picture) -> "Layers":
        alpha = None if picture.alpha is None else pixels_of(picture.alpha)
        return cls(pixels_of(picture.colour), alpha)


def upscale(
    engine: Engine, picture: Picture, scale_factor: int = 2, mode: Mode = Mode.BALANCED
) -> Layers:
    return Layers.of(
        engine.upscale(picture, scale_factor=scale_factor, mode=mode, stopping=Event())
    )


def picture_of(colour: Pixels, alpha: Pixels | None = None) -> Picture:
    return Picture(image_of(colour), None if alpha is None else image_of(alpha), icc_profile=None)


def photo(name: str) -> Layers:
    return Layers.of(decode((EXAMPLES / name).read_bytes()))


def psnr(one: Pixels, other: Pixels) -> float:
    """Peak signal-to-noise ratio of two 8-bit pictures, in dB."""
    error = np.mean((one.astype(float) - other.astype(float)) ** 2)
    return float(10 * np.log10(255**2 / error))


@pytest.mark.parametrize("scale_factor", [2, 4])
@pytest.mark.parametrize("size", [(1, 1), (3, 140), (33, 17)])
@pytest.mark.parametrize(
    ("channels", "dtype"), [(1, np.uint8), (1, np.uint16), (3, np.uint8)], ids=str
)
@pytest.mark.parametrize("has_alpha", [True, False], ids=["alpha", "no alpha"])
def test_dimensions_are_exact_and_channels_kept(
    engine: Engine,
    size: tuple[int, int],
    scale_factor: int,
    channels: int,
    dtype: type[Any],
    has_alpha: bool,
) -> None:
    colour = np.zeros((*size, channels), dtype)
    alpha = np.full((*size, 1), 128, np.uint8) if has_alpha else None

    result = upscale(engine, picture_of(colour, alpha), scale_factor)

    height, width = size[0] * scale_factor, size[1] * scale_factor
    assert result.colour.shape == (height, width, channels)
    assert result.colour.dtype == dtype
    assert (result.alpha is not None) == has_alpha
    if result.alpha is not None:
        assert result.alpha.shape == (height, width, 1)


def test_the_model_restores_more_of_a_photo_than_lanczos(model: ModelEngine) -> None:
    whole = photo("astronaut.jpg").colour
    small = np.asarray(Image.fromarray(whole).resize((128, 128), Image.Resampling.BICUBIC))

    with_model = psnr(upscale(model, picture_of(small)).colour, whole)
    with_lanczos = psnr(upscale(LanczosEngine(), picture_of(small)).colour, whole)

    assert with_model > with_lanczos + 1


def test_the_modes_differ(model: ModelEngine) -> None:
    small = picture_of(photo("chelsea.jpg").colour[:48, :48])

    results = [upscale(model, small, mode=mode).colour for mode in Mode]

    contrasts = [float(result.std()) for result in results]
    assert contrasts == sorted(contrasts)
    assert len(set(contrasts)) == 3


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("scale_factor", [2, 4])
def test_tiles_leave_no_seam(model: ModelEngine, scale_factor: int, mode: Mode) -> None:
    colour = photo("astronaut.jpg").colour[:40, :170]
    shift = 20  # so that the tiles' borders fall elsewhere
    inside = slice(60 * scale_factor, 150 * scale_factor)

    whole = upscale(model, picture_of(colour), scale_factor, mode).colour
    shifted = upscale(model, picture_of(colour[:, shift:]), scale_factor, mode).colour

    aligned = whole[:, shift * scale_factor :]
    difference = aligned[:, inside].astype(int) - shifted[:, inside]
    assert np.abs(difference).max() <= 1


def test_opaque_stays_opaque_invisible_stays_invisible_and_edges_stay_soft(engine: Engine) -> None:
    ramp = np.array([0] * 12 + [64, 128, 192] + [255] * 12, np.uint8)
    alpha = np.broadcast_to(ramp[:, np.newaxis], (24, len(ramp), 1))

    result = upscale(engine, picture_of(np.full((24, len(ramp), 3), 90, np.uint8), alpha)).alpha

    assert result is not None
    assert (result[:, :16] == 0).all()
    assert (result[:, -16:] == 255).all()
    assert 100 < result[:, 26:28].mean() < 156


def test_invisible_black_does_not_darken_a_visible_edge(model: ModelEngine) -> None:
    colour = np.zeros((32, 32, 3), np.uint8)
    alpha = np.zeros((32, 32, 1), np.uint8)
    colour[8:24, 8:24], alpha[8:24, 8:24] = 230, 255

    result = upscale(model, picture_of(colour, alpha), 4)

    assert result.alpha is not None
    visible = result.colour[result.alpha[..., 0] > 0]
    assert visible.min() > 220


def test_16_bit_grey_gets_more_than_8_bits_of_values(model: ModelEngine) -> None:
    ramp = np.linspace(20_000, 21_000, 64).astype(np.uint16)  # 4 steps of 8 bits

    result = upscale(model, picture_of(np.broadcast_to(ramp[:, np.newaxis], (16, 64, 1)))).colour

    assert len(np.unique(result)) > 100
    assert 19_800 < result.min() < result.max() < 21_200


def test_results_are_the_same_each_time_and_in_each_thread(model: ModelEngine) -> None:
    small = picture_of(photo("coffee.jpg").colour[:60, :150])

    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(lambda _: upscale(model, small).colour.tobytes(), range(4)))

    assert len(set(results)) == 1


def test_an_engine_gives_up_when_the_api_stops(engine: Engine) -> None:
    stopping = Event()
    stopping.set()
    picture = picture_of(photo("chelsea.jpg").colour)

    with pytest.raises(Stopped):
        engine.upscale(picture, scale_factor=2, mode=Mode.BALANCED, stopping=stopping)


def test_the_best_engine_is_the_model_or_says_that_none_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert isinstance(best_engine(), ModelEngine)
    monkeypatch.delitem(sys.modules, "dropscale_embedded.api.engines.model")
    monkeypatch.setitem(sys.modules, "ncnn", None)

    engine = best_engine()

    assert isinstance(engine, LanczosEngine)
    assert "NO AI model" in engine.description


def test_importing_the_api_loads_nothing_heavy() -> None:
    program = "import dropscale_embedded.api, sys; print(*sys.modules)"

    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    ).stdout.split()

    assert not {"numpy", "PIL", "ncnn", "flask", "werkzeug", "pydantic"} & set(loaded)


def test_bleed_spreads_visible_colour_and_changes_no_visible_pixel() -> None:
    colour = np.zeros((9, 9, 3), np.uint8)
    alpha = np.zeros((9, 9, 1), np.uint8)
    colour[4, 4], alpha[4, 4] = (200, 100, 50), 1

    spread = bleed(colour, alpha)

    assert (spread == (200, 100, 50)).all()
    assert not colour[0].any(), "the original was changed"
