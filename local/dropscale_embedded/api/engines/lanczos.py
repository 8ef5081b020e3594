"""Resampling without AI, for machines that cannot run the model."""

from functools import partial
from threading import Event

import numpy as np
from PIL import Image

from dropscale.upscaler import Mode
from dropscale_embedded.api.engines.tiles import Tile, enlarge_in_tiles, sharpen
from dropscale_embedded.api.picture import Picture


class LanczosEngine:
    """Resamples with the Lanczos kernel and sharpens according to the mode."""

    description = "Lanczos resampling: NO AI model ran, because ncnn cannot be imported here"

    def upscale(
        self, picture: Picture, *, scale_factor: int, mode: Mode, stopping: Event
    ) -> Picture:
        """Return the picture with `scale_factor` times its width and height."""
        return enlarge_in_tiles(
            picture,
            scale_factor=scale_factor,
            colour=partial(_enlarge, scale_factor=scale_factor, mode=mode),
            alpha=partial(_enlarge, scale_factor=scale_factor, mode=Mode.PRESERVE),
            stopping=stopping,
        )


def _enlarge(tile: Tile, *, scale_factor: int, mode: Mode) -> Tile:
    size = (tile.shape[1] * scale_factor, tile.shape[0] * scale_factor)
    planes = [
        np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.LANCZOS))
        for plane in np.ascontiguousarray(tile.transpose(2, 0, 1))
    ]
    return sharpen(np.stack(planes, axis=2), scale_factor=scale_factor, mode=mode)
