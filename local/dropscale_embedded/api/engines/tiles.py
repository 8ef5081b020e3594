"""Enlarges a picture tile by tile, so that memory contains only one tile's floats at a time.

A tile is a float32 array of height x width x channels with values from 0 to 1; channels is 1
(grey, or alpha) or 3 (RGB).
"""

import math
from collections.abc import Callable
from dataclasses import replace
from threading import Event

import numpy as np
import numpy.typing as npt
from PIL import Image

from dropscale.upscaler import Mode
from dropscale_embedded.api.engines import Stopped
from dropscale_embedded.api.picture import Picture

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
"""Height x width x channels."""

Tile = npt.NDArray[np.float32]
EnlargeTile = Callable[[Tile], Tile]
"""Enlarges a tile; it may crop the same amount from all sides, within the margin."""

TILE_SIDE = 128
_MARGIN_BY_SCALE_FACTOR = {2: 10, 4: 14}
"""Pixels around a tile: what waifu2x's convolutions crop, plus the reach of `sharpen` below."""

_BLEED_PIXELS = 12
"""A little more than the reach of any engine around one pixel of the original."""

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
    pixels = pixels_of(picture.colour)
    if picture.alpha is None:
        return replace(picture, colour=_enlarge(pixels, scale_factor, colour, stopping))
    opacity = pixels_of(picture.alpha)
    return replace(
        picture,
        colour=_enlarge(bleed(pixels, opacity), scale_factor, colour, stopping),
        alpha=_enlarge(opacity, scale_factor, alpha, stopping),
    )


def pixels_of(image: Image.Image) -> Pixels:
    """Return the pixels of an image of the mode L, I;16 or RGB."""
    pixels: Pixels = np.asarray(image)
    return pixels.reshape(image.height, image.width, -1)


def image_of(pixels: Pixels) -> Image.Image:
    """Return pixels as an image, whose mode follows from their shape and dtype."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def bleed(colour: Pixels, alpha: Pixels) -> Pixels:
    """Return the colours with those of visible pixels spread under the invisible ones around them.

    Colours in a file where alpha is 0 are arbitrary, often black, and would darken the edges when
    an engine mixes them in.
    """
    known = alpha > 0
    filled = np.where(known, colour, 0).astype(np.float32)
    for _ in range(_BLEED_PIXELS):
        reached = _sum_of_neighbours(known.astype(np.float32))
        newly = ~known & (reached > 0)
        if not newly.any():
            break
        mean = _sum_of_neighbours(filled) / np.maximum(reached, 1)
        filled = np.where(newly, mean, filled)
        known |= newly
    spread = colour.copy()
    spread[:] = np.rint(filled)
    return spread


def _sum_of_neighbours(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    padded = np.pad(values, ((1, 1), (1, 1), (0, 0)))
    return padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]


def sharpen(tile: Tile, *, scale_factor: int, mode: Mode) -> Tile:
    """Return an enlarged tile sharpened by the mode's unsharp mask.

    The mask is computed from brightness alone, so that colour noise does not grow.
    """
    radius, amount = _UNSHARP_MASK_BY_MODE[mode]
    if not amount:
        return tile
    brightness: Tile = tile.mean(axis=2)
    detail = brightness - _gaussian_blur(brightness, radius * scale_factor)
    return tile + np.float32(amount) * detail[..., np.newaxis]


def _enlarge(
    pixels: Pixels, scale_factor: int, enlarge_tile: EnlargeTile, stopping: Event
) -> Image.Image:
    height, width, channels = pixels.shape
    margin = _MARGIN_BY_SCALE_FACTOR[scale_factor]
    peak = np.float32(np.iinfo(pixels.dtype).max)
    padded = np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    enlarged = np.empty((height * scale_factor, width * scale_factor, channels), pixels.dtype)
    for top in range(0, height, TILE_SIDE):
        for left in range(0, width, TILE_SIDE):
            if stopping.is_set():
                raise Stopped
            # A slice beyond the end of an axis is cut there: the last tiles are smaller.
            target = enlarged[_span(top, scale_factor), _span(left, scale_factor)]
            source = padded[
                top : top + TILE_SIDE + 2 * margin, left : left + TILE_SIDE + 2 * margin
            ]
            tile = enlarge_tile(source.astype(np.float32) / peak)
            target[:] = np.rint(_centre(tile, *target.shape[:2]).clip(0, 1) * peak)
    return image_of(enlarged)


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
