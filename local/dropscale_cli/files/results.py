"""The paths of results on this machine; the only module that turns a key into a path.

Keys come from manifests and buckets that others may have written. Backslashes, colons and the names
that Windows reserves are ordinary on the systems that this runs on.

S3 accepts any name. File systems limit a name to 255 bytes; some do not distinguish case or Unicode
forms, and Windows reserves some names, which matters because people sync their folders. Such a name
is marked with a hash of the key; the manifest, whose name gets the same mark, contains the key
itself.
"""

import errno
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from dropscale.coded_warning import WarningCode
from dropscale.ledger.drops import Output
from dropscale.results.manifest import Manifest
from dropscale.specs.keys import MANIFEST_SUFFIX
from dropscale.specs.output_name import is_like_default, without_endings

STATE_NAME = ".dropscale"
"""The folder in an output folder where runs keep their state."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class LeadsOut(OSError):
    """A key does not name a file inside the folder, or one of its folders is a symbolic link."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(errno.EPERM, f"is not written: {why}", path)


@dataclass(frozen=True)
class PathInside:
    """A path inside a folder, by its key: names separated by slashes.

    Raises:
        LeadsOut: a part of the key is not a name.
    """

    folder: Path
    key: str

    def __post_init__(self) -> None:
        if "\0" in self.key or {"", ".", ".."} & set(self.key.split("/")):
            raise LeadsOut(f"{self.folder}/{self.key}", "its key is not a path inside the folder")

    @property
    def path(self) -> Path:
        """The path, for reading and for people."""
        return self.folder.joinpath(*self._names)

    def write(self, chunks: Iterable[bytes], partial: "PathInside", *, is_durable: bool) -> Path:
        """Write a file atomically, replacing an older one.

        No symbolic link inside the folder is followed, even one created meanwhile.

        Args:
            chunks: What to write.
            partial: The temporary file: on the same file system, and used by nothing else.
            is_durable: Whether it survives a power failure from now on.

        Raises:
            LeadsOut: one of the folders is a symbolic link.
            OSError: the file cannot be written.
        """
        with partial._opened_folder() as start, self._opened_folder() as end:
            name, growing = self._names[-1], partial._names[-1]
            with suppress(FileNotFoundError):
                os.unlink(growing, dir_fd=start)
            try:
                with os.fdopen(os.open(growing, _NEW_FILE, 0o666, dir_fd=start), "wb") as file:
                    file.writelines(chunks)
                    if is_durable:
                        file.flush()
                        os.fsync(file.fileno())
                os.replace(growing, name, src_dir_fd=start, dst_dir_fd=end)
                if is_durable:
                    os.fsync(end)
            except OSError as error:
                raise self._explained(error) from error
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(growing, dir_fd=start)
        return self.path

    @property
    def _names(self) -> list[str]:
        return self.key.split("/")

    @contextmanager
    def _opened_folder(self) -> Iterator[int]:
        """Create and open the folder of the path; yield its descriptor."""
        self.folder.mkdir(parents=True, exist_ok=True)
        opened = os.open(self.folder, _FOLDER)
        try:
            for name in self._names[:-1]:
                try:
                    with suppress(FileExistsError):
                        os.mkdir(name, dir_fd=opened)
                    inner = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=opened)
                except OSError as error:
                    raise self._explained(error) from error
                os.close(opened)
                opened = inner
            yield opened
        finally:
            os.close(opened)

    def _explained(self, error: OSError) -> OSError:
        """Return an error about one of the names as one about the whole path."""
        if isinstance(error, LeadsOut) or error.errno is None:
            return error
        for at in range(1, len(self._names)):
            if self.folder.joinpath(*self._names[:at]).is_symlink():
                link = "/".join(self._names[:at])
                return LeadsOut(str(self.path), f"{link} is a link, which may lead elsewhere")
        return OSError(error.errno, error.strerror, str(self.path))


MOST_BYTES = 255
_LONGEST_ENDING = 30
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:\..*)?", re.I | re.S)
"""Source: https://learn.microsoft.com/windows/win32/fileio/naming-a-file."""


def names_below(folder: Path, key: str) -> list[str]:
    """Return the names that a key's folders and file have in an output folder."""
    parts, names, at = key.split("/"), list[str](), folder
    is_blind = _ignores_case(folder)
    for index, part in enumerate(parts, 1):
        name = fitting_name(part, "/".join(parts[:index]))
        if is_blind and _is_anothers(at, name):
            name = _marked(part, "/".join(parts[:index]))
        names.append(name)
        at /= name
    return names


def fitting_name(name: str, key: str) -> str:
    """Return a part of a key as a name that file systems accept; `key` is the key so far."""
    is_fit = (
        len(name.encode()) <= MOST_BYTES
        and not _RESERVED.fullmatch(name)
        and not name.endswith((".", " "))
    )
    return name if is_fit else _marked(name, key)


def _marked(name: str, key: str) -> str:
    """Return a name, shortened, with a hash of its key, keeping its suffix."""
    mark = "~" + hashlib.sha256(key.encode()).hexdigest()[:16]
    stem, ending = _without_ending(name)
    if not stem.strip() or _RESERVED.fullmatch(stem):
        stem = f"_{stem}"
    room = MOST_BYTES - len((mark + ending).encode())
    return stem.encode()[:room].decode(errors="ignore") + mark + ending


def _without_ending(name: str) -> tuple[str, str]:
    if name.endswith(MANIFEST_SUFFIX):
        return name.removesuffix(MANIFEST_SUFFIX), MANIFEST_SUFFIX
    at = max(name.rfind("@"), name.rfind(".") if "@" not in name else -1)
    ending = name[at:] if at > 0 else ""
    if len(ending.encode()) > _LONGEST_ENDING or ending.endswith((".", " ")):
        ending = ""
    return name.removesuffix(ending), ending


def _ignores_case(folder: Path) -> bool:
    """Return whether the file system ignores case, judging by the state folder."""
    other_case = folder / STATE_NAME.upper()
    return (folder / STATE_NAME).exists() and other_case.exists()


def _is_anothers(folder: Path, name: str) -> bool:
    """Return whether the file found by a name has another name, in case or Unicode form."""
    return os.path.lexists(folder / name) and name not in os.listdir(folder)


class ResultPath(PathInside):
    """The path of a result or a manifest in an output folder, outside the state folder.

    Its names are those of its key where the file system accepts them; see `names_below`.

    Raises:
        LeadsOut: as by `PathInside`, or the path is in the state folder.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        # The file systems of macOS ignore case.
        if self.key.split("/")[0].casefold() == STATE_NAME:
            raise LeadsOut(f"{self.folder}/{self.key}", f"{STATE_NAME} is not for results")

    @cached_property
    def _names(self) -> list[str]:
        return names_below(self.folder, self.key)


def collect(place: ResultPath, chunks: Iterable[bytes], most_bytes: int) -> Path:
    """Write a result to its path: whole, or not at all.

    Raises:
        OSError: the file cannot be written, or is longer than it may be.
    """
    # In the state folder, so that a killed process leaves nothing among the results.
    partial = PathInside(place.folder, f"{STATE_NAME}/collecting.part")
    return place.write(_at_most(most_bytes, chunks, place.path), partial, is_durable=True)


def require_own(out: Path, key: str, manifest: str) -> None:
    """Refuse to write a result over a file that is none: it may be the only copy of an image.

    A file with a default name is always one. Another is, if the manifest in the folder has its
    bytes; `manifest` is the key of that.

    Raises:
        FileExistsError: there is a file that is not known to be a result.
    """
    there = ResultPath(out, key).path
    if not there.is_file() or is_like_default(without_endings(key).rpartition("/")[2]):
        return
    known = result_below(out, manifest)
    with suppress(OSError, ValidationError):
        jobs = Manifest.model_validate_json(known.read_bytes()).jobs if known else ()
        if any(one.output and collected_file(out, one.output) == there for one in jobs):
            return
    raise FileExistsError(
        errno.EEXIST, "is not replaced, as it is no result; move it away and run this again", there
    )


def result_below(out: Path, key: str) -> Path | None:
    """Return the result or manifest at a key in an output folder; None if there is none.

    One synced from a bucket may have names that this machine would not choose.
    """
    try:
        candidates = (ResultPath(out, key).path, PathInside(out, key).path)
        return next((path for path in candidates if path.is_file()), None)
    except (OSError, ValueError):  # it leads out, or a file cannot have that name
        return None


def advice_on_missing(manifest: Manifest, command: str) -> str:
    """Say how a delivered file that is missing comes back; `command` fetches it from the vendor."""
    if any(warning.code is WarningCode.FORGOTTEN for warning in manifest.warnings):
        return (
            f"deleted at Magic Hour; made from another file of its upscale, if any, by: {command}"
        )
    return f"free again by: {command}"


def collected_file(out: Path, output: Output) -> Path | None:
    """Return the path of a result in `out` if it has the delivered bytes; else None."""
    try:
        file = ResultPath(out, output.key).path
    except LeadsOut:
        return None
    if not file.is_file() or file.stat().st_size != output.bytes:
        return None
    return file if has_sha256(file, output.sha256) else None


def file_below(folders: Iterable[Path], key: str, size: int | None = None) -> Path | None:
    """Return the first file at a key in one of the folders, with a size in bytes.

    None: there is no such file, or the key leads out. Without a size, any size matches.
    """
    for folder in folders:
        with suppress(OSError, ValueError):  # too long, or a file cannot have that name
            path = PathInside(folder, key).path
            if path.is_file() and size in {None, path.stat().st_size}:
                return path
    return None


def has_sha256(file: Path, sha256: str) -> bool:
    """Whether a file's bytes hash to `sha256`, in hex.

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest() == sha256


def _at_most(most_bytes: int, chunks: Iterable[bytes], path: Path) -> Iterator[bytes]:
    for chunk in chunks:
        most_bytes -= len(chunk)
        if most_bytes < 0:
            raise OSError(errno.EFBIG, "is longer than its manifest says", str(path))
        yield chunk
