"""The journal: the rows of an embedded cloud's tables, stored in a file.

Rows are what DynamoDB's API calls items: attributes by name, each `{type: value}`. Only one process
may have a journal open.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Self

from dropscale_embedded import durable_sqlite

Row = Mapping[str, Any]

_SCHEMA = """
CREATE TABLE rows (
    table_name TEXT NOT NULL,
    key TEXT NOT NULL,
    row TEXT NOT NULL,
    PRIMARY KEY (table_name, key)
) WITHOUT ROWID"""


class JournalFailed(Exception):
    """A write could not be stored, so no further one is accepted."""


@dataclass(frozen=True)
class RowChange:
    """The new row at a key; None: it was deleted."""

    table: str
    key: Row
    row: Row | None


class Journal:
    """Stores the newest state of every row. Used by many threads."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lock = Lock()
        self._failure: Exception | None = None

    @classmethod
    @contextmanager
    def opened(cls, path: Path) -> Iterator[Self]:
        """Open the journal at a path; create it if it does not exist.

        Raises:
            FileUnusable: it is not a journal, or cannot be written.
        """
        with durable_sqlite.opened(path, _SCHEMA) as connection:
            yield cls(connection)

    def require_working(self) -> None:
        """Refuse to continue after a failed write: the file is behind the tables.

        Raises:
            JournalFailed: a write failed.
        """
        if self._failure is not None:
            raise JournalFailed("the journal failed before") from self._failure

    def write(self, changes: Iterable[RowChange]) -> None:
        """Store all changes, or none; they are on disk when this returns.

        Raises:
            JournalFailed: they could not be written, now or earlier.
        """
        with self._lock:
            self.require_working()
            try:
                with self._connection:
                    for change in changes:
                        self._make(change)
            except Exception as error:
                self._failure = error
                raise JournalFailed("the journal cannot be written") from error

    def rows(self) -> Iterator[tuple[str, Row]]:
        """Yield every row, with the name of its table; nothing is written before the last one."""
        with self._lock:
            for table, row in self._connection.execute("SELECT table_name, row FROM rows"):
                yield table, json.loads(row)

    def _make(self, change: RowChange) -> None:
        where = (change.table, json.dumps(change.key, sort_keys=True))
        if change.row is None:
            self._connection.execute("DELETE FROM rows WHERE (table_name, key) = (?, ?)", where)
        else:
            self._connection.execute(
                "INSERT OR REPLACE INTO rows VALUES (?, ?, ?)", (*where, json.dumps(change.row))
            )
