"""Says what is wrong with specs: to a person, to a program, or to GitHub."""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from pydantic import TypeAdapter
from rich.cells import cell_len, set_cell_size

from dropscale.specs.document import MAX_BYTES
from dropscale.specs.faults import Fault, Severity
from dropscale_cli.terminal import Line, Terminal, in_cells, say, say_json

_LINE_BREAK = re.compile("\r\n|\r|\n")
_TAB = "    "


def report(faults: Sequence[Fault], output_format: str) -> None:
    """Print faults in a format: `text`, with excerpts on a terminal; `json`; or `github`."""
    if output_format == "json":
        say_json(TypeAdapter(list[Fault]).dump_python(list(faults), mode="json"))
    elif output_format == "github":
        for fault in faults:
            say(_workflow_command(fault))
    else:
        console = Terminal()
        if not console.is_terminal:
            for fault in faults:
                console.say(_headline(fault))
            return
        for path, of_file in groupby(faults, lambda fault: fault.path):
            lines = _lines_of(path)
            for fault in of_file:
                excerpt = _excerpt(fault, lines, console.width)
                console.say(_headline(fault), *excerpt, "")


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
    listed = ",".join(f"{name}={_escape(str(value), ':,')}" for name, value in properties.items())
    return f"::{fault.severity} {listed}::{_escape(f'{fault.message}; {fault.hint}')}"


def _escape(text: str, special: str = "") -> str:
    return "".join(f"%{ord(c):02X}" if c in f"%\r\n{special}" else c for c in text)


def _headline(fault: Fault) -> Line:
    """Return what `str` makes of a fault."""
    is_warning = fault.severity is Severity.WARNING
    return (
        (fault.path, "bold"),
        (f":{fault.line}:{fault.column}: ", "dim"),
        ("warning: " if is_warning else "", "yellow"),
        (f"{fault.field}: " if fault.field else "", "cyan"),
        f"{fault.message}; {fault.hint}",
    )


def _excerpt(fault: Fault, lines: Sequence[str], width: int) -> Iterator[Line]:
    """Yield the line of a fault, cut to `width` cells, and a caret under its place."""
    if fault.line > len(lines) or not lines[fault.line - 1]:
        return
    line = lines[fault.line - 1]
    margin = f"{fault.line} | "
    room = max(width - len(margin), 20)
    before = in_cells(line[: fault.column - 1].replace("\t", _TAB))
    after = in_cells(line[fault.column - 1 :].replace("\t", _TAB))
    if cell_len(before) > room // 2:
        before = "…" + _last_cells(before, room // 2 - 1)
    room -= cell_len(before)
    if cell_len(after) > room:
        after = set_cell_size(after, room - 1) + "…"
    caret = "red bold" if fault.severity is Severity.ERROR else "yellow bold"
    yield (margin, "dim"), before + after
    yield (f"{'':{len(margin) - 2}}| ", "dim"), " " * cell_len(before), ("^", caret)


def _lines_of(path: str) -> Sequence[str]:
    try:
        with Path(path).open("rb") as file:
            return _LINE_BREAK.split(file.read(MAX_BYTES).decode("utf-8-sig", "replace"))
    except OSError:
        return ()


def _last_cells(text: str, cells: int) -> str:
    text = text[-cells:]
    while cell_len(text) > cells:
        text = text[1:]
    return text
