"""SQLite files whose commits survive the end of the process and a power failure."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

_VERSION = 1
"""The version of the files' schemas; a file with another one was made by another dropscale."""


class FileUnusable(Exception):
    """A file is not one of our SQLite files, or cannot be written."""


@contextmanager
def opened(path: Path, schema: str) -> Iterator[sqlite3.Connection]:
    """Open a file; a new one is created with `schema`; `with connection:` commits durably.

    The connection may be used by many threads, one at a time.

    Raises:
        FileUnusable: it is not one of ours, or cannot be written.
    """
    with closing(_connect(path)) as connection:
        try:
            # WAL: a reader does not wait for the writer. FULL: a commit waits for the disk.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version == 0:
                connection.executescript(
                    f"BEGIN; {schema}; PRAGMA user_version = {_VERSION}; COMMIT"
                )
        except sqlite3.Error as error:
            raise FileUnusable(f"{path}: {error}") from error
        if version not in {0, _VERSION}:
            raise FileUnusable(f"{path}: was made by another version of dropscale ({version})")
        yield connection


def _connect(path: Path) -> sqlite3.Connection:
    try:
        return sqlite3.connect(path, check_same_thread=False)
    except sqlite3.Error as error:
        raise FileUnusable(f"{path}: {error}") from error
