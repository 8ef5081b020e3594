"""The key of an output: a pure function of input key, spec and delivered type."""

import hashlib
from typing import Literal

from dropscale import upscaler
from dropscale.ledger.jobs import Parameters
from dropscale.specs.keys import MAX_KEY_BYTES
from dropscale.upscaler import Mode

MOST_PREFIX_BYTES = 200
"""The longest ResultsPrefix; the template enforces it."""

_ROOM = MAX_KEY_BYTES - MOST_PREFIX_BYTES


def output_key(
    input_key: str, parameters: Parameters, image_type: str, directory: str | None = None
) -> str:
    """Return the key of an output, e.g. `photos/cat.jpg@2x.png`.

    It contains the input's whole key, so two sources never have the same output.
    """
    mode = "" if parameters.mode is Mode.BALANCED else f"-{parameters.mode}"
    extension = upscaler.EXTENSION_BY_TYPE[image_type]
    folder = f"{directory}/" if directory else ""
    return fitting_key(folder + input_key, f"@{parameters.scale_factor}x{mode}.{extension}")


def parameters_in(key: str) -> tuple[Literal[2, 4], Mode]:
    """Return the scale factor and mode in an output's key; 2 and balanced if there are none."""
    told = key.rpartition("@")[2].rpartition(".")[0]
    factor, _, mode = told.partition("x")
    found = next((one for one in Mode if mode == f"-{one}"), Mode.BALANCED)
    return (4 if factor == "4" else 2), found


def fitting_key(stem: str, suffix: str) -> str:
    """Return stem and suffix as one key, below the results' prefix.

    A stem that is too long for S3 with the longest prefix is cut, and ends in its hash.
    """
    if len((stem + suffix).encode()) <= _ROOM:
        return stem + suffix
    tail = "~" + hashlib.sha256(stem.encode()).hexdigest()[:16] + suffix
    room = _ROOM - len(tail.encode())
    return stem.encode()[:room].decode(errors="ignore") + tail
