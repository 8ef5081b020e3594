"""The key of an output: a pure function of input key, spec and delivered type."""

import hashlib
from typing import Literal

from dropscale import upscaler
from dropscale.ledger.drops import Rendition
from dropscale.specs.effective import OutputFormat
from dropscale.specs.keys import MAX_KEY_BYTES
from dropscale.specs.output_name import (
    CUT_DIGITS,
    claimable,
    default_suffix,
    is_like_default,
    without_endings,
)
from dropscale.upscaler import Mode

MOST_PREFIX_BYTES = 200
"""The longest ResultsPrefix; the template enforces it."""

_ROOM = MAX_KEY_BYTES - MOST_PREFIX_BYTES
_LONGEST_ENDING = 12


def output_key(input_key: str, rendition: Rendition, image_type: str) -> str:
    """Return the key of an output, e.g. `photos/cat.jpg@2x.png`.

    All but its ending is known before it is paid. An output that could not be written in its
    format has both endings, e.g. `cat.jpg@2x.jpg.png`: it is never that of another rendition.
    """
    settings = rendition.output_settings
    endings = [image_type]
    if settings.format not in {OutputFormat.KEEP, image_type}:
        endings.insert(0, settings.format.value)
    ending = "".join(f".{upscaler.EXTENSION_BY_TYPE[each]}" for each in endings)
    if settings.name is None:
        return fitting_key(_below(rendition, input_key), upscale_label(rendition) + ending)
    return output_path(input_key, rendition) + ending


def claimed_name(input_key: str, rendition: Rendition) -> str:
    """Return what no other drop's output may have as its key without endings.

    Default names contain the input's whole key, in its case. Others are compared without case, as
    many file systems do; they never look like default ones (`is_like_default`), nor like
    manifests, whose ending is no image's.
    """
    path = output_path(input_key, rendition)
    return path if rendition.output_settings.name is None else claimable(path)


def name_claimed_for(key: str) -> str:
    """Return what is claimed for an output, judging by its key."""
    path = without_endings(key)
    return path if is_like_default(path.rpartition("/")[2]) else claimable(path)


def output_path(input_key: str, rendition: Rendition) -> str:
    """Return the key of an output without its ending, of which a long default one cuts more."""
    name = rendition.output_settings.name
    if name is None:
        return _below(rendition, input_key) + upscale_label(rendition)
    folder, slash, _ = input_key.rpartition("/")
    return fitting_key(_below(rendition, folder + slash + name), "", _LONGEST_ENDING)


def foreseen_key(input_key: str, rendition: Rendition) -> str:
    """Return the key of an output before it is made, for people; `.*`: its type is not known."""
    settings = rendition.output_settings
    if settings.format is not OutputFormat.KEEP:
        return output_key(input_key, rendition, settings.format.value)
    return output_path(input_key, rendition) + ".*"


def _below(rendition: Rendition, key: str) -> str:
    return f"{rendition.directory}/{key}" if rendition.directory else key


def upscale_label(rendition: Rendition) -> str:
    """Return the label of an output that says how it was made, e.g. `@4x-creative`."""
    return default_suffix(rendition.parameters.scale_factor, rendition.parameters.mode)


def parameters_in(label: str) -> tuple[Literal[2, 4], Mode]:
    """Return the scale factor and mode in a label, or in the default key of an output.

    They are 2 and balanced if there are none.
    """
    told = label.rpartition("@")[2].partition(".")[0]
    factor, _, mode = told.partition("x")
    found = next((one for one in Mode if mode == f"-{one}"), Mode.BALANCED)
    return (4 if factor == "4" else 2), found


def fitting_key(stem: str, suffix: str, reserved: int = 0) -> str:
    """Return stem and suffix as one key, below the results' prefix.

    A stem that is too long for S3 with the longest prefix is cut, and ends in its hash; `reserved`
    is how many bytes must be left after the suffix.
    """
    longest = _ROOM - reserved
    if len((stem + suffix).encode()) <= longest:
        return stem + suffix
    tail = "~" + hashlib.sha256(stem.encode()).hexdigest()[:CUT_DIGITS] + suffix
    room = longest - len(tail.encode())
    return stem.encode()[:room].decode(errors="ignore") + tail
