"""Says what is wrong with specs: to a person, to a program, or to GitHub."""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import click
from pydantic import TypeAdapter
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from dropscale.specs.document import MAX_BYTES
from dropscale.specs.faults import Fault, Severity

_UNPRINTABLE = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LINE_BREAK = re.compile("\r\n|\r|\n")
_TAB = "    "
_MOST_CHARACTERS = 300


def report(faults: Sequence[Fault], output_format: str) -> None:
    """Print faults in a format: `text`, with excerpts on a terminal; `json`; or `github`."""
    if output_format == "json":
        click.echo(TypeAdapter(list[Fault]).dump_json(list(faults), indent=2))
    elif output_format == "github":
        for fault in faults:
            click.echo(_workflow_command(fault))
    else:
        console = Console(highlight=False, soft_wrap=True)
        if not console.is_terminal:
            for fault in faults:
                click.echo(_headline(fault).plain)
            return
        for path, of_file in groupby(faults, lambda fault: fault.path):
            lines = _lines_of(path)
            for fault in of_file:
                excerpt = _excerpt(fault, lines, console.width)
                console.print(_headline(fault), *excerpt, "", sep="\n")


def tally(faults: Sequence[Fault]) -> str:
    """Say how many errors and warnings there are."""
    errors = sum(fault.severity is Severity.ERROR for fault in faults)
    counts = {"error": errors, "warning": len(faults) - errors}
    return ", ".join(f"{n} {what}{'s' * (n > 1)}" for what, n in counts.items() if n) or "no faults"


def _workflow_command(fault: Fault) -> str:
    """Return a fault as GitHub makes an annotation of it.

    Source: https://docs.github.com/actions/reference/workflow-commands-for-github-actions.
    """
    title = f"dropscale: {fault.field}" if fault.field else "dropscale"
    properties = {"file": fault.path, "line": fault.line, "col": fault.column, "title": title}
    listed = ",".join(f"{name}={_escaped(str(value), ':,')}" for name, value in properties.items())
    return f"::{fault.severity} {listed}::{_escaped(f'{fault.message}; {fault.hint}')}"


def _escaped(text: str, special: str = "") -> str:
    return "".join(f"%{ord(c):02X}" if c in f"%\r\n{special}" else c for c in text)


def _headline(fault: Fault) -> Text:
    """Return what `str` makes of a fault, on one line and harmless to a terminal."""
    is_warning = fault.severity is Severity.WARNING
    return Text.assemble(
        (printable(fault.path), "bold"),
        (f":{fault.line}:{fault.column}: ", "dim"),
        ("warning: " if is_warning else "", "yellow"),
        (f"{printable(fault.field)}: " if fault.field else "", "cyan"),
        printable(f"{fault.message}; {fault.hint}"),
    )


def _excerpt(fault: Fault, lines: Sequence[str], width: int) -> Iterator[Text]:
    """Yield the line of a fault, cut to `width` cells, and a caret under its place."""
    if fault.line > len(lines) or not lines[fault.line - 1]:
        return
    line = lines[fault.line - 1]
    margin = f"{fault.line} | "
    room = max(width - len(margin), 20)
    before = _in_cells(line[: fault.column - 1])
    after = _in_cells(line[fault.column - 1 :])
    if cell_len(before) > room // 2:
        before = "…" + _last_cells(before, room // 2 - 1)
    room -= cell_len(before)
    if cell_len(after) > room:
        after = set_cell_size(after, room - 1) + "…"
    caret = "red bold" if fault.severity is Severity.ERROR else "yellow bold"
    yield Text.assemble((margin, "dim"), before + after)
    yield Text.assemble((f"{'':{len(margin) - 2}}| ", "dim"), " " * cell_len(before), ("^", caret))


def _lines_of(path: str) -> Sequence[str]:
    try:
        with Path(path).open("rb") as file:
            return _LINE_BREAK.split(file.read(MAX_BYTES).decode("utf-8-sig", "replace"))
    except OSError:
        return ()


def _in_cells(text: str) -> str:
    """Return text whose characters each take the cells that they seem to."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text.replace("\t", _TAB))


def _last_cells(text: str, cells: int) -> str:
    text = text[-cells:]
    while cell_len(text) > cells:
        text = text[1:]
    return text


def printable(text: str) -> str:
    """Write out what a terminal would obey, and what would break a line."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def on_one_line(text: str) -> str:
    """Return foreign text as one line that is not too long, and harmless to a terminal."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= _MOST_CHARACTERS else f"{line[:_MOST_CHARACTERS]}…"
