"""A stand-in with a fixed job time, for tests of throughput and faults."""

from __future__ import annotations

from dataclasses import replace
from threading import Event
from typing import TYPE_CHECKING

from dropscale.upscaler import Mode
from dropscale_embedded.api.engines import Stopped

if TYPE_CHECKING:
    from dropscale_embedded.api.picture import Picture, Pixels


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
        alpha = None if picture.alpha is None else _repeat(picture.alpha, scale_factor)
        return replace(picture, colour=_repeat(picture.colour, scale_factor), alpha=alpha)


def _repeat(pixels: Pixels, scale_factor: int) -> Pixels:
    return pixels.repeat(scale_factor, axis=0).repeat(scale_factor, axis=1)
