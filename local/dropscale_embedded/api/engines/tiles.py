"""Enlarging a picture tile by tile, so that memory holds one tile's floats and never all of them.

A tile is a float32 array of height x width x channels with values from 0 to 1; channels is 1
(grey, or alpha) or 3 (RGB).
"""

import math
from collections.abc import Callable
from dataclasses import replace
from threading import Event

import numpy as np
import numpy.typing as npt

from dropscale.upscaler import Mode
from dropscale_embedded.api.engines import Stopped
from dropscale_embedded.api.picture import Picture, Pixels, bleed

Tile = npt.NDArray[np.float32]
EnlargeTile = Callable[[Tile], Tile]
"""Enlarges a tile; may crop the same amount from all sides, within the margin."""

TILE_SIDE = 128
_MARGIN_BY_SCALE_FACTOR = {2: 10, 4: 14}
"""Pixels around a tile: what waifu2x's convolutions eat, plus the reach of `sharpen` below."""

_UNSHARP_MASK_BY_MODE = {Mode.PRESERVE: (0.0, 0.0), Mode.BALANCED: (0.6, 0.3)} | {
    Mode.CREATIVE: (1.0, 0.6)
}
"""Radius in pixels of the original, and amount."""


def enlarge_in_tiles(
    picture: Picture,
    *,
    scale_factor: int,
    colour: EnlargeTile,
    alpha: EnlargeTile,
    stopping: Event,
) -> Picture:
    """Return the picture enlarged, its colours by one function and its alpha by another.

    Raises:
        Stopped: `stopping` was set.
    """
    if picture.alpha is None:
        return replace(picture, colour=_enlarge(picture.colour, scale_factor, colour, stopping))
    return replace(
        picture,
        colour=_enlarge(bleed(picture.colour, picture.alpha), scale_factor, colour, stopping),
        alpha=_enlarge(picture.alpha, scale_factor, alpha, stopping),
    )


def sharpen(tile: Tile, *, scale_factor: int, mode: Mode) -> Tile:
    """Return an enlarged tile with the unsharp mask of the mode.

    The mask is that of the brightness alone, which keeps colour noise from growing with it.
    """
    radius, amount = _UNSHARP_MASK_BY_MODE[mode]
    if not amount:
        return tile
    brightness: Tile = tile.mean(axis=2)
    detail = brightness - _gaussian_blur(brightness, radius * scale_factor)
    return tile + np.float32(amount) * detail[..., np.newaxis]


def _enlarge(
    pixels: Pixels, scale_factor: int, enlarge_tile: EnlargeTile, stopping: Event
) -> Pixels:
    height, width, channels = pixels.shape
    margin = _MARGIN_BY_SCALE_FACTOR[scale_factor]
    peak = np.float32(np.iinfo(pixels.dtype).max)
    padded = np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    enlarged = np.empty((height * scale_factor, width * scale_factor, channels), pixels.dtype)
    for top in range(0, height, TILE_SIDE):
        for left in range(0, width, TILE_SIDE):
            if stopping.is_set():
                raise Stopped
            # A slice that passes the end of an axis is cut off there: the last tiles are smaller.
            target = enlarged[_span(top, scale_factor), _span(left, scale_factor)]
            source = padded[
                top : top + TILE_SIDE + 2 * margin, left : left + TILE_SIDE + 2 * margin
            ]
            tile = enlarge_tile(source.astype(np.float32) / peak)
            target[:] = np.rint(_centre(tile, *target.shape[:2]).clip(0, 1) * peak)
    return enlarged


def _span(start: int, scale_factor: int) -> slice:
    return slice(start * scale_factor, (start + TILE_SIDE) * scale_factor)


def _centre(tile: Tile, height: int, width: int) -> Tile:
    top, left = (tile.shape[0] - height) // 2, (tile.shape[1] - width) // 2
    return tile[top : top + height, left : left + width]


def _gaussian_blur(plane: Tile, sigma: float) -> Tile:
    reach = math.ceil(3 * sigma)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1, dtype=np.float32) / sigma) ** 2)
    weights /= weights.sum()
    for _ in range(2):
        padded = np.pad(plane, ((reach, reach), (0, 0)), mode="edge")
        rows = plane.shape[0]
        blurred = np.zeros_like(plane)
        for offset, weight in enumerate(weights):
            blurred += weight * padded[offset : offset + rows]
        plane = np.ascontiguousarray(blurred.T)
    return plane
