"""Puts results into a folder on this machine."""

import errno
import hashlib
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

from dropscale.ledger.drops import Output
from dropscale_cli import state_folder
from dropscale_cli.local_names import names_below
from dropscale_cli.path_inside import LeadsOut, PathInside


class ResultPath(PathInside):
    """Where a result or a manifest lies in an output folder: not among what runs keep there.

    Its names are those of its key as far as the file system takes them; see `local_names`.

    Raises:
        LeadsOut: as `PathInside` does, or it is in the state folder.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        # The file systems of macOS take both cases for the same.
        if self.key.split("/")[0].casefold() == state_folder.NAME:
            raise LeadsOut(f"{self.folder}/{self.key}", f"{state_folder.NAME} is not for results")

    @cached_property
    def _names(self) -> list[str]:
        return names_below(self.folder, self.key)


def collect(place: ResultPath, chunks: Iterable[bytes], most_bytes: int) -> Path:
    """Write a result where it belongs: whole, or not at all.

    Raises:
        OSError: the file cannot be written, or is longer than it may be.
    """
    # A folder of its own, so that nothing is left among the results by a process that is killed.
    partial = PathInside(place.folder, f"{state_folder.NAME}/collecting.part")
    return place.write(_at_most(most_bytes, chunks, place.path), partial, is_durable=True)


def result_below(out: Path, key: str) -> Path | None:
    """Return the result or manifest at a key in an output folder; None if there is none.

    One that was synced there, from a bucket, may have names that would not be given here.
    """
    try:
        candidates = (ResultPath(out, key).path, PathInside(out, key).path)
        return next((path for path in candidates if path.is_file()), None)
    except (OSError, ValueError):  # it leads out, or is no name that a file can have
        return None


def collected_file(out: Path, output: Output) -> Path | None:
    """Return where a result lies below `out` with the bytes that were delivered, if it does."""
    try:
        file = ResultPath(out, output.key).path
    except LeadsOut:
        return None
    if not file.is_file() or file.stat().st_size != output.bytes:
        return None
    with file.open("rb") as content:
        is_same = hashlib.file_digest(content, "sha256").hexdigest() == output.sha256
    return file if is_same else None


def _at_most(most_bytes: int, chunks: Iterable[bytes], path: Path) -> Iterator[bytes]:
    for chunk in chunks:
        most_bytes -= len(chunk)
        if most_bytes < 0:
            raise OSError(errno.EFBIG, "is longer than its manifest says", str(path))
        yield chunk
