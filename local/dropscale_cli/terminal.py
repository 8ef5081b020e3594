"""The one place that writes to a terminal, and makes foreign text harmless to it.

Keys, names of files, manifests and what a vendor or AWS says may hold what a terminal obeys, what
turns the direction of text around, and what ends a line. Here each text is one line, and all of
that is written out. Nothing else in this package prints, or imports what does.
"""

from __future__ import annotations

import io
import json
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

import click

if TYPE_CHECKING:
    import rich.table
    import rich.text

Line = str | Sequence[str | tuple[str, str]]
"""A text, or parts of one, some of them with a style of rich's."""

_WIDTH = 10_000
"""Columns that no table of ours reaches: a path that is not broken can be copied."""

_MOST_CHARACTERS = 300
_UNPRINTABLE = re.compile(
    "[\0-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def printable(text: str) -> str:
    """Write out what a terminal would obey, hide or turn around, and what would break a line."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def in_cells(text: str) -> str:
    """Return text whose characters each take the cells that they seem to."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def on_one_line(text: str) -> str:
    """Return foreign text as one line that is not too long."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= _MOST_CHARACTERS else f"{line[:_MOST_CHARACTERS]}…"


def say(*lines: str, to_stderr: bool = False) -> None:
    """Print lines, each text as one."""
    for line in lines:
        click.echo(printable(line), err=to_stderr)


def say_json(document: object) -> None:
    """Print a JSON document; what no terminal should see is escaped in it."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    click.echo("\n".join(_UNPRINTABLE.sub(_json_escape, line) for line in text.split("\n")))


def confirm(question: str) -> bool:
    """Ask on standard error."""
    return click.confirm(printable(question), err=True)


def choose(question: str, choices: Sequence[str], default: str) -> str:
    """Ask for one of a few words, on standard error."""
    kind = click.Choice(choices)
    answer: str = click.prompt(printable(question), type=kind, default=default, err=True)
    return answer


def ask_unseen(question: str) -> str:
    """Ask for what nobody should see, on standard error."""
    answer: str = click.prompt(printable(question), hide_input=True, err=True)
    return answer


@dataclass(frozen=True)
class Table:
    """A table to be shown: `right` are the heads of the columns of numbers.

    Where it `is_cut`, cells that are too long for the terminal end in an ellipsis.
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: frozenset[str] = frozenset()
    caption: str | None = None
    is_cut: bool = False


class Terminal:
    """Standard output or standard error, for lines, and tables that keep up with something.

    Args:
        to_stderr: which of them.
        is_wide: whether what is shown is never broken, even where the terminal is narrow.
        file: what to write to instead.
        width, height, force_terminal: what to take it for, whatever it is.
    """

    def __init__(
        self,
        *,
        to_stderr: bool = False,
        is_wide: bool = False,
        file: TextIO | None = None,
        width: int | None = None,
        height: int | None = None,
        force_terminal: bool | None = None,
    ) -> None:
        from rich.console import Console  # noqa: PLC0415 # most commands start without it

        self._console = Console(
            stderr=to_stderr,
            file=file,
            width=_WIDTH if is_wide else width,
            height=height,
            force_terminal=force_terminal,
            highlight=False,
            markup=False,
            emoji=False,
            soft_wrap=True,
        )

    @property
    def file(self) -> TextIO:
        """What it writes to."""
        return self._console.file  # type: ignore[return-value] # rich says IO[str]

    @property
    def is_terminal(self) -> bool:
        """Whether a person looks on."""
        return self._console.is_terminal

    @property
    def height(self) -> int:
        """In lines."""
        return self._console.height

    @property
    def width(self) -> int:
        """In cells."""
        return self._console.width

    def say(self, *lines: Line) -> None:
        """Print lines, each text as one."""
        for line in lines:
            self._console.print(_text(line))

    def show(self, table: Table) -> None:
        """Print a table."""
        self._console.print(_rich_table(table))

    @contextmanager
    def keep_showing(self, table: Callable[[], Table], *, goes_away: bool) -> Iterator[None]:
        """Show a table, as it is at each time, until the block ends."""
        from rich.live import Live  # noqa: PLC0415 # see above

        def render() -> rich.table.Table:
            return _rich_table(table())

        with Live(get_renderable=render, console=self._console, transient=goes_away):
            yield


class Commands(click.Group):
    """A group of commands whose errors are as harmless to a terminal as all else that is said."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # as click has it
        **extra: Any,
    ) -> Any:
        """See `click.Command.main`."""

        def run() -> Any:
            return super(Commands, self).main(
                args, prog_name, complete_var, standalone_mode=False, **extra
            )

        if not standalone_mode:
            return run()
        sys.excepthook = _say_exception
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # for locales that are not UTF-8
        try:
            code = run()
        except click.ClickException as error:
            _say_error(error)
            sys.exit(error.exit_code)
        except click.Abort:
            say("Aborted!", to_stderr=True)
            sys.exit(1)
        sys.exit(code if isinstance(code, int) else 0)


def _say_error(error: click.ClickException) -> None:
    shown = io.StringIO()
    error.show(shown)
    usage, label, _ = shown.getvalue().rstrip("\n").partition("Error: ")
    if not label:  # a group without a command shows its help
        say(*usage.split("\n"), to_stderr=True)
        return
    # As it was said: what is shown to no terminal, click has taken the escapes out of.
    first, *more = error.format_message().split("\n")
    # What foreign text makes a line of its own is not to be taken for ours.
    say(*usage.split("\n")[:-1], f"{label}{first}", *(f"  {one}" for one in more), to_stderr=True)


def _say_exception(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    told = "".join(traceback.format_exception(kind, error, trace))
    say(*told.rstrip("\n").split("\n"), to_stderr=True)


def _json_escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _text(line: Line) -> rich.text.Text:
    from rich.text import Text  # noqa: PLC0415 # see above

    if isinstance(line, str):
        return Text(printable(line))
    parts = (part if isinstance(part, tuple) else (part, "") for part in line)
    return Text.assemble(*((printable(text), style) for text, style in parts))


def _rich_table(table: Table) -> rich.table.Table:
    import rich.table  # noqa: PLC0415 # see above

    shown = rich.table.Table(box=None, pad_edge=False, caption_justify="left")
    shown.caption = None if table.caption is None else _text(table.caption)
    for head in table.heads:
        shown.add_column(
            _text(head),
            justify="right" if head in table.right else "left",
            no_wrap=table.is_cut,
            overflow="ellipsis" if table.is_cut else "fold",
        )
    for row in table.rows:
        shown.add_row(*map(_text, row))
    return shown
