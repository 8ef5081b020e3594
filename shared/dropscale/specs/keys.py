"""Sorts the keys of the input bucket: image, sidecar, folder spec, stand-alone spec, other.

Also finds what plainly means to be a spec, but bears a name that none has.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import PurePosixPath

from dropscale import upscaler

FOLDER_SPEC_NAME = "dropscale.yaml"
SPEC_SUFFIXES = (".yaml", ".yml", ".json")
MANIFEST_SUFFIX = ".dropscale.json"
MAX_KEY_BYTES = 1024
"""Longest key in S3, in UTF-8; it answers 400, not 404, to a read of a longer one.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html.
"""

_FOLDER_SPEC_STEM = "dropscale"
_FOLDER_SPEC_PREFIXES = ("dropscale.", ".dropscale.", "Dropscale.")
_HELPERS = frozenset({"__macosx", "thumbs.db", "@eadir"})
_TEXT_SUFFIX = ".txt"
"""What editors for text put at the end of a name, where a system shows no endings."""


class KeyKind(StrEnum):
    """What an object in the input bucket is, by its key alone."""

    IMAGE = "image"
    SIDECAR = "sidecar"
    FOLDER_SPEC = "folder_spec"
    STAND_ALONE = "stand_alone"
    """A spec that stands alone, if its content is one: other tools have such files, too."""
    UNSUPPORTED = "unsupported"
    """A picture of a type that the upscaler does not take."""
    MISNAMED = "misnamed"
    """Plainly meant to be a sidecar or a folder spec, but named like none: `cat.jpg.yaml.txt`."""
    OTHER = "other"


def kind_of(key: str, suffixes: Sequence[str] = SPEC_SUFFIXES) -> KeyKind:
    """Tell what the object at `key` is; `suffixes` are those that specs may end in.

    What is hidden, or a system's own helper file, is `OTHER`; a folder spec is not hidden by a dot.
    """
    folder, name = _split(key)
    if is_left_alone(folder) or (is_left_alone(name) and not means_folder_spec(name)):
        return KeyKind.OTHER
    return kind_by_name(key, suffixes)


def is_left_alone(path: str) -> bool:
    """Tell whether a part of a path is hidden, or what systems leave among people's files.

    That are names that begin with a dot, archives' `__MACOSX`, Office's locks (`~$…`), Windows'
    `Thumbs.db` and Synology's `@eaDir`.
    """
    return any(
        (part.startswith((".", "~$")) and part not in {".", ".."}) or part.casefold() in _HELPERS
        for part in path.split("/")
    )


def kind_by_name(key: str, suffixes: Sequence[str] = SPEC_SUFFIXES) -> KeyKind:
    """Tell what an object is by its name alone, as `kind_of` does if nothing is hidden."""
    name = PurePosixPath(key).name
    if not name or key.endswith("/"):
        return KeyKind.OTHER
    if means_folder_spec(key):
        return KeyKind.FOLDER_SPEC if _is_spec_named(name, _FOLDER_SPEC_STEM) else KeyKind.MISNAMED
    if key.endswith(MANIFEST_SUFFIX):
        return KeyKind.OTHER
    if _has_image_extension(name):
        return KeyKind.IMAGE
    if _extension(name) in upscaler.UNSUPPORTED_EXTENSIONS:
        return KeyKind.UNSUPPORTED
    if image_key_of(key, suffixes):
        return KeyKind.SIDECAR
    if meant_image(key, suffixes):
        return KeyKind.MISNAMED
    is_spec = PurePosixPath(name).suffix.lower() in suffixes
    return KeyKind.STAND_ALONE if is_spec else KeyKind.OTHER


def image_key_of(sidecar_key: str, suffixes: Sequence[str] = SPEC_SUFFIXES) -> str | None:
    """Return the key of the image that a sidecar's key belongs to, None if it is no sidecar's."""
    for suffix in suffixes:
        image_key = _without(sidecar_key, suffix)
        if image_key is not None and _has_image_extension(PurePosixPath(image_key).name):
            return image_key
    return None


def meant_image(spec_key: str, suffixes: Sequence[str] = SPEC_SUFFIXES) -> str | None:
    """Return the key of the image that a sidecar's name means, well spelt or not; else None.

    Of letters in another case, and of another Unicode form, `folded` takes care.
    """
    stem = meant_stem(spec_key, suffixes)
    return stem if stem is not None and _has_image_extension(_split(stem)[1]) else None


def meant_stem(spec_key: str, suffixes: Sequence[str] = SPEC_SUFFIXES) -> str | None:
    """Return what a spec's key has before its ending, well spelt or not; None: it ends otherwise.

    Blanks do not count, nor does `.txt` at the end.
    """
    folder, name = _split(spec_key)
    name = name.strip()
    name = (_without(name, _TEXT_SUFFIX) or name).rstrip()
    for suffix in suffixes:
        stem = _without(name, suffix)
        if stem is not None:
            return folder + stem.rstrip()
    return None


def means_folder_spec(key: str) -> bool:
    """Tell whether a name means to be a folder spec's, well spelt or not."""
    name = unicodedata.normalize("NFC", _split(key)[1]).strip().casefold()
    name = name.removesuffix(_TEXT_SUFFIX).rstrip().lstrip(".")
    return _is_spec_named(name, _FOLDER_SPEC_STEM)


def right_name(key: str, image_key: str | None) -> str:
    """Return the name that a misnamed spec of an image, or (None) of its folder, is to have."""
    written = key.casefold()
    suffix = next((one for one in SPEC_SUFFIXES if one in written), SPEC_SUFFIXES[0])
    return PurePosixPath(image_key or _FOLDER_SPEC_STEM).name + suffix


def folded(key: str) -> str:
    """Return what is the same for all keys of one folder that a person may take for one name."""
    folder, name = _split(unicodedata.normalize("NFC", key))
    return folder + unicodedata.normalize("NFC", name.casefold())


def is_same_name(one: str, other: str) -> bool:
    """Tell whether two keys are one text, in whatever Unicode form (macOS has its own)."""
    return unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other)


def sidecar_keys_of(image_key: str, suffixes: Sequence[str] = SPEC_SUFFIXES) -> list[str]:
    """Return every key at which the image's sidecar may lie."""
    return _possible(image_key + suffix for suffix in suffixes)


def sidecar_prefixes_of(image_key: str) -> list[str]:
    """Return what the names of an image's specs begin with: its own up to its extension."""
    stem = image_key.removesuffix(PurePosixPath(image_key).suffix) + "."
    forms = (stem, *(unicodedata.normalize(form, stem) for form in ("NFC", "NFD")))
    return _possible(dict.fromkeys(forms))


def folders_of(key: str) -> list[str]:
    """Return the folders whose specs speak of the object at `key`, outermost first: "" and "a/"."""
    return ["", *(key[: at + 1] for at, character in enumerate(key) if character == "/")]


def folder_spec_prefixes_of(folder: str) -> list[str]:
    """Return what the names of a folder's specs begin with, also where they are misspelt."""
    return _possible(folder + prefix for prefix in _FOLDER_SPEC_PREFIXES)


def images_named_like(spec_key: str) -> list[str]:
    """Return the keys of images that only lack their extension in a spec's name.

    A person who writes `cat.yaml` for `cat.jpg` means `cat.jpg.yaml`.
    """
    stem = spec_key.removesuffix(PurePosixPath(spec_key).suffix)
    extensions = [*upscaler.TYPE_BY_EXTENSION, *map(str.upper, upscaler.TYPE_BY_EXTENSION)]
    return _possible(f"{stem}.{extension}" for extension in extensions)


def _split(key: str) -> tuple[str, str]:
    folder, slash, name = key.rpartition("/")
    return folder + slash, name


def _without(name: str, suffix: str) -> str | None:
    """Return a name without a suffix in whatever case; None: it has another."""
    return name[: -len(suffix)] if name[-len(suffix) :].lower() == suffix else None


def _is_spec_named(name: str, stem: str) -> bool:
    return any(_without(name, suffix) == stem for suffix in SPEC_SUFFIXES)


def _possible(keys: Iterable[str]) -> list[str]:
    return [key for key in keys if len(key.encode()) <= MAX_KEY_BYTES]


def _has_image_extension(name: str) -> bool:
    return _extension(name) in upscaler.TYPE_BY_EXTENSION


def _extension(name: str) -> str:
    return PurePosixPath(name).suffix.lower().removeprefix(".")
