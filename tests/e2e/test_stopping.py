"""Told to stop, a command stops: at once, with one line, and with all it started."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.fakes import png

Start = Callable[..., "subprocess.Popen[str]"]

DEADLINE_SECONDS = 30.0


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A pipe: it ends for its reader when the last process that holds it has ended.

    Every worker of the stack has the log as its standard output.
    """
    os.mkfifo(tmp_path / "log")
    return tmp_path / "log"


@pytest.fixture
def reading() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


def last_words(process: "subprocess.Popen[str]", log: "Future[bytes]") -> str:
    """What a told process says, once it and all that it started have ended."""
    try:
        _, errors = process.communicate(timeout=DEADLINE_SECONDS)
        assert b"submit" in log.result(DEADLINE_SECONDS)
    finally:
        process.kill()
    assert process.returncode == 130
    return errors


def test_a_run_ends_on_a_signal_to_itself_however_often_it_comes(
    start: Start, log: Path, reading: ThreadPoolExecutor, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").write_bytes(png())
    out = tmp_path / "out"
    with start(
        "run", tmp_path / "photos", "--engine", "stub", "--log", log, "--out", out
    ) as process:
        logged = reading.submit(log.read_bytes)
        assert process.stdout is not None
        while "submitted" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        assert last_words(process, logged) == (
            f"Interrupted; nothing runs on here. What came out lies in {out}.\n"
        )


def test_a_stack_ends_on_ctrl_c(start: Start, log: Path, reading: ThreadPoolExecutor) -> None:
    with start("up", "--engine", "stub", "--log", log) as process:
        logged = reading.submit(log.read_bytes)
        assert process.stdout is not None
        while "Ctrl-C stops it" not in process.stdout.readline():
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        assert last_words(process, logged) == "Stopped; what was in the buckets is gone.\n"
