"""Engines that enlarge a picture: an AI model, plain resampling, and a stub for tests."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING, Protocol

from dropscale.upscaler import Mode

if TYPE_CHECKING:  # importing numpy is slow, and an engine is named before it works
    from dropscale_embedded.api.picture import Picture


class Stopped(Exception):
    """The API is being stopped; the picture was not finished."""


class Engine(Protocol):
    """Enlarges pictures. Many threads may use one engine at a time.

    Attributes:
        description: what does the work, for people; says so if it is not an AI model.
    """

    description: str

    def upscale(
        self, picture: Picture, *, scale_factor: int, mode: Mode, stopping: Event
    ) -> Picture:
        """Return the picture with `scale_factor` times its width and height.

        The same picture, factor and mode always give the same pixels.

        Args:
            picture: the picture to enlarge; its dtype and channels are kept.
            scale_factor: 2 or 4.
            mode: how far the result may differ from the original.
            stopping: when it is set, the engine stops soon.

        Raises:
            Stopped: `stopping` was set before the picture was finished.
        """
        ...


def best_engine() -> Engine:
    """Return the AI model, or Lanczos resampling if the model's runtime cannot be imported."""
    try:
        # ncnn and the weights have no build for some platforms; other engines need not import them.
        from dropscale_embedded.api.engines.model import ModelEngine  # noqa: PLC0415
    except ImportError:
        from dropscale_embedded.api.engines.lanczos import LanczosEngine  # noqa: PLC0415

        return LanczosEngine()
    return ModelEngine()
