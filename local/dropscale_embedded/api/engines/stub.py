"""A substitute with a fixed job time, for tests of throughput and faults."""

from __future__ import annotations

from dataclasses import replace
from threading import Event
from typing import TYPE_CHECKING

from PIL import Image

from dropscale.upscaler import Mode
from dropscale_embedded.api.engines import Stopped

if TYPE_CHECKING:
    from dropscale_embedded.api.picture import Picture


class StubEngine:
    """Repeats pixels, after a fixed time in seconds."""

    description = "stub: pixels repeated, NO AI model ran"

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def upscale(
        self,
        picture: Picture,
        *,
        scale_factor: int,
        mode: Mode,
        stopping: Event,
    ) -> Picture:
        """Return the picture with `scale_factor` times its width and height."""
        if stopping.wait(self._seconds):
            raise Stopped
        alpha = picture.alpha and _repeat(picture.alpha, scale_factor)
        return replace(picture, colour=_repeat(picture.colour, scale_factor), alpha=alpha)


def _repeat(image: Image.Image, scale_factor: int) -> Image.Image:
    return image.resize(
        (image.width * scale_factor, image.height * scale_factor), Image.Resampling.NEAREST
    )
