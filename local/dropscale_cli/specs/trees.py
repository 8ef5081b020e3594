"""Specs on this machine, by their paths, as a stack would see them when dropped."""

import os
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Self

import click

from dropscale.errors import DropscaleError
from dropscale.image.header import read_header
from dropscale.ledger.drops import Source
from dropscale.pipeline.parts.ports import MOST_KEYS
from dropscale.pipeline.parts.spec_resolver import (
    DropSpecs,
    ResolvedSpec,
    SidecarAmbiguous,
    SpecResolver,
)
from dropscale.specs.document import MAX_BYTES
from dropscale.specs.faults import Fault, SpecInvalid
from dropscale.specs.keys import SPEC_SUFFIXES, folded, image_key_of, is_same_name, meant_image
from dropscale.specs.parse import parse_sidecar
from dropscale_cli.files.drops import DEFAULTS


@dataclass(frozen=True)
class SpecTree:
    """The folder where the cascade of specs begins; specs above it have no effect.

    It is a `dropscale.pipeline.parts.ports.SpecFiles` whose keys are paths, relative to the working
    directory if that contains the root, so that faults name files as a person would. `unreadable`
    collects the files that could not be read; `listed` caches the contents of folders. Names of
    specs end in one of `suffixes`.
    """

    root: str
    unreadable: list[Fault] = field(default_factory=list)
    listed: dict[str, Sequence[str]] = field(default_factory=dict)
    suffixes: Sequence[str] = SPEC_SUFFIXES

    @classmethod
    def around(cls, path: Path, root: Path | None, suffixes: Sequence[str] = SPEC_SUFFIXES) -> Self:
        """Return the tree that a file or folder is in.

        Without a root, that is the working directory if it contains the path; else the folder
        itself, or the file's folder.
        """
        if root is None:
            folder = path if path.is_dir() else path.parent
            shown = _relative_path(path)
            root = folder if os.path.isabs(shown) or _leads_up(shown) else Path()
        return cls(_relative_path(root), suffixes=suffixes)

    def key_of(self, path: Path) -> str:
        """Return the key of a file or folder.

        Raises:
            click.UsageError: it is not inside the root.
        """
        below = os.path.relpath(path, self.root)
        if _leads_up(below):
            raise click.UsageError(f"'{path}' is not inside '{self.root}'.")
        return os.path.normpath(os.path.join(self.root, below))

    def keys(self, bucket: str, prefix: str) -> list[str]:
        """See `SpecFiles.keys`; subfolders are left out."""
        if not prefix.startswith(self._below):
            return []
        files = self._files_of(os.path.dirname(prefix))
        begin = bisect_left(files, prefix)
        return list(takewhile(lambda key: key.startswith(prefix), files[begin:]))[:MOST_KEYS]

    def names_like(self, bucket: str, image_key: str) -> Sequence[str]:
        """Return the keys of specs that name an image, ignoring case."""
        meant = (
            (key, meant_image(key, self.suffixes))
            for key in self._files_of(os.path.dirname(image_key))
        )
        return [key for key, image in meant if image and folded(image) == folded(image_key)]

    def read(self, bucket: str, key: str, limit: int) -> bytes | None:
        """See `SpecFiles.read`."""
        if not key.startswith(self._below) or not os.path.isfile(key):
            return None
        try:
            with open(key, "rb") as file:
                return file.read(limit)
        except OSError as error:
            message = f"cannot be read: {error.strerror}"
            self.unreadable.append(Fault(path=key, message=message, hint="allow reading it"))
            return None

    def images_of(self, spec_key: str) -> Sequence[str]:
        """Return the images that a sidecar names: the exact one, else those of similar names."""
        meant = meant_image(spec_key, self.suffixes) or ""
        if os.path.isfile(meant):
            return [meant]
        files = self._files_of(os.path.dirname(spec_key))
        like = [key for key in files if folded(key) == folded(meant)]
        return like or [meant]

    @cached_property
    def resolver(self) -> SpecResolver:
        """Resolves specs like the stack that `run` starts."""
        return SpecResolver(
            self, DEFAULTS, self.suffixes, sidecar_required=False, names_like=self.names_like
        )

    @cached_property
    def _below(self) -> str:
        return "" if self.root == os.curdir else os.path.join(self.root, "")

    def _files_of(self, folder: str) -> Sequence[str]:
        if folder not in self.listed:
            try:
                names = sorted(entry.name for entry in os.scandir(folder or os.curdir))
            except OSError:
                names = []
            self.listed[folder] = [os.path.join(folder, name) for name in names]
        return self.listed[folder]

    def resolve(self, key: str) -> ResolvedSpec | None:
        """Return the specs of an image, or of a stand-alone spec; None if it is not a spec.

        Raises:
            SpecInvalid: with all faults of all its specs.
        """
        try:
            specs = self.resolver.resolve_drop("", key)
        except SidecarAmbiguous:
            raise SpecInvalid(list(self._faults_of_sidecars(key))) from None
        return None if specs is None else specs.for_image(self._describe(key, specs))

    def _describe(self, key: str, specs: DropSpecs) -> Source:
        """Return a drop with what rules go by, as far as there are rules, and its image is here."""
        source = Source(bucket="", key=key, etag="")
        if not specs.has_rules or specs.image_identity is not None or not os.path.isfile(key):
            return source
        try:
            with open(key, "rb") as file:
                header = read_header(file, key)
        except (OSError, DropscaleError):
            return source
        facts = {name: getattr(header, name) for name in ("type", "width", "height", "alpha")}
        return source.model_copy(update={**facts, "bytes": os.path.getsize(key)})

    def _faults_of_sidecars(self, image_key: str) -> Iterator[Fault]:
        files = self._files_of(os.path.dirname(image_key))
        found = [
            key for key in files if is_same_name(image_key_of(key, self.suffixes) or "", image_key)
        ]
        for key in found:
            others = " and ".join(other for other in found if other != key)
            what = f"{image_key} has another sidecar, {others}"
            yield Fault(path=key, message=what, hint="keep one of them")
            try:
                parse_sidecar(self.read("", key, MAX_BYTES + 1) or b"", key, image_key)
            except SpecInvalid as error:
                yield from error.faults


def _relative_path(path: Path) -> str:
    """Return a path relative to the working directory if that contains it, else unchanged."""
    below = os.path.relpath(path)  # as written: symbolic links are not resolved
    return os.path.normpath(path) if _leads_up(below) else below


def _leads_up(path: str) -> bool:
    return path.split(os.sep, maxsplit=1)[0] == os.pardir
