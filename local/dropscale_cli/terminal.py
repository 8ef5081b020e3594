"""The only module that writes to a terminal; it makes foreign text harmless.

Keys, file names, manifests and messages from the vendor or AWS may contain terminal escapes, marks
that reverse the direction of text, and line breaks. Here each text is printed as one line with
these characters escaped. Nothing else in this package prints, or imports anything that does.
"""

from __future__ import annotations

import errno
import io
import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from importlib import import_module
from textwrap import indent
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, TextIO

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    import rich.table
    import rich.text

Line = str | Sequence[str | tuple[str, str]]
"""A text, or parts of one, some of them with a rich style."""

_WIDTH = 10_000
"""Wider than any of our tables: a path that is not wrapped can be copied."""

_MOST_CHARACTERS = 300
_UNPRINTABLE = re.compile(
    "[\0-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


_WHAT_TO_DO = MappingProxyType(
    {
        errno.ENOSPC: "Free some space, then give the same command again.",
        errno.EDQUOT: "Free some space, then give the same command again.",
        errno.EROFS: "Choose another folder.",
        errno.EACCES: "Allow it, or choose another folder.",
        errno.EPERM: "Allow it, or choose another folder.",
        errno.EADDRINUSE: "Choose another port.",
        errno.EMFILE: "Raise the limit (ulimit -n), then give the same command again.",
    }
)
"""What to do about operating system errors, in any command."""


def printable(text: str) -> str:
    """Escape characters that a terminal would obey, hide or reorder, and line breaks."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def in_cells(text: str) -> str:
    """Return text whose characters have the width that they seem to have."""
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
    """Print a JSON document; characters unsafe for a terminal are escaped."""
    _echo_json(json.dumps(document, indent=2, ensure_ascii=False))


def say_json_with_list(
    name: str, items: Iterable[object], others: Callable[[], Mapping[str, object]]
) -> None:
    """Print a JSON object whose first field is a list, each item once the next one is known.

    The other fields are asked for last.
    """
    _echo_json(f'{{\n  "{name}": [')
    before = None
    for item in items:
        if before is not None:
            _echo_json(f"{before},")
        before = indent(json.dumps(item, indent=2, ensure_ascii=False), "    ")
    _echo_json(f"{before}\n  ]," if before is not None else "  ],")
    _echo_json(json.dumps(others(), indent=2, ensure_ascii=False).removeprefix("{\n"))


def _echo_json(text: str) -> None:
    click.echo("\n".join(_UNPRINTABLE.sub(_json_escape, line) for line in text.split("\n")))


def confirm(question: str) -> bool:
    """Ask a yes/no question on standard error."""
    return click.confirm(printable(question), err=True)


def choose(question: str, choices: Sequence[str], default: str) -> str:
    """Ask for one of `choices`, on standard error."""
    kind = click.Choice(choices)
    answer: str = click.prompt(printable(question), type=kind, default=default, err=True)
    return answer


def ask_unseen(question: str) -> str:
    """Ask for a secret, without echo, on standard error."""
    answer: str = click.prompt(printable(question), hide_input=True, err=True)
    return answer


@dataclass(frozen=True)
class Table:
    """A table to show; the columns headed `right` are aligned right.

    If it `is_cut`, cells too long for the terminal end in an ellipsis; else they wrap. If there is
    no room, the columns `spare` are left out one by one.
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: frozenset[str] = frozenset()
    caption: str | None = None
    is_cut: bool = False
    spare: Sequence[str] = ()

    def without(self, head: str) -> Table:
        """Return it without a column."""
        kept = [at for at, one in enumerate(self.heads) if one != head]
        rows = [[row[at] for at in kept] for row in self.rows]
        return replace(self, heads=[self.heads[at] for at in kept], rows=rows)


class Terminal:
    """Standard output or standard error, for lines and live tables.

    Args:
        to_stderr: which of them.
        is_wide: whether output that goes to a file, not to a terminal, is never wrapped.
        file: where to write instead.
        width, height, force_terminal: override what is detected.
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
            width=width,
            height=height,
            force_terminal=force_terminal,
            highlight=False,
            markup=False,
            emoji=False,
            soft_wrap=True,
        )
        if is_wide and not self._console.is_terminal:
            self._console.width = _WIDTH

    @property
    def file(self) -> TextIO:
        """The stream that it writes to."""
        return self._console.file  # type: ignore[return-value] # rich says IO[str]

    @property
    def is_terminal(self) -> bool:
        """Whether it is a terminal."""
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
        if self._console.width == _WIDTH:
            self._console.file.writelines(_aligned(table))
            return
        unbroken = self._console.options.update(width=_WIDTH)
        for head in table.spare:
            if self._console.measure(_rich_table(table), options=unbroken).maximum <= self.width:
                break
            table = table.without(head)
        self._console.print(_rich_table(table))

    @contextmanager
    def keep_showing(self, table: Callable[[], Table], *, goes_away: bool) -> Iterator[None]:
        """Show a live table until the block ends."""
        from rich.live import Live  # noqa: PLC0415 # see above

        def render() -> rich.table.Table:
            return _rich_table(table())

        with Live(get_renderable=render, console=self._console, transient=goes_away):
            yield


@dataclass(frozen=True)
class Listed:
    """A command as listed in the help.

    Attributes:
        target: Its module and the name in it, as `module:name`.
        summary: What it does, in one line of 80 columns.
    """

    name: str
    target: str
    summary: str


class Verbosity(Enum):
    """How much progress is shown; results are always shown."""

    QUIET = "quiet"
    NORMAL = "normal"
    VERBOSE = "verbose"

    @classmethod
    def chosen(cls) -> Verbosity:
        """Return the verbosity of the current command."""
        context = click.get_current_context(silent=True)
        chosen: Verbosity = context.meta.get(__name__, cls.NORMAL) if context else cls.NORMAL
        return chosen


def _verbosity_option(short: str, value: Verbosity, help_text: str) -> click.Option:
    def choose_it(context: click.Context, _parameter: click.Parameter, is_given: bool) -> None:
        if is_given:
            context.meta[__name__] = value

    names = [short, f"--{value.value}"]
    return click.Option(
        names, is_flag=True, expose_value=False, help=help_text, callback=choose_it, is_eager=True
    )


class Commands(click.Group):
    """A command group whose error messages are escaped like all other output.

    Args:
        listed: commands by their heading in the help; each is imported when it is called.
        package: the package of their modules.
        attributes: as `click.Group` has them.
    """

    def __init__(
        self,
        *,
        listed: Mapping[str, Sequence[Listed]] = MappingProxyType({}),
        package: str = "",
        **attributes: Any,
    ) -> None:
        super().__init__(**attributes)
        self._sections = listed
        self._package = package

    @property
    def _listed(self) -> dict[str, Listed]:
        return {one.name: one for section in self._sections.values() for one in section}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """See `click.Group.list_commands`."""
        return list(self._listed) or super().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """See `click.Group.get_command`."""
        listed = self._listed.get(cmd_name)
        if listed is None or cmd_name in self.commands:
            return super().get_command(ctx, cmd_name)
        module, _, name = listed.target.partition(":")
        command: click.Command = getattr(import_module(f"{self._package}.{module}"), name)
        self.add_command(command, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """See `click.Group.resolve_command`; a mistyped name gets the one that is meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            # Click knows only the commands that are imported already.
            listed = self.list_commands(ctx)
            raise click.NoSuchCommand(error.command_name, possibilities=listed, ctx=ctx) from error

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """See `click.Group.add_command`; adds the options for verbosity to each command."""
        cmd.params += [
            _verbosity_option("-q", Verbosity.QUIET, "Show no progress."),
            _verbosity_option("-v", Verbosity.VERBOSE, "Show each step and each transfer."),
        ]
        super().add_command(cmd, name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """See `click.Group.format_commands`; imports none of those that are listed."""
        if not self._sections:
            super().format_commands(ctx, formatter)
        for head, section in self._sections.items():
            with formatter.section(head):
                formatter.write_dl([(one.name, one.summary) for one in section])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """See `click.Group.shell_complete`; imports none of those that are listed."""
        if not self._sections:
            return super().shell_complete(ctx, incomplete)
        found = [
            CompletionItem(one.name, help=one.summary)
            for one in self._listed.values()
            if one.name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)

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
            say("Interrupted.", to_stderr=True)
            sys.exit(130)
        except OSError as error:
            what_to_do = _WHAT_TO_DO.get(error.errno or 0)
            if what_to_do is None:
                raise
            where = f"{os.fsdecode(error.filename)}: " if error.filename is not None else ""
            told = f"{where}{error.strerror}. {what_to_do}"
            say(f"Error: {told}", to_stderr=True)
            sys.exit(1)
        sys.exit(code if isinstance(code, int) else 0)


def _say_error(error: click.ClickException) -> None:
    shown = io.StringIO()
    error.show(shown)
    usage, label, _ = shown.getvalue().rstrip("\n").partition("Error: ")
    if not label:  # a group without a command shows its help
        say(*usage.split("\n"), to_stderr=True)
        return
    # Kept as printed: for output that is not a terminal, click has removed the escapes.
    first, *more = error.format_message().split("\n")
    # A line made by foreign text must not look like one of ours.
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


def _aligned(table: Table) -> Iterator[str]:
    """Yield the lines of a table that need not fit a terminal; rich takes ten times as long."""
    from rich.cells import cell_len  # noqa: PLC0415 # see above

    cells = [[printable(cell) for cell in row] for row in (table.heads, *table.rows)]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = []
        for head, cell, width in zip(table.heads, row, widths, strict=True):
            blank = " " * (width - cell_len(cell))
            padded.append(f"{blank}{cell}" if head in table.right else f"{cell}{blank}")
        yield "  ".join(padded) + "\n"
    if table.caption is not None:
        yield f"{printable(table.caption)}\n"


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
