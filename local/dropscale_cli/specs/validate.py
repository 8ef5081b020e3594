"""`dropscale validate`: all faults of specs, for a person, a program or GitHub."""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import click
from pydantic import TypeAdapter
from rich.cells import cell_len, set_cell_size

from dropscale.specs.document import MAX_BYTES
from dropscale.specs.faults import Fault, Severity, SpecInvalid
from dropscale.specs.keys import MANIFEST_SUFFIX, SPEC_SUFFIXES, KeyKind, kind_by_name, meant_image
from dropscale.specs.parse import parse_folder_spec
from dropscale_cli.files.drops import files_below, is_fit_name
from dropscale_cli.options import (
    PATH,
    ended_by_signals,
    examples,
    format_option,
    root_option,
    sidecar_suffixes_option,
)
from dropscale_cli.specs.trees import SpecTree
from dropscale_cli.terminal import Line, Terminal, in_cells, say, say_json
from dropscale_cli.tracking.progress import progress_on

_LINE_BREAK = re.compile("\r\n|\r|\n")
_TAB = "    "


def report(faults: Sequence[Fault], output_format: str) -> None:
    """Print faults as `text`, with excerpts on a terminal, `json` or `github`."""
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
    """Return a fault as a GitHub annotation.

    Source: https://docs.github.com/actions/reference/workflow-commands-for-github-actions.
    """
    title = f"dropscale: {fault.field}" if fault.field else "dropscale"
    properties = {"file": fault.path, "line": fault.line, "col": fault.column, "title": title}
    listed = ",".join(f"{name}={_escape(str(value), ':,')}" for name, value in properties.items())
    return f"::{fault.severity} {listed}::{_escape(f'{fault.message}; {fault.hint}')}"


def _escape(text: str, special: str = "") -> str:
    return "".join(f"%{ord(c):02X}" if c in f"%\r\n{special}" else c for c in text)


def _headline(fault: Fault) -> Line:
    """Return a fault as text, like `str`."""
    is_warning = fault.severity is Severity.WARNING
    return (
        (fault.path, "bold"),
        (f":{fault.line}:{fault.column}: ", "dim"),
        ("warning: " if is_warning else "", "yellow"),
        (f"{fault.field}: " if fault.field else "", "cyan"),
        f"{fault.message}; {fault.hint}",
    )


def _excerpt(fault: Fault, lines: Sequence[str], width: int) -> Iterator[Line]:
    """Yield the line of a fault, cut to `width` cells, and a caret under its position."""
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


_NO_SPECS = frozenset({KeyKind.OTHER, KeyKind.UNSUPPORTED})
_OWN_DROPS = {KeyKind.STAND_ALONE, KeyKind.MISNAMED}
_ANY_IMAGE = "*"
"""Stands for an image without a sidecar."""


def tell_faults(
    paths: Sequence[Path],
    root: Path | None,
    output_format: str,
    suffixes: Sequence[str] = SPEC_SUFFIXES,
) -> int:
    """Print the faults of specs, which are files or in folders and their subfolders.

    Return the exit code: 1 if anything is worse than a warning, else 0.

    Raises:
        click.UsageError: a path is not inside the root.
    """
    checks: dict[str, _Check] = {}
    with progress_on(Terminal(to_stderr=True), "Reading specs"):
        for path in paths:
            tree = SpecTree.around(path, root, suffixes)
            check = checks.setdefault(tree.root, _Check(tree))
            if path.is_dir():
                for file in files_below(path):
                    check.file(tree.key_of(file), is_named=False)
            else:
                check.file(tree.key_of(path), is_named=True)
        for check in checks.values():
            check.end()
    faults = sorted(
        {fault for check in checks.values() for fault in check.faults},
        key=lambda fault: (fault.path, fault.line, fault.column, fault.message),
    )
    report(faults, output_format)
    if output_format == "text":
        specs = len({spec for check in checks.values() for spec in check.specs})
        say(f"{specs} spec{'s' * (specs != 1)}: {tally(faults)}", to_stderr=True)
    return int(any(fault.severity is Severity.ERROR for fault in faults))


@dataclass
class _Check:
    """Collects the faults of a tree's specs, examining each drop as a stack would."""

    tree: SpecTree
    faults: set[Fault] = field(default_factory=set)
    specs: set[str] = field(default_factory=set)
    drops: dict[str, bool] = field(default_factory=dict)
    """Whether each examined file is a drop, by its key."""

    def file(self, key: str, *, is_named: bool) -> None:
        """Check the effective spec of a file; a file that the user names must be a spec."""
        kind = kind_by_name(key, self.tree.suffixes)
        if kind in _NO_SPECS and not is_named:
            return
        if not is_fit_name(key):
            readable = os.fsencode(key).decode("utf-8", "backslashreplace")
            self._note(readable, "the name is not printable UTF-8", "rename the file")
        elif kind is KeyKind.IMAGE:
            self._drop(key)
        elif kind is KeyKind.SIDECAR or (
            kind is KeyKind.MISNAMED and meant_image(key, self.tree.suffixes)
        ):
            self._sidecar(key)
        elif kind is KeyKind.FOLDER_SPEC or (kind in _OWN_DROPS and self._drop(key)):
            self.specs.add(key)
        elif is_named:
            self.specs.add(key)
            self.faults.update(_faults_of_no_spec(key, kind, self.tree))

    def end(self) -> None:
        """Check the folder specs that no drop used, and record unreadable files."""
        for key in self.specs:
            if kind_by_name(key) is KeyKind.FOLDER_SPEC:
                folder = key.removesuffix(os.path.basename(key))
                is_read = ("", folder) in self.tree.resolver.folder_specs
                if not is_read:
                    self._drop(folder + _ANY_IMAGE)
        self.faults.update(self.tree.unreadable)

    def _sidecar(self, key: str) -> None:
        self.specs.add(key)
        for image_key in self.tree.images_of(key):
            self._drop(image_key)
        if not os.path.isfile(image_key):
            message = f"there is no image {os.path.basename(image_key)} beside this spec"
            self._note(key, message, "check its name", Severity.WARNING)

    def _drop(self, key: str) -> bool:
        """Check the effective spec of a file; return whether it is a drop."""
        if key not in self.drops:
            try:
                resolved = self.tree.resolve(key)
            except SpecInvalid as error:
                self.faults.update(error.faults)
                self.drops[key] = True
            else:
                self.faults.update(resolved.warnings if resolved else ())
                self.drops[key] = resolved is not None
        return self.drops[key]

    def _note(self, key: str, message: str, hint: str, severity: Severity = Severity.ERROR) -> None:
        self.faults.add(Fault(path=key, message=message, hint=hint, severity=severity))


def _faults_of_no_spec(key: str, kind: KeyKind, tree: SpecTree) -> Sequence[Fault]:
    """Return why a file that the user names is not a stand-alone spec."""
    if kind in _NO_SPECS:
        endings = ", ".join(SPEC_SUFFIXES)
        hint = f"names of specs end in {endings}; a manifest ({MANIFEST_SUFFIX}) is not a spec"
        return [Fault(path=key, message="has a name that is not a spec's", hint=hint)]
    content = tree.read("", key, MAX_BYTES + 1)
    if content is None:
        return ()
    try:
        parse_folder_spec(content, key)  # like it, the file has no `assets`
    except SpecInvalid as error:
        return error.faults
    hint = "add assets.image_file_path, or name the spec after its image, e.g. cat.jpg.yaml"
    return [Fault(path=key, message="names no image", hint=hint)]


@click.command(
    "validate",
    epilog=examples(
        "dropscale validate photos",
        "dropscale validate photos/dropscale.yaml photos/cat.jpg.yaml --format json",
    ),
)
@click.argument("paths", nargs=-1, required=True, type=PATH, metavar="PATH...")
@root_option
@format_option("github prints annotations for a workflow run.", "github")
@sidecar_suffixes_option
def validate(
    *, paths: tuple[Path, ...], root: Path | None, output_format: str, suffixes: tuple[str, ...]
) -> None:
    """List all errors in specs: files, or folders with their subfolders.

    In folders, specs are found by their names: sidecars, folder specs (dropscale.yaml) and
    stand-alone specs. A file given as PATH is always treated as a spec.

    Exits with 0 if nothing is worse than a warning, else 1.
    """
    with ended_by_signals():
        sys.exit(tell_faults(paths, root, output_format, suffixes))
