"""What lies under a path on this machine, and the keys it is dropped at."""

import os
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dropscale.spec.keys import KeyKind, kind_of, sidecar_keys_of
from dropscale_cli.errors import NothingToDrop, UnusablePath

_UNFIT_CATEGORIES = {"Cc", "Cs"}
"""Control characters, which a terminal would obey, and what Python makes of bytes not UTF-8."""


@dataclass(frozen=True)
class Drops:
    """Files by the keys they are dropped at, and how many more were left alone."""

    specs: dict[str, Path]
    images: dict[str, Path]
    ignored: int


def find_drops(path: Path, out: Path) -> Drops:
    """Find the images and specs at `path`: a folder with all below it, or one image.

    An image's sidecars come with it. Hidden files and folders are left alone, and so is `out`.
    Keys are NFC, whatever form the file system keeps names in, so that a name that was typed
    elsewhere still fits.

    Raises:
        NothingToDrop: there is no image.
        UnusablePath: a file cannot be read, or its name cannot be a key of its own.
    """
    if path.is_dir():
        folder, files = path, list(_files_below(path, out))
    else:
        beside = (path.with_name(name) for name in sidecar_keys_of(path.name))
        folder, files = path.parent, [path, *filter(Path.is_file, beside)]
    images: dict[str, Path] = {}
    specs: dict[str, Path] = {}
    by_kind = {KeyKind.IMAGE: images, KeyKind.SIDECAR: specs, KeyKind.FOLDER_SPEC: specs}
    for key, file in _by_key(folder, files).items():
        if (kind := kind_of(key)) in by_kind:
            by_kind[kind][key] = _readable(file)
    if not images:
        raise NothingToDrop(f"{path}: there is no image to drop; other files: {len(files)}.")
    return Drops(specs, images, ignored=len(files) - len(images) - len(specs))


def _files_below(folder: Path, out: Path) -> Iterator[Path]:
    out = out.resolve()
    for parent, folders, names in os.walk(folder):
        here = Path(parent)
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and (here / name).resolve() != out
        )
        files = (here / name for name in sorted(names) if not name.startswith("."))
        yield from (file for file in files if file.is_file())


def _by_key(folder: Path, files: Iterable[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for file in files:
        name = file.relative_to(folder).as_posix()
        if any(unicodedata.category(character) in _UNFIT_CATEGORIES for character in name):
            raise UnusablePath(f"{name!a}: the name is not printable UTF-8; rename the file.")
        key = unicodedata.normalize("NFC", name)
        if key in found:
            raise UnusablePath(
                f"{str(found[key])!a} and {str(file)!a} are one key; rename one of them."
            )
        found[key] = file
    return found


def _readable(file: Path) -> Path:
    if not os.access(file, os.R_OK):
        raise UnusablePath(f"{file}: cannot be read; allow it, or move the file away.")
    return file
