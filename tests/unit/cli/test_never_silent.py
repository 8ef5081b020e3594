"""Slow commands: a person sees within a second what is happening."""

import errno
import os
import socket
import sys
import time
from collections.abc import Callable
from io import BytesIO, StringIO
from pathlib import Path
from typing import TextIO

import click
import pytest
from click.testing import CliRunner

from dropscale_cli import main as cli
from dropscale_cli.errors import NothingToDrop
from dropscale_cli.files.state_folder import StateFolder
from dropscale_cli.terminal import Commands, Terminal, Verbosity
from dropscale_cli.tracking import progress
from dropscale_cli.tracking.round_trip import Transfer
from tests.fakes import png

WORDS = ("Looking", "Reading", "Starting", "Writing", "Checking")
STACK = "stacks.aws_target._describe_stack"


class Slow:
    """Takes until something has been said about it, or half a minute, and gives up."""

    def __init__(self) -> None:
        self.said = ""

    def __call__(self, *_arguments: object, **_named: object) -> object:
        end = time.monotonic() + 30
        while not any(word in self.said for word in WORDS) and time.monotonic() < end:
            time.sleep(0.001)
            self.said = "".join(map(_output, (sys.stdout, sys.stderr)))
        raise NothingToDrop("enough")


def _output(stream: TextIO) -> str:
    stream.flush()
    assert isinstance(stream.buffer, BytesIO)  # as click's runner has it
    return stream.buffer.getvalue().decode()


def test_the_first_line_is_due_within_a_second() -> None:
    assert progress._FIRST_SECONDS * 1.25 < 1  # it is looked for four times in that


@pytest.mark.parametrize(
    ("command", "slow_part"),
    [
        ("run photos --engine stub", "follow.run.find_drops"),
        ("run photos --stack s", STACK),
        ("up --engine stub", "stacks.serve.local_cloud"),
        ("plan photos", "specs.plan.drops_by_folder"),
        ("apply photos", "follow.apply.find_drops"),
        ("apply s3://bucket/a", STACK),
        ("validate photos", "specs.validate.files_below"),
        ("gallery photos", "page.gallery.drops_in"),
        ("status", "follow.status._drops"),
        ("status --stack s", STACK),
        ("doctor", STACK),
        ("secret set", STACK),
        ("ledger rebuild", STACK),
        ("stack eject new", "stacks.stack_source.eject"),
        ("retry --all", "follow.places.KeptLedger.read"),
        ("resolve cat.png --abandon", "follow.places.KeptLedger.read"),
    ],
)
def test_something_is_said_while_a_command_works(
    command: str, slow_part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    Path("photos").mkdir()
    StateFolder(Path("out")).make()
    StateFolder(Path("out")).bind("the embedded API, engine stub")
    monkeypatch.setattr(progress, "_FIRST_SECONDS", 0.01)
    slow = Slow()
    monkeypatch.setattr(f"dropscale_cli.{slow_part}", slow)

    ended = CliRunner().invoke(cli.main, command.split())

    assert "enough" in ended.stderr, ended
    assert any(word in slow.said for word in WORDS), slow.said


def shown(verbosity: Verbosity, tell: Callable[[Terminal], None]) -> str:
    file = StringIO()
    with click.Context(click.Command("any")) as context:
        context.meta["dropscale_cli.terminal"] = verbosity
        tell(Terminal(file=file))
    return file.getvalue()


def test_quiet_is_silent_and_verbose_shows_each_step_and_transfer() -> None:
    def tell(console: Terminal) -> None:
        with progress.progress_on(console, "Planning") as reporter:
            reporter.moved(Transfer("uploading a.jpg", 1_000_000, 4_000_000, 0.5))
            reporter.moved(Transfer("uploading a.jpg", 4_000_000, 4_000_000, 2.0))

    assert shown(Verbosity.QUIET, tell) == ""
    assert shown(Verbosity.VERBOSE, tell) == (
        "Planning\nuploading a.jpg: 4.0 of 4.0 MB, 2.0 MB/s\n"
    )


@pytest.mark.parametrize(
    ("command", "doing"), [("plan", "Looking through {}"), ("stack eject", "Writing the stack")]
)
def test_the_options_choose_how_much_is_said(command: str, doing: str, tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(png())
    said = {
        option: CliRunner().invoke(cli.main, [*command.split(), str(tmp_path), option]).stderr
        for option in ("-q", "-v")
    }
    assert doing.format(tmp_path) not in said["-q"]
    assert said["-v"].startswith(doing.format(tmp_path))


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "out/a.png: No space left on device. Free some space, then"),
        (errno.EACCES, "out/a.png: Permission denied. Allow it, or choose another folder."),
        (errno.EADDRINUSE, "out/a.png: Address already in use. Choose another port."),
    ],
)
def test_what_the_system_refuses_is_one_line(number: int, said: str) -> None:
    def fail() -> None:
        raise OSError(number, os.strerror(number), "out/a.png")

    group = Commands(commands={"fail": click.Command("fail", callback=fail)})
    ended = CliRunner().invoke(group, ["fail"])

    assert (ended.exit_code, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"Error: {said}")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["api --port", "up --port", "up --api-port"])
def test_a_port_in_use_is_one_line(command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        ended = CliRunner().invoke(
            cli.main, [*command.split(), str(port), "--engine", "stub"], catch_exceptions=False
        )
    assert ended.exit_code == 1
    (said,) = (line for line in ended.stderr.splitlines() if not line.startswith("Starting "))
    assert said.startswith(f"Error: port {port}")


def test_a_folder_that_cannot_be_read_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    really = os.scandir

    def scandir(path: str) -> object:
        if path.endswith("/a"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return really(path)

    monkeypatch.setattr(os, "scandir", scandir)
    ended = CliRunner().invoke(cli.main, ["plan", str(tmp_path)])

    assert ended.exit_code == 2
    assert ended.stderr == f"Error: {tmp_path}/a: cannot be read: Permission denied.\n"


def test_help_lists_every_command_under_a_head_in_80_columns() -> None:
    text = CliRunner().invoke(cli.main, ["--help"], terminal_width=80).output
    context = click.Context(cli.main)
    for name in cli.main.list_commands(context):
        assert cli.main.get_command(context, name) is not None
        assert sum(line.startswith(f"  {name} ") for line in text.splitlines()) == 1
    assert max(map(len, text.splitlines())) <= 80
    assert [line for line in text.splitlines() if line in {"Start here:", "Settle:"}]


def test_a_folder_of_a_stack_says_whose_it_is(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "out")
    folder.make()
    folder.bind("stack photos")

    ended = CliRunner().invoke(cli.main, ["status", "--out", str(folder.out)])

    assert ended.exit_code == 2
    assert "has the results of stack photos; add --stack photos" in ended.stderr


@pytest.mark.parametrize(
    ("command", "interrupted", "said"),
    [
        (
            "run photos --engine stub",
            "follow.run.find_drops",
            "are kept, and paid jobs continue. Results so far are in out.\nTo resume: dropscale "
            "run photos --engine stub\n",
        ),
        (
            "resolve cat.png --pay-again --stack s",
            "follow.by_hand.place_of",
            "Stack s continues its work.\nTo see its state: dropscale status --stack s\n",
        ),
        (
            "plan photos",
            "specs.plan.drops_by_folder",
            "Interrupted.\nTo resume: dropscale plan photos\n",
        ),
    ],
)
def test_an_interrupted_command_says_what_continues_and_the_next_command(
    command: str,
    interrupted: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(*_arguments: object, **_named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    monkeypatch.setattr(f"dropscale_cli.{interrupted}", interrupt)
    monkeypatch.setattr(sys, "argv", ["dropscale", *command.split()])

    ended = CliRunner().invoke(cli.main, command.split())

    assert ended.exit_code == 130
    assert ended.stderr.endswith(said), ended.stderr
