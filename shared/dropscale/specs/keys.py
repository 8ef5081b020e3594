"""Sorts the keys of the input bucket: image, sidecar, folder spec, stand-alone spec, other.

Also finds files that are clearly meant to be specs, but are not named like one.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import PurePosixPath

from dropscale import upscaler

FOLDER_SPEC_NAME = "dropscale.yaml"
SPEC_SUFFIXES = (".yaml", ".yml", ".json")
MANIFEST_SUFFIX = ".dropscale.json"
BATCH_REPORT_SUFFIX = ".dropscale-batch.json"
BATCH_TABLE_SUFFIX = ".dropscale-batch.csv"
MAX_KEY_BYTES = 1024
"""The longest key in S3, in bytes of UTF-8; reading a longer one returns 400, not 404.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html.
"""

_FOLDER_SPEC_STEM = "dropscale"
_FOLDER_SPEC_PREFIXES = ("dropscale.", ".dropscale.", "Dropscale.")
_HELPERS = frozenset({"__macosx", "thumbs.db", "@eadir"})
_TEXT_SUFFIX = ".txt"
"""What text editors append to a name, unseen where the system hides extensions."""


class KeyKind(StrEnum):
    """The kind of an object in the input bucket, by its key alone."""

    IMAGE = "image"
    SIDECAR = "sidecar"
    FOLDER_SPEC = "folder_spec"
    STAND_ALONE = "stand_alone"
    """A stand-alone spec, if its content is one: other tools have such files, too."""
    UNSUPPORTED = "unsupported"
    """An image of a type that the upscaler does not accept."""
    MISNAMED = "misnamed"
    """Clearly meant to be a sidecar or a folder spec, but misnamed: `cat.jpg.yaml.txt`."""
    OTHER = "other"


def kind_of(key: str, suffixes: Sequence[str] = SPEC_SUFFIXES) -> KeyKind:
    """Return the kind of the object at `key`; `suffixes` are the endings that specs may have.

    Hidden files and systems' helper files are `OTHER`; a folder spec with a dot is not hidden.
    """
    folder, name = _split(key)
    if is_left_alone(folder) or (is_left_alone(name) and not means_folder_spec(name)):
        return KeyKind.OTHER
    return kind_by_name(key, suffixes)


def is_left_alone(path: str) -> bool:
    """Whether a part of a path is hidden, or a helper file of a system.

    These are names that begin with a dot, archives' `__MACOSX`, Office's locks (`~$…`), Windows'
    `Thumbs.db` and Synology's `@eaDir`.
    """
    return any(
        (part.startswith((".", "~$")) and part not in {".", ".."}) or part.casefold() in _HELPERS
        for part in path.split("/")
    )


def kind_by_name(key: str, suffixes: Sequence[str] = SPEC_SUFFIXES) -> KeyKind:
    """Return the kind of an object by its name alone, as `kind_of` does for files not hidden."""
    name = PurePosixPath(key).name
    if not name or key.endswith("/"):
        return KeyKind.OTHER
    if means_folder_spec(key):
        return KeyKind.FOLDER_SPEC if _is_spec_named(name, _FOLDER_SPEC_STEM) else KeyKind.MISNAMED
    if key.endswith((MANIFEST_SUFFIX, BATCH_REPORT_SUFFIX)):
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
    """Return the key of the image of a sidecar; None: the key is not a sidecar's."""
    for suffix in suffixes:
        image_key = _without(sidecar_key, suffix)
        if image_key is not None and _has_image_extension(PurePosixPath(image_key).name):
            return image_key
    return None


def meant_image(spec_key: str, suffixes: Sequence[str] = SPEC_SUFFIXES) -> str | None:
    """Return the key of the image that a sidecar's name means, even if misspelt; else None.

    Other case and other Unicode forms are handled by `folded`.
    """
    stem = meant_stem(spec_key, suffixes)
    return stem if stem is not None and _has_image_extension(_split(stem)[1]) else None


def meant_stem(spec_key: str, suffixes: Sequence[str] = SPEC_SUFFIXES) -> str | None:
    """Return a spec's key without its ending, even if misspelt; None: it has another ending.

    Spaces, and `.txt` at the end, are ignored.
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
    """Whether a name is meant to be a folder spec's, even if misspelt."""
    name = unicodedata.normalize("NFC", _split(key)[1]).strip().casefold()
    name = name.removesuffix(_TEXT_SUFFIX).rstrip().lstrip(".")
    return _is_spec_named(name, _FOLDER_SPEC_STEM)


def right_name(key: str, image_key: str | None) -> str:
    """Return the correct name of a misnamed spec of an image, or (None) of its folder."""
    written = key.casefold()
    suffix = next((one for one in SPEC_SUFFIXES if one in written), SPEC_SUFFIXES[0])
    return PurePosixPath(image_key or _FOLDER_SPEC_STEM).name + suffix


def folded(key: str) -> str:
    """Return a form that is equal for keys of one folder that look like the same name to people."""
    folder, name = _split(unicodedata.normalize("NFC", key))
    return folder + unicodedata.normalize("NFC", name.casefold())


def is_same_name(one: str, other: str) -> bool:
    """Whether two keys are the same text, in any Unicode form (macOS has its own)."""
    return unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other)


def sidecar_keys_of(image_key: str, suffixes: Sequence[str] = SPEC_SUFFIXES) -> list[str]:
    """Return every possible key of the image's sidecar."""
    return _possible(image_key + suffix for suffix in suffixes)


def sidecar_prefixes_of(image_key: str) -> list[str]:
    """Return the prefixes of the names of an image's specs: its own name without the extension."""
    stem = image_key.removesuffix(PurePosixPath(image_key).suffix) + "."
    forms = (stem, *(unicodedata.normalize(form, stem) for form in ("NFC", "NFD")))
    return _possible(dict.fromkeys(forms))


def folders_of(key: str) -> list[str]:
    """Return the folders whose specs apply to the object at `key`, outermost first: "" and "a/"."""
    return ["", *(key[: at + 1] for at, character in enumerate(key) if character == "/")]


def folder_spec_prefixes_of(folder: str) -> list[str]:
    """Return the prefixes of the names of a folder's specs, misspelt ones included."""
    return _possible(folder + prefix for prefix in _FOLDER_SPEC_PREFIXES)


def images_named_like(spec_key: str) -> list[str]:
    """Return the keys of images whose extension may be missing in a spec's name.

    Somebody who writes `cat.yaml` for `cat.jpg` means `cat.jpg.yaml`.
    """
    stem = spec_key.removesuffix(PurePosixPath(spec_key).suffix)
    extensions = [*upscaler.TYPE_BY_EXTENSION, *map(str.upper, upscaler.TYPE_BY_EXTENSION)]
    return _possible(f"{stem}.{extension}" for extension in extensions)


def _split(key: str) -> tuple[str, str]:
    folder, slash, name = key.rpartition("/")
    return folder + slash, name


def _without(name: str, suffix: str) -> str | None:
    """Return a name without a suffix, ignoring case; None: it has another."""
    return name[: -len(suffix)] if name[-len(suffix) :].lower() == suffix else None


def _is_spec_named(name: str, stem: str) -> bool:
    return any(_without(name, suffix) == stem for suffix in SPEC_SUFFIXES)


def _possible(keys: Iterable[str]) -> list[str]:
    return [key for key in keys if len(key.encode()) <= MAX_KEY_BYTES]


def _has_image_extension(name: str) -> bool:
    return _extension(name) in upscaler.TYPE_BY_EXTENSION


def _extension(name: str) -> str:
    return PurePosixPath(name).suffix.lower().removeprefix(".")
