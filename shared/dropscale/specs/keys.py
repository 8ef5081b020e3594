"""Sorts the keys of the input bucket: image, sidecar, folder spec, stand-alone spec, other."""

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


class KeyKind(StrEnum):
    """What an object in the input bucket is, by its key alone."""

    IMAGE = "image"
    SIDECAR = "sidecar"
    FOLDER_SPEC = "folder_spec"
    STAND_ALONE = "stand_alone"
    """A spec that stands alone, if its content is one: other tools have such files, too."""
    UNSUPPORTED = "unsupported"
    """A picture of a type that the upscaler does not take."""
    OTHER = "other"


def kind_of(key: str, suffixes: Sequence[str] = SPEC_SUFFIXES) -> KeyKind:
    """Tell what the object at `key` is; `suffixes` are those that specs may end in."""
    name = PurePosixPath(key).name
    if not name or key.endswith(("/", MANIFEST_SUFFIX)):
        return KeyKind.OTHER
    if name == FOLDER_SPEC_NAME:
        return KeyKind.FOLDER_SPEC
    if _has_image_extension(name):
        return KeyKind.IMAGE
    if _extension(name) in upscaler.UNSUPPORTED_EXTENSIONS:
        return KeyKind.UNSUPPORTED
    if image_key_of(key, suffixes):
        return KeyKind.SIDECAR
    return KeyKind.STAND_ALONE if PurePosixPath(name).suffix in suffixes else KeyKind.OTHER


def image_key_of(sidecar_key: str, suffixes: Sequence[str] = SPEC_SUFFIXES) -> str | None:
    """Return the key of the image that a sidecar's key belongs to, None if it is no sidecar's."""
    for suffix in suffixes:
        image_key = sidecar_key.removesuffix(suffix)
        if image_key != sidecar_key and _has_image_extension(PurePosixPath(image_key).name):
            return image_key
    return None


def sidecar_keys_of(image_key: str, suffixes: Sequence[str] = SPEC_SUFFIXES) -> list[str]:
    """Return every key at which the image's sidecar may lie."""
    return _possible(image_key + suffix for suffix in suffixes)


def folder_spec_keys_of(key: str) -> list[str]:
    """Return every key at which a folder spec for the object at `key` may lie, outermost first."""
    ends = [at + 1 for at, character in enumerate(key) if character == "/"]
    return _possible(key[:end] + FOLDER_SPEC_NAME for end in (0, *ends))


def images_named_like(spec_key: str) -> list[str]:
    """Return the keys of images that only lack their extension in a spec's name.

    A person who writes `cat.yaml` for `cat.jpg` means `cat.jpg.yaml`.
    """
    stem = spec_key.removesuffix(PurePosixPath(spec_key).suffix)
    extensions = [*upscaler.TYPE_BY_EXTENSION, *map(str.upper, upscaler.TYPE_BY_EXTENSION)]
    return _possible(f"{stem}.{extension}" for extension in extensions)


def _possible(keys: Iterable[str]) -> list[str]:
    return [key for key in keys if len(key.encode()) <= MAX_KEY_BYTES]


def _has_image_extension(name: str) -> bool:
    return _extension(name) in upscaler.TYPE_BY_EXTENSION


def _extension(name: str) -> str:
    return PurePosixPath(name).suffix.lower().removeprefix(".")
