"""The names of outputs: templates such as `{stem}_{scale}x{ext}`, and the default, `@2x`.

A name is known before anything is paid, except for its ending, `{ext}`.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from dropscale.specs.keys import KeyKind, kind_by_name
from dropscale.upscaler import EXTENSION_BY_TYPE, SCALE_FACTORS, Mode

ENDING = "{ext}"
PLACEHOLDERS = ("stem", "scale", "mode", "preset", "folder", "hash", "ext")
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
HASH_DIGITS = 8
_ENDINGS = frozenset(EXTENSION_BY_TYPE.values())
CUT_DIGITS = 16
"""The digits of the hash in which a key ends that is too long for S3."""


@dataclass(frozen=True)
class NamedOutput:
    """What placeholders stand for: the drop's key, and the settings of one of its upscales.

    `job` identifies that upscale: its fingerprint, of which `{hash}` has the first digits.
    """

    key: str
    scale_factor: int
    mode: Mode
    presets: tuple[str, ...]
    job: str

    def render(self, template: str) -> str:
        """Return a valid template as a name, without its ending."""
        values = self._values()
        return PLACEHOLDER.sub(lambda found: values[found[1]], template)

    def faults_of(self, template: str) -> Iterator[tuple[str, str]]:
        """Yield what is wrong with a valid template for this output, each with what to do."""
        values = self._values()
        if "{preset}" in template and not values["preset"]:
            yield "has {preset}, and the image uses no preset", "use one, or leave {preset} out"
        if "{preset}" in template and {"/", "\\"} & set(values["preset"]):
            yield "has {preset}, and a preset's name has a slash", "give the preset another name"
        if "{folder}" in template and not values["folder"]:
            yield "has {folder}, and the image is in no folder", "leave {folder} out"
        if is_like_default(self.render(template)):
            yield "is like the default name of another image's output", "write it without '@'"

    def _values(self) -> dict[str, str]:
        folders, _, name = self.key.rpartition("/")
        return {
            "stem": PurePosixPath(name).stem,
            "scale": str(self.scale_factor),
            "mode": str(self.mode),
            "preset": "-".join(self.presets),
            "folder": folders.rpartition("/")[2],
            "hash": self.job[:HASH_DIGITS],
            "ext": "",
        }


def default_suffix(scale_factor: int, mode: Mode) -> str:
    """Return what the default name of an output adds to its drop's key, such as `@2x`."""
    return f"@{scale_factor}x{'' if mode is Mode.BALANCED else f'-{mode}'}"


def without_case(path: str) -> str:
    """Return a form that is equal for paths that are one file where case is ignored."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def without_endings(path: str) -> str:
    """Return an output's path without any of the endings that outputs can have.

    An output that could not be written in its format has two, so `cat.jpg.png` may be that of
    `cat` as well as that of `cat.jpg`.
    """
    stem, _, ending = path.rpartition(".")
    return without_endings(stem) if ending.casefold() in _ENDINGS else path


def claimable(path: str) -> str:
    """Return a form that is equal for paths, with or without endings, that may be one output."""
    return without_case(without_endings(path))


def is_like_default(name: str) -> bool:
    """Whether a name, with or without endings, may be a default one, such as `cat.jpg@2x`.

    No template may become one, so that it never is the name of another drop's output.
    """
    name = claimable(name)
    for suffix in (default_suffix(factor, mode) for factor in SCALE_FACTORS for mode in Mode):
        if name.endswith(suffix):
            key = name.removesuffix(suffix)
            return kind_by_name(key) is not KeyKind.OTHER or key[-CUT_DIGITS - 1 :][:1] == "~"
    return False
