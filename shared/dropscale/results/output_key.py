"""Where an output lies: a pure function of key, spec and delivered type."""

import hashlib
from typing import Literal

from dropscale import upscaler
from dropscale.ledger.jobs import Parameters
from dropscale.specs.keys import MAX_KEY_BYTES
from dropscale.upscaler import Mode

MOST_PREFIX_BYTES = 200
"""What the stack's parameter ResultsPrefix may take of a key; the template holds it to that."""

_ROOM = MAX_KEY_BYTES - MOST_PREFIX_BYTES


def output_key(
    input_key: str, parameters: Parameters, image_type: str, directory: str | None = None
) -> str:
    """Return the key of an output, e.g. `photos/cat.jpg@2x.png`.

    The input's whole key stays in it, so two sources never meet at one output.
    """
    mode = "" if parameters.mode is Mode.BALANCED else f"-{parameters.mode}"
    extension = upscaler.EXTENSION_BY_TYPE[image_type]
    folder = f"{directory}/" if directory else ""
    return fitting_key(folder + input_key, f"@{parameters.scale_factor}x{mode}.{extension}")


def parameters_in(key: str) -> tuple[Literal[2, 4], Mode]:
    """Return the scale factor and mode that an output's key tells; 2 and balanced, if none."""
    told = key.rpartition("@")[2].rpartition(".")[0]
    factor, _, mode = told.partition("x")
    found = next((one for one in Mode if mode == f"-{one}"), Mode.BALANCED)
    return (4 if factor == "4" else 2), found


def fitting_key(stem: str, suffix: str) -> str:
    """Return stem and suffix as one key, below the results' prefix.

    A stem too long for S3, whatever the prefix, ends in its hash instead.
    """
    if len((stem + suffix).encode()) <= _ROOM:
        return stem + suffix
    tail = "~" + hashlib.sha256(stem.encode()).hexdigest()[:16] + suffix
    room = _ROOM - len(tail.encode())
    return stem.encode()[:room].decode(errors="ignore") + tail
