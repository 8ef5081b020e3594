"""The journal: stored writes survive the process."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dropscale_embedded.durable_sqlite import FileUnusable
from dropscale_embedded.journal import Journal, JournalFailed, Row, RowChange


def row(name: str, value: int = 0) -> Row:
    return {"pk": {"S": name}, "value": {"N": str(value)}}


def change(name: str, value: int = 0) -> RowChange:
    return RowChange("Ledger", {"pk": {"S": name}}, row(name, value))


def removal(name: str) -> RowChange:
    return RowChange("Ledger", {"pk": {"S": name}}, None)


def kept(path: Path) -> dict[str, int]:
    with Journal.opened(path) as journal:
        rows = [row for _, row in journal.rows()]
    return {row["pk"]["S"]: int(row["value"]["N"]) for row in rows}


def test_the_newest_state_of_each_row_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal.opened(path) as journal:
        journal.write([change("a", 1), change("b", 1), change("c", 1)])
        journal.write([change("a", 2), removal("b"), removal("never there")])
    assert kept(path) == {"a": 2, "c": 1}


def test_tables_do_not_meet(tmp_path: Path) -> None:
    other = RowChange("Other", {"pk": {"S": "a"}}, row("a", 2))
    with Journal.opened(tmp_path / "journal.sqlite") as journal:
        journal.write([change("a", 1), other])
        assert sorted(journal.rows(), key=lambda item: item[0]) == [
            ("Ledger", row("a", 1)),
            ("Other", row("a", 2)),
        ]


def test_many_may_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal.opened(path) as journal, ThreadPoolExecutor(8) as writers:
        names = [str(number) for number in range(64)]
        list(writers.map(lambda name: journal.write([change(name), change("all")]), names))
    assert kept(path).keys() == {*names, "all"}


def killed(path: Path, program: str) -> None:
    """Run a program on the journal in a process that kills itself."""
    text = f"""
import os, sys, pathlib
sys.path[:0] = {sys.path!r}
from tests.unit.test_journal import change
from dropscale_embedded.journal import Journal
with Journal.opened(pathlib.Path({str(path)!r})) as journal:
    journal.write([change("before")])
    {program}
"""
    ended = subprocess.run([sys.executable, "-c", text], timeout=30, check=False)
    assert ended.returncode == -9


def test_a_write_that_was_taken_outlives_the_process_before_anybody_is_told(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    killed(path, "journal.write([change('a'), change('b')]); os.kill(os.getpid(), 9)")
    assert kept(path).keys() == {"before", "a", "b"}


def test_a_write_that_was_cut_off_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    killed(
        path, "journal.write(change('a') if n < 9 else os.kill(os.getpid(), 9) for n in range(10))"
    )
    assert kept(path).keys() == {"before"}


def test_after_a_failed_write_it_takes_no_other(tmp_path: Path) -> None:
    def failing() -> Iterator[RowChange]:
        yield change("a")
        raise OSError("no space left")

    path = tmp_path / "journal.sqlite"
    with Journal.opened(path) as journal:
        with pytest.raises(JournalFailed) as failed:
            journal.write(failing())
        assert "no space left" in str(failed.value.__cause__)
        with pytest.raises(JournalFailed, match="before"):
            journal.write([change("b")])
    assert kept(path) == {}


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_text("no database, for sure")
    with pytest.raises(FileUnusable, match=r"journal\.sqlite"), Journal.opened(path):
        pass
    assert path.read_text() == "no database, for sure"
