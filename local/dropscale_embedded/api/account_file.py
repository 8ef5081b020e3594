"""The file that stores an account: its projects and its book."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from pydantic import TypeAdapter

from dropscale_embedded import durable_sqlite
from dropscale_embedded.api.projects import Entry, Project

_PROJECT = TypeAdapter(Project)
_ENTRY = TypeAdapter(Entry)
_SCHEMA = """
CREATE TABLE projects (id TEXT PRIMARY KEY, project TEXT NOT NULL);
CREATE TABLE book (number INTEGER PRIMARY KEY, entry TEXT NOT NULL)"""


class AccountFile:
    """A `dropscale_embedded.api.projects.Keeper` on SQLite."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    @contextmanager
    def opened(cls, path: Path) -> Iterator[Self]:
        """Open the account at a path; create it if it does not exist.

        Raises:
            FileUnusable: it is not an account, or cannot be written.
        """
        with durable_sqlite.opened(path, _SCHEMA) as connection:
            yield cls(connection)

    def projects(self) -> list[Project]:
        """See `Keeper.projects`."""
        found = self._connection.execute("SELECT project FROM projects ORDER BY rowid")
        return [_PROJECT.validate_json(text) for (text,) in found]

    def entries(self) -> list[Entry]:
        """See `Keeper.entries`."""
        found = self._connection.execute("SELECT entry FROM book ORDER BY number")
        return [_ENTRY.validate_json(text) for (text,) in found]

    def keep(self, project: Project | None, *entries: Entry) -> None:
        """See `Keeper.keep`."""
        with self._connection:
            if project is not None:
                self._connection.execute(
                    "INSERT INTO projects VALUES (?, ?)"
                    " ON CONFLICT (id) DO UPDATE SET project = excluded.project",
                    (project.id, _PROJECT.dump_json(project)),
                )
            self._connection.executemany(
                "INSERT INTO book (entry) VALUES (?)", [(_ENTRY.dump_json(e),) for e in entries]
            )

    def forget(self, project_id: str) -> None:
        """See `Keeper.forget`."""
        with self._connection:
            self._connection.execute("DELETE FROM projects WHERE id = ?", (project_id,))
