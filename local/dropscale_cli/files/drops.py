"""The files under a path on this machine, and how a stack would see them as drops."""

import hashlib
import os
import unicodedata
from bisect import bisect_left
from collections import ChainMap, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import chain, groupby, islice, takewhile
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from dropscale.errors import DropscaleError
from dropscale.image.header import refusal_by_name
from dropscale.image.unsupported import HEAD_BYTES
from dropscale.pipeline.parts.ports import MOST_KEYS, ObjectVersion, OpenObject
from dropscale.pipeline.parts.spec_resolver import SpecResolver
from dropscale.specs.keys import (
    SPEC_SUFFIXES,
    KeyKind,
    folded,
    is_left_alone,
    is_same_name,
    kind_of,
    means_folder_spec,
    meant_image,
    meant_stem,
)
from dropscale.specs.merge import stack_defaults
from dropscale.upscaler import Mode
from dropscale_cli.errors import NothingToDrop, UnusablePath
from dropscale_cli.files.state_folder import StateFolder

DEFAULTS = stack_defaults(scale_factor=2, mode=Mode.BALANCED)
"""The values of an image without specs, in a stack that `run` starts."""


@dataclass(frozen=True)
class LocalBucket:
    """A `dropscale.pipeline.parts.ports.InputBucket` of files, by the keys of their drops."""

    paths: Mapping[str, Path]
    suffixes: Sequence[str] = SPEC_SUFFIXES

    def head(self, bucket: str, key: str) -> ObjectVersion | None:
        """See `InputBucket.head`."""
        path = self.paths.get(key)
        return ObjectVersion(etag="", size=path.stat().st_size) if path else None

    @contextmanager
    def open(self, bucket: str, key: str, etag: str) -> Iterator[OpenObject]:
        """See `InputBucket.open`."""
        with self.paths[key].open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            version = ObjectVersion(etag, size=file.tell())
            file.seek(0)
            yield OpenObject(version, sha256, file)

    def keys(self, bucket: str, prefix: str) -> list[str]:
        """See `SpecFiles.keys`."""
        keys = self._sorted
        begin = bisect_left(keys, prefix)
        after = (keys[at] for at in range(begin, min(begin + MOST_KEYS, len(keys))))
        return list(takewhile(lambda key: key.startswith(prefix), after))

    def read(self, bucket: str, key: str, limit: int) -> bytes | None:
        """See `InputBucket.read`."""
        if key not in self.paths:
            return None
        with self.paths[key].open("rb") as file:
            return file.read(limit)

    def specs(self) -> SpecResolver:
        """Return a resolver that resolves specs like the stack that `run` starts."""
        return SpecResolver(
            self, DEFAULTS, self.suffixes, sidecar_required=False, names_like=self.names_like
        )

    def names_like(self, bucket: str, image_key: str) -> Sequence[str]:
        """Return the keys of specs that name an image, ignoring case."""
        return self._by_meaning[folded(image_key)]

    @cached_property
    def _sorted(self) -> Sequence[str]:
        return sorted(self.paths)

    @cached_property
    def _by_meaning(self) -> Mapping[str, list[str]]:
        found = defaultdict[str, list[str]](list)
        for key in self._sorted:
            if meant := meant_image(key, self.suffixes):
                found[folded(meant)].append(key)
        return found


_MOST_NAMED = 3
_MOST_REASONS = 1000

Reason = TypeVar("Reason", bound=Hashable)


class KeysByReason(Generic[Reason]):
    """Keys by what is said of them: how many, and the first names, of the first 1,000 reasons."""

    def __init__(self) -> None:
        self._found: dict[Reason, tuple[int, tuple[str, ...]]] = {}
        self._left_out = 0

    def add(self, reason: Reason, key: str) -> None:
        """Add a key."""
        count, names = self._found.get(reason, (0, ()))
        if not count and len(self._found) == _MOST_REASONS:
            self._left_out += 1
        else:
            self._found[reason] = count + 1, (names if count >= _MOST_NAMED else (*names, key))

    def __iter__(self) -> Iterator[tuple[Reason, str]]:
        """Yield each reason with the first names and the number of further ones."""
        for reason, (count, names) in self._found.items():
            yield reason, _list_names(names, count)

    def left_out(self, what: str) -> Iterator[str]:
        """Yield a line if there were more reasons."""
        if self._left_out:
            yield f"{self._left_out} more {what}; --format json has all"


def _list_names(names: Sequence[str], count: int) -> str:
    more = count - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


@dataclass(frozen=True)
class IgnoredFiles:
    """Ignored files by their keys; images that the upscaler does not accept have a reason."""

    refusals: Mapping[str, DropscaleError | None]

    @classmethod
    def of(cls, files: Mapping[str, Path]) -> Self:
        """Examine files; if a name is that of an image, also the file's first bytes."""
        return cls({key: _refusal(key, file) for key, file in files.items()})

    def __len__(self) -> int:
        return len(self.refusals)

    def __str__(self) -> str:
        """Return some of their names."""
        return _list_names(list(islice(self.refusals, _MOST_NAMED)), len(self))

    def lines(self) -> Iterator[str]:
        """For images that the upscaler does not accept, say what they are and what to do."""
        by_advice = KeysByReason[tuple[str, str]]()
        for key, refusal in self.refusals.items():
            if refusal is not None:
                by_advice.add((refusal.message.removeprefix(f"{key} "), refusal.fix), key)
        for (message, fix), names in by_advice:
            yield ""
            yield f"{names}: not dropped: {message}"
            yield f"  {fix}"
        yield from by_advice.left_out("files")

    def as_json(self) -> list[dict[str, Any]]:
        """Return all of them as JSON shows them."""
        return [
            {"key": key, "reason": refusal and refusal_as_json(refusal)}
            for key, refusal in self.refusals.items()
        ]


NOTHING_IGNORED = IgnoredFiles({})


def refusal_as_json(refusal: DropscaleError) -> dict[str, str]:
    """Return as JSON why a file is not accepted."""
    return {"code": type(refusal).__name__, "message": refusal.message, "fix": refusal.fix}


class NameUnfit(DropscaleError):
    """A file's name cannot be used as a key."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} has a name that is not printable UTF-8", fix="Rename the file.")


def _refusal(key: str, file: Path) -> DropscaleError | None:
    if not is_fit_name(key):
        return NameUnfit(key)
    if kind_of(key) is not KeyKind.UNSUPPORTED:
        return None
    try:
        with file.open("rb") as content:
            head = content.read(HEAD_BYTES)
    except OSError:
        return None
    return refusal_by_name(head, key)


_UNFIT_CATEGORIES = {"Cc", "Cs"}
"""Control characters, which a terminal would obey, and surrogates, by which Python represents bytes
that are not UTF-8."""


@dataclass(frozen=True)
class Drops:
    """Files by the keys of their drops, and ignored files.

    The names of specs end in one of `suffixes`. `specs` are those of images and folders;
    `stand_alone` are specs that are drops themselves, and misnamed folder specs, which a stack
    rejects as drops. If these are the files of one folder, `above` are the specs of those it is in.
    """

    specs: dict[str, Path]
    images: dict[str, Path]
    stand_alone: dict[str, Path] = field(default_factory=dict)
    ignored: dict[str, Path] = field(default_factory=dict)
    suffixes: Sequence[str] = SPEC_SUFFIXES
    above: dict[str, Path] = field(default_factory=dict)

    @property
    def to_follow(self) -> dict[str, Path]:
        """All files that are drops."""
        return self.images | self.stand_alone

    def below(self, prefix: str) -> Self:
        """Return the same files with keys that begin with `prefix`."""

        def move_keys(files: dict[str, Path]) -> dict[str, Path]:
            return {prefix + key: path for key, path in files.items()}

        return replace(
            self,
            specs=move_keys(self.specs),
            images=move_keys(self.images),
            stand_alone=move_keys(self.stand_alone),
        )

    @property
    def bucket(self) -> LocalBucket:
        """All files as a stack would see them."""
        return LocalBucket(
            ChainMap(self.images, self.specs, self.stand_alone, self.above), self.suffixes
        )

    @property
    def paths(self) -> dict[str, Path]:
        """All files that are dropped."""
        return self.specs | self.to_follow


def _raise(error: UnusablePath) -> None:
    raise error


def find_drops(
    path: Path,
    out: Path,
    refuse: Callable[[UnusablePath], None] = _raise,
    suffixes: Sequence[str] = SPEC_SUFFIXES,
) -> Drops:
    """Find all that `drops_by_folder` yields.

    Raises:
        NothingToDrop: there is no image and no stand-alone spec.
        UnusablePath: see `drops_by_folder`.
    """
    drops = Drops({}, {}, suffixes=suffixes)
    for folder in drops_by_folder(path, out, refuse, suffixes):
        drops.specs.update(folder.specs)
        drops.images.update(folder.images)
        drops.stand_alone.update(folder.stand_alone)
        drops.ignored.update(folder.ignored)
    if not drops.to_follow:
        left = IgnoredFiles.of(drops.ignored or drops.specs)
        named = f"; other files: {left}" if left else ""
        raise NothingToDrop("\n".join((f"{path}: there is no image to drop{named}", *left.lines())))
    return drops


def drops_by_folder(
    path: Path,
    out: Path,
    refuse: Callable[[UnusablePath], None] = _raise,
    suffixes: Sequence[str] = SPEC_SUFFIXES,
) -> Iterator[Drops]:
    """Find the images and specs at `path`: a folder with its subfolders, or one image or spec.

    Yields one folder after the other. For one image, its specs in the same folder are included.
    Hidden files, files that systems leave (`is_left_alone`), `out` and the results of other runs
    are left out. Keys are NFC, whatever form the file system uses, so that a name typed elsewhere
    still matches.

    A file whose name cannot be a key is ignored: no other file can have its specs.

    Raises:
        UnusablePath: results would be among the images; or a file or folder cannot be read, or two
            files have one key, unless `refuse` handles that error. Then the other files are found,
            including those that cannot be read.
    """
    if not path.is_dir():
        beside = (
            file for file in sorted(path.parent.iterdir()) if _is_spec_for(file, path, suffixes)
        )
        files = [path, *filter(Path.is_file, beside)]
        yield _drops_of_folder(*_by_key(path.parent, files, refuse), {}, refuse, suffixes)
        return
    if path.resolve().is_relative_to(out.resolve()):
        raise UnusablePath(
            f"{out}: results there could be among the images of {path}, and be paid for as "
            "images; choose another folder with --out."
        )
    above: dict[str, Path] = {}
    for parent, below in groupby(files_below(path, out, refuse), lambda file: file.parent):
        unfit, found = _by_key(path, below, refuse)
        here = unicodedata.normalize("NFC", f"{parent.relative_to(path).as_posix()}/")
        above = {spec: file for spec, file in above.items() if here.startswith(_folder_of(spec))}
        own = {spec: file for spec, file in found.items() if means_folder_spec(spec)}
        yield _drops_of_folder(unfit, found, above, refuse, suffixes)
        above |= own


def _folder_of(key: str) -> str:
    return key[: key.rfind("/") + 1]


def _drops_of_folder(
    unfit: dict[str, Path],
    found: dict[str, Path],
    above: dict[str, Path],
    refuse: Callable[[UnusablePath], None],
    suffixes: Sequence[str],
) -> Drops:
    """Return the drops among the files of one folder: those that cannot be keys, and the others."""
    by_kind: dict[KeyKind, dict[str, Path]] = {kind: {} for kind in KeyKind}
    for key, file in found.items():
        by_kind[kind_of(key, suffixes)][key] = file
    images, misnamed = by_kind[KeyKind.IMAGE], by_kind[KeyKind.MISNAMED]
    specs = by_kind[KeyKind.FOLDER_SPEC] | by_kind[KeyKind.SIDECAR]
    specs |= {key: file for key, file in misnamed.items() if not means_folder_spec(key)}
    rest = by_kind[KeyKind.OTHER].items()  # such as `cat.yaml.txt`, which contains `cat.jpg`
    if rest:
        stems = {key.rpartition(".")[0] for key in images}
        specs |= {key: file for key, file in rest if meant_stem(key, suffixes) in stems}
    stand_alone = _drops_among(by_kind[KeyKind.STAND_ALONE], images, suffixes)
    stand_alone |= {key: file for key, file in misnamed.items() if key not in specs}
    drops = Drops(specs, images, stand_alone, suffixes=suffixes, above=above)
    for file in chain(specs.values(), images.values(), stand_alone.values()):
        if not os.access(file, os.R_OK):
            refuse(UnusablePath(f"{file}: cannot be read; allow it, or move the file away."))
    dropped = (specs, images, stand_alone)
    ignored = {key: file for key, file in found.items() if not any(key in one for one in dropped)}
    return replace(drops, ignored=unfit | ignored)


def specs_above(path: Path) -> Iterator[str]:
    """Yield a warning for each folder spec in the working directory that is above `path`.

    `explain` and `validate` use it; where `path` alone is dropped, no stack can.
    """
    top = Path(os.path.relpath(path if path.is_dir() else path.parent))
    for folder in top.parents if os.pardir not in top.parts else ():
        for name in sorted(os.listdir(folder)):
            if kind_of(name) is KeyKind.FOLDER_SPEC:
                unused = f"{folder / name} does not apply, because it is above {top}"
                yield f"Warning: {unused}; to apply it, give {folder}"


def _is_spec_for(file: Path, image: Path, suffixes: Sequence[str]) -> bool:
    """Return whether a file beside an image may be its spec, or the spec of its folder."""
    meant = meant_image(file.name, suffixes)
    is_sidecar = meant is not None and folded(meant) == folded(image.name)
    is_short = is_same_name(meant_stem(file.name, suffixes) or "", image.stem)
    return is_sidecar or is_short or means_folder_spec(file.name)


def _drops_among(
    candidates: Mapping[str, Path], images: Mapping[str, Path], suffixes: Sequence[str]
) -> dict[str, Path]:
    """Return the files that a stack treats as stand-alone specs, including faulty ones."""
    specs = LocalBucket({**candidates, **images}, suffixes).specs()
    return {key: file for key, file in candidates.items() if _is_drop(key, specs)}


def _is_drop(key: str, specs: SpecResolver) -> bool:
    try:
        return specs.resolve_drop("", key) is not None
    except DropscaleError:
        return True
    except OSError:
        return False


def files_below(
    folder: Path, out: Path | None = None, refuse: Callable[[UnusablePath], None] = _raise
) -> Iterator[Path]:
    """Return all files in a folder and its subfolders that a stack would look at.

    Except those in `out` and in the output folders of runs.

    Raises:
        UnusablePath: a folder cannot be read, or two have one key, unless `refuse` handles that.
    """

    def tell(error: OSError) -> None:
        refuse(UnusablePath(f"{error.filename}: cannot be read: {error.strerror}."))

    out = out and out.resolve()
    for parent, folders, names in os.walk(folder, onerror=tell):
        here = Path(parent)
        by_key: dict[str, str] = {}
        for name in sorted(folders):
            below = here / name
            if is_left_alone(name) or below.resolve() == out or StateFolder(below).path.is_dir():
                continue
            first = by_key.setdefault(unicodedata.normalize("NFC", name), name)
            if first != name:
                refuse(_one_key(here / first, below))
        folders[:] = by_key.values()
        seen = (name for name in names if not is_left_alone(name) or means_folder_spec(name))
        yield from (file for name in sorted(seen) if (file := here / name).is_file())


def is_fit_name(name: str) -> bool:
    """Return whether a file's name is printable UTF-8, as a key must be."""
    return not any(unicodedata.category(character) in _UNFIT_CATEGORIES for character in name)


def _by_key(
    folder: Path, files: Iterable[Path], refuse: Callable[[UnusablePath], None]
) -> tuple[dict[str, Path], dict[str, Path]]:
    """Return the files whose names cannot be keys, and the others by their keys."""
    unfit: dict[str, Path] = {}
    found: dict[str, Path] = {}
    for file in files:
        name = file.relative_to(folder).as_posix()
        if not is_fit_name(name):
            unfit[name] = file
            continue
        key = unicodedata.normalize("NFC", name)
        if key in found:
            refuse(_one_key(found[key], file))
            continue
        found[key] = file
    return unfit, found


def _one_key(first: Path, second: Path) -> UnusablePath:
    both = f"{str(first)!a} and {str(second)!a}"
    return UnusablePath(f"{both} are one key; rename one of them.")


_PAGE_LENGTH = 1000


@dataclass(frozen=True)
class FileListing:
    """A `dropscale_cli.follow.stack_plan.PlannedInput` of files."""

    drops: Drops
    input_bucket: str

    def input_pages(self, prefix: str) -> Iterator[list[tuple[str, ObjectVersion]]]:
        """See `PlannedInput.input_pages`."""
        files = [item for item in self.drops.to_follow.items() if item[0].startswith(prefix)]
        for start in range(0, len(files), _PAGE_LENGTH):
            page = files[start : start + _PAGE_LENGTH]
            yield [(key, ObjectVersion(etag_of(path))) for key, path in page]


def etag_of(path: Path) -> str:
    """Return the ETag that S3 computes for a single-part upload not encrypted by a KMS key.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False)).hexdigest()
