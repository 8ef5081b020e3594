"""Sorts the keys of the input bucket: image, sidecar, folder spec, other."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import PurePosixPath

from dropscale import upscaler

FOLDER_SPEC_NAME = "dropscale.yaml"
SIDECAR_SUFFIXES = (".yaml", ".yml", ".json")
MAX_KEY_BYTES = 1024
"""Longest key in S3, in UTF-8; it answers 400, not 404, to a read of a longer one.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html.
"""


class KeyKind(StrEnum):
    """What an object in the input bucket is, by its key alone."""

    IMAGE = "image"
    SIDECAR = "sidecar"
    FOLDER_SPEC = "folder_spec"
    OTHER = "other"


def kind_of(key: str, suffixes: Sequence[str] = SIDECAR_SUFFIXES) -> KeyKind:
    """Tell what the object at `key` is; `suffixes` are the sidecar suffixes in use."""
    name = PurePosixPath(key).name
    if not name or key.endswith("/"):
        return KeyKind.OTHER
    if name == FOLDER_SPEC_NAME:
        return KeyKind.FOLDER_SPEC
    if _has_image_extension(name):
        return KeyKind.IMAGE
    if image_key_of(key, suffixes):
        return KeyKind.SIDECAR
    return KeyKind.OTHER


def image_key_of(sidecar_key: str, suffixes: Sequence[str] = SIDECAR_SUFFIXES) -> str | None:
    """Return the key of the image that a sidecar's key belongs to, None if it is no sidecar's."""
    for suffix in suffixes:
        image_key = sidecar_key.removesuffix(suffix)
        if image_key != sidecar_key and _has_image_extension(PurePosixPath(image_key).name):
            return image_key
    return None


def sidecar_keys_of(image_key: str, suffixes: Sequence[str] = SIDECAR_SUFFIXES) -> list[str]:
    """Return every key at which the image's sidecar may lie."""
    keys = (image_key + suffix for suffix in suffixes)
    return [key for key in keys if len(key.encode()) <= MAX_KEY_BYTES]


def _has_image_extension(name: str) -> bool:
    return PurePosixPath(name).suffix.lower().removeprefix(".") in upscaler.TYPE_BY_EXTENSION
