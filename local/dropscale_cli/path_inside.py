"""The one place where a key becomes a path: below a folder, and nowhere else.

Keys come from manifests and buckets that others may have written. A backslash, a colon and the
names that Windows reserves are letters like others on the systems that this runs on.
"""

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class LeadsOut(OSError):
    """A key names no file below the folder, or one of its folders is a link to elsewhere."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(errno.EPERM, f"is not written: {why}", path)


@dataclass(frozen=True)
class PathInside:
    """A path below a folder, by its key: names with slashes between them.

    Raises:
        LeadsOut: the key has a part that is no name.
    """

    folder: Path
    key: str

    def __post_init__(self) -> None:
        if "\0" in self.key or {"", ".", ".."} & set(self.key.split("/")):
            raise LeadsOut(f"{self.folder}/{self.key}", "its key is no path below the folder")

    @property
    def path(self) -> Path:
        """The path, for reading and for people."""
        return self.folder.joinpath(*self._names)

    def write(self, chunks: Iterable[bytes], partial: "PathInside", *, is_durable: bool) -> Path:
        """Write a file that appears, in place of an older one, only when it is whole.

        No link is followed below the folder, wherever it may come from meanwhile.

        Args:
            chunks: What to write.
            partial: Where the file grows: on the same file system, and nobody else's.
            is_durable: Whether it survives if the power fails now.

        Raises:
            LeadsOut: one of the folders is a link.
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
        """Open the folder that the path is in, having made it; yield its descriptor."""
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
        """Return an error of one of the names as that of the whole path."""
        if isinstance(error, LeadsOut) or error.errno is None:
            return error
        for at in range(1, len(self._names)):
            if self.folder.joinpath(*self._names[:at]).is_symlink():
                link = "/".join(self._names[:at])
                return LeadsOut(str(self.path), f"{link} is a link, which may lead elsewhere")
        return OSError(error.errno, error.strerror, str(self.path))
