"""The process that decodes pixels, with libvips. No other module imports it.

`dropscale.image.vips` starts it, so that a decoder that crashes, hangs or takes too much memory
affects only this process. It reads a task from standard input as JSON and answers on standard
output; images are inherited file descriptors.
"""

import base64
import json
import os
import resource
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache, reduce
from operator import or_
from typing import Any

import pyvips

from dropscale.image.pixels import QUALITY_BY_TYPE, Comparison
from dropscale.image.vips_task import (
    CompareTask,
    ConvertTask,
    InheritedImage,
    MetadataKind,
    Task,
)

_COMPARED_SIDE, _LEAST_SIDE = 256, 16
_COARSER = 4
"""Colours are compared at a quarter of the original's size, within these sides in pixels: at that
size the detail that an upscaler adds is gone."""

_FLAT = 0.5
"""The standard deviation, in units of L*a*b*, below which an image counts as one colour."""

_SAME = 0.01
"""Mean colour differences this close together count as equal."""

_SAVERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "png": (".png", {"compression": 6, "filter": "all"}),
    "jpeg": (".jpg", {}),
    "webp": (".webp", {}),
    "avif": (".avif", {"compression": "av1", "effort": 2}),
}
"""By type: libvips' suffix for the format, and its options. At effort 2 avif takes a ninth of the
usual time."""

_FIELDS: Mapping[MetadataKind, str] = {
    "icc": "icc-profile-data",
    "exif": "exif-data",
    "xmp": "xmp-data",
}


_KEPT: Mapping[MetadataKind, int] = {"exif": 1, "xmp": 2, "icc": 8}
"""Flags of libvips' VipsForeignKeep."""


_DECODED_APART: Mapping[str, str | None] = {"heic": None, "bmp": "BMP", "jp2": "JPEG2000"}
"""By type: Pillow's name, if it has a decoder."""
_PLAIN_MODES = frozenset({"L", "LA", "RGB", "RGBA", "I;16"})
"""Pillow's names of pixel formats that libvips also has."""

_COLOUR_ONLY = frozenset({"webp", "avif"})

_AS_RESULT: Mapping[str, str] = {"fail_on": "warning"}
"""libjpeg only warns of data that other decoders refuse. It also warns of cameras' files, so this
applies only to results. Other decoders' warnings are about metadata, not pixels."""


def main() -> None:
    """Do one task."""
    task: Task = json.load(sys.stdin)
    resource.setrlimit(resource.RLIMIT_DATA, (task["max_bytes"], task["max_bytes"]))
    pyvips.cache_set_max(0)
    if task["task"] == "compare":
        answer = {"comparison": asdict(compare(task))}
        json.dump(answer, sys.stdout)
    else:
        convert(task)


def compare(task: CompareTask) -> Comparison:
    """Compare a result with its original."""
    try:
        result = _open_image(task["result"])
        original = _original(task)
    except pyvips.Error as error:
        return Comparison(fault=_describe_error(error))
    if task["original"] is None or original is None:
        return _look_alone(task, result)
    size = _size_to_compare(original.width, original.height)
    reference, _ = _decode_to_size(task["original"], size)
    return _look_alone(task, result) if reference is None else _look_beside(task, result, reference)


def convert(task: ConvertTask) -> None:
    """Write a result again; an error ends the process."""
    image, image_type = _open_image(task["result"]), task["target"]["type"]
    # libvips writes these as RGB, for which a grey profile is not valid.
    is_grey = image.interpretation in {"b-w", "grey16"} and image_type in _COLOUR_ONLY
    if image.interpretation == "cmyk" or (is_grey and _has_profile(image)):
        depth = 16 if image.format == "ushort" else 8
        image = image.icc_transform("srgb", embedded=True, intent="relative", depth=depth)
    if task["alpha_of"] is not None:
        image = image.bandjoin(_alpha_for(image, task["alpha_of"], task["orientation"]))
    if image_type == "jpeg" and image.hasalpha():
        image = image.flatten(background=[_peak(image)] * (image.bands - 1))
    image = image.copy()
    for kind, blob in task["metadata"].items():
        image.set_type(pyvips.GValue.blob_type, _FIELDS[kind], base64.b64decode(blob))
    suffix, options = _SAVERS[image_type]
    if image_type in QUALITY_BY_TYPE:
        options = {**options, "Q": task["quality"] or QUALITY_BY_TYPE[image_type]}
    kept = (_KEPT[kind] for kind in ("icc", *task["metadata"]))
    options = {**options, "keep": reduce(or_, kept)}
    os.lseek(task["target"]["fileno"], 0, os.SEEK_SET)
    target = pyvips.Target.new_to_descriptor(task["target"]["fileno"])
    image.write_to_target(target, suffix, **options)


def _alpha_for(image: pyvips.Image, original: InheritedImage, orientation: int) -> pyvips.Image:
    """Return an original's alpha as a band of an image."""
    opened = _open_image(original)
    alpha = opened[opened.bands - 1]
    if orientation != 1:
        alpha = _turn_upright(alpha.copy_memory(), orientation)
    is_deep = alpha.format == "ushort"
    alpha = alpha.resize(image.width / alpha.width, vscale=image.height / alpha.height)
    alpha = alpha.gravity("centre", image.width, image.height, extend="copy")
    if is_deep is not (image.format == "ushort"):
        alpha = alpha * 257 if image.format == "ushort" else alpha / 257
    return alpha.cast(image.format)


def _peak(image: pyvips.Image) -> int:
    return 65535 if image.format == "ushort" else 255


def _look_alone(task: CompareTask, result: pyvips.Image) -> Comparison:
    size = _size_to_compare(result.width, result.height)
    small, fault = _decode_to_size(task["result"], size, **_AS_RESULT)
    return Comparison(fault=fault) if small is None else Comparison(is_blank=_is_flat(_seen(small)))


def _look_beside(task: CompareTask, result: pyvips.Image, reference: pyvips.Image) -> Comparison:
    views = {True: _turn_upright(reference, task["orientation"]), False: reference}
    is_wide = result.width > result.height
    fitting = {key: view for key, view in views.items() if (view.width > view.height) == is_wide}
    views = fitting or {True: views[True]}
    size = next(iter(views.values()))
    small, fault = _decode_to_size(task["result"], (size.width, size.height), **_AS_RESULT)
    if small is None:
        return Comparison(fault=fault)
    profile = reference.get(_FIELDS["icc"]) if _has_profile(reference) else None
    has_choice = profile is not None and task["profile_can_hold"] and not _has_profile(small)
    originals = {is_upright: _seen(view) for is_upright, view in views.items()}
    results = {False: _seen(small)}
    if has_choice:
        results = {True: _seen(small, profile), **results}
    differences = {
        (keeps_profile, is_upright): _difference(result_seen, original_seen)
        for keeps_profile, result_seen in results.items()
        for is_upright, original_seen in originals.items()
    }
    # The first that is as good as the best: in a tie, the expected case counts.
    best = min(differences.values())
    keeps_profile, is_upright = next(
        key for key, value in differences.items() if value <= best + _SAME
    )
    original_seen = originals[is_upright]
    alpha = original_seen.alpha
    return Comparison(
        delta_e=None if best == float("inf") else round(best, 2),
        is_blank=not _is_flat(original_seen) and _is_flat(results[False]),
        is_upright=is_upright,
        keeps_profile=keeps_profile or not has_choice,
        lost_alpha=bool(alpha is not None and alpha.min() < 255 and not small.hasalpha()),
    )


def _open_image(image: InheritedImage, **options: Any) -> pyvips.Image:
    opened = _decode(image, **options)
    if image["profile"] is not None:
        opened = opened.copy()
        profile = base64.b64decode(image["profile"])
        opened.set_type(pyvips.GValue.blob_type, _FIELDS["icc"], profile)
    return opened


def _decode(image: InheritedImage, **options: Any) -> pyvips.Image:
    if image["type"] in _DECODED_APART:
        return _decode_apart(image["fileno"], image["type"])
    os.lseek(image["fileno"], 0, os.SEEK_SET)
    source = pyvips.Source.new_from_descriptor(image["fileno"])
    options = {"access": "sequential", "fail_on": "error", **options}
    return pyvips.Image.new_from_source(source, "", **options)


@cache  # an image is opened for its size, and then for its pixels
def _decode_apart(fileno: int, image_type: str) -> pyvips.Image:
    """Return the upright pixels, with their profile, of a file that libvips from PyPI cannot read.

    It has no HEVC decoder; pi-heif has the same libheif with libde265, at 8 bits a channel.
    """
    # Imported here: they would take half of the worker's start, and few images need them.
    import pi_heif  # noqa: PLC0415
    from PIL import Image  # noqa: PLC0415

    pi_heif.options.DECODE_THREADS = 1
    Image.MAX_IMAGE_PIXELS = None  # the worker's memory is limited
    os.lseek(fileno, 0, os.SEEK_SET)
    try:
        with open(fileno, "rb", closefd=False) as file:
            name = _DECODED_APART[image_type]
            picture: Image.Image = (
                Image.open(file, formats=[name]) if name else pi_heif.open_heif(file).to_pillow()
            )
            if picture.mode not in _PLAIN_MODES:
                picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
            pixels = pyvips.Image.new_from_array(picture)
            if pixels.format == "ushort":
                pixels = pixels.copy(interpretation="grey16")
    except (OSError, ValueError, RuntimeError, EOFError, SyntaxError, IndexError) as error:
        raise pyvips.Error(f"no {image_type} that can be decoded", str(error)) from error
    if (profile := picture.info.get("icc_profile")) is not None:
        pixels = pixels.copy()
        pixels.set_type(pyvips.GValue.blob_type, _FIELDS["icc"], profile)
    return pixels


def _original(task: CompareTask) -> pyvips.Image | None:
    if task["original"] is None:
        return None
    try:
        return _open_image(task["original"])
    except pyvips.Error:
        return None


def _decode_to_size(
    image: InheritedImage, size: tuple[int, int], **options: Any
) -> tuple[pyvips.Image | None, str | None]:
    """Decode a whole image to this size, or raise with the reason."""
    try:
        options = options if image["type"] == "jpeg" else {}
        opened = _open_image(image, **options)
        shrink = max(1, min(opened.width // (2 * size[0]), opened.height // (2 * size[1]), 8))
        # For a JPEG that is shrunk on load, libvips does not report libjpeg's warnings.
        if image["type"] == "webp" and shrink > 1:
            opened = _open_image(image, scale=1 / shrink)
        return _resize(opened, size).copy_memory(), None
    except pyvips.Error as error:
        return None, _describe_error(error)


def _resize(image: pyvips.Image, size: tuple[int, int]) -> pyvips.Image:
    width, height = size
    # Columns first: the rows that libvips buffers are then shorter.
    if (columns := image.width // (2 * width)) > 1:
        image = image.shrinkh(columns)
    if (rows := image.height // (2 * height)) > 1:
        image = image.shrinkv(rows)
    resized = image.resize(width / image.width, vscale=height / image.height)
    return resized.gravity("centre", width, height, extend="copy")


def _size_to_compare(width: int, height: int) -> tuple[int, int]:
    longest = max(width, height)
    compared = min(max(longest / _COARSER, _LEAST_SIDE), _COMPARED_SIDE, longest)
    scale = compared / longest
    return max(1, round(width * scale)), max(1, round(height * scale))


def _turn_upright(image: pyvips.Image, orientation: int) -> pyvips.Image:
    """Return an image rotated upright by an EXIF orientation."""
    turning = image.copy()
    turning.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    return turning.autorot().copy_memory()


@dataclass(frozen=True)
class _Seen:
    """An image as it looks: its colours in CIELAB, and its alpha from 0 to 255."""

    lab: pyvips.Image
    alpha: pyvips.Image | None


def _seen(image: pyvips.Image, profile: Any = None) -> _Seen:
    """Return how an image looks by `profile`; if that is None, by its own or as sRGB."""
    if profile is not None:
        image = image.copy()
        image.set_type(pyvips.GValue.blob_type, _FIELDS["icc"], profile)
    return _Seen(_lab(image), _alpha(image))


def _difference(result: _Seen, reference: _Seen) -> float:
    """Return the mean CIEDE2000 where both are opaque; infinite if they nowhere are."""
    difference = result.lab.dE00(reference.lab)
    weights = [one.alpha >= 255 for one in (result, reference) if one.alpha]
    for weight in weights:
        difference = difference * (weight / 255)
    share = 1.0
    if weights:
        both = weights[0] if len(weights) == 1 else weights[0] & weights[1]
        share = both.avg() / 255
    return float(difference.avg() / share) if share else float("inf")


def _lab(image: pyvips.Image) -> pyvips.Image:
    colour = _colour(image)
    if _has_profile(colour):
        try:
            return colour.icc_import(pcs="lab", intent="relative", embedded=True).copy_memory()
        except pyvips.Error:
            pass  # A profile that is damaged, or for other pixels; viewers ignore it, too.
    return colour.colourspace("lab").copy_memory()


def _is_flat(image: _Seen) -> bool:
    lab = image.lab
    if image.alpha is not None and image.alpha.max() == 0:
        return True
    # A single pixel has no deviation, and that is not a fault.
    is_one = lab.width * lab.height == 1
    return not is_one and all(lab[band].deviate() < _FLAT for band in range(lab.bands))


def _colour(image: pyvips.Image) -> pyvips.Image:
    return image[: image.bands - 1] if image.hasalpha() else image


def _alpha(image: pyvips.Image) -> pyvips.Image | None:
    """Return an image's alpha with values from 0 to 255."""
    if not image.hasalpha():
        return None
    alpha = image[image.bands - 1]
    return alpha / 257 if alpha.format == "ushort" else alpha


def _has_profile(image: pyvips.Image) -> bool:
    return bool(image.get_typeof(_FIELDS["icc"]))


def _describe_error(error: pyvips.Error) -> str:
    """Return what is wrong with an image.

    Raises:
        MemoryError: nothing is wrong with it, but it needs more memory than there is.
    """
    lines = [line.strip() for line in str(error.detail).splitlines() if line.strip()]
    said = lines[-1] if lines else str(error)
    if "memory" in said.lower():
        raise MemoryError(said)
    return said


if __name__ == "__main__":
    main()
