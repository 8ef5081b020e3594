"""`dropscale schema` and `dropscale init`: help to start a spec."""

import json
import shlex
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import yaml

from dropscale.specs.effective import EffectiveSpec
from dropscale.specs.keys import FOLDER_SPEC_NAME
from dropscale.specs.model import SCHEMA_FIELD, json_schema
from dropscale_cli.errors import UnusablePath
from dropscale_cli.files.results import PathInside
from dropscale_cli.options import ended_by_signals, examples
from dropscale_cli.terminal import say, say_json

SCHEMA_NAME = "dropscale.schema.json"
MODELINE = f"# yaml-language-server: $schema={SCHEMA_NAME}"
"""The comment by which the YAML language server, used by most editors, finds a file's schema.

Source: https://github.com/redhat-developer/yaml-language-server#using-inlined-schema.
"""

_LEFT_OUT = {"assets", "enhancement", SCHEMA_FIELD}
"""Fields left out: those for one image only, the older name of `mode`, which cannot be given with
it, and the schema, which the modeline names."""

_INTRODUCTION = """
This spec applies to all images in this folder and its subfolders. Every field is optional; the spec
of a subfolder or of an image (cat.jpg.yaml) overrides it field by field. To use a field, remove the
'# ' from its lines.
"""
_WIDTH = 92

_Node = Mapping[str, Any]
"""A part of the JSON Schema."""


def schema_text() -> str:
    """Return the JSON Schema of a spec file."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def print_schema() -> None:
    """Print the JSON Schema of a spec file."""
    say_json(json_schema())


def write_schema(folder: Path, *, force: bool) -> None:
    """Write the JSON Schema of specs into a folder, and print how editors find it.

    Raises:
        UnusablePath: another file is there and may not be overwritten, or it cannot be written.
    """
    path, text = folder / SCHEMA_NAME, schema_text()
    try:
        is_another = path.exists() and path.read_bytes() != text.encode()
        if is_another and not force:
            raise UnusablePath(f"{path}: another file exists; overwrite it with --force.")
        partial = PathInside(folder, f"{SCHEMA_NAME}.part")
        PathInside(folder, SCHEMA_NAME).write([text.encode()], partial, is_durable=True)
    except OSError as error:
        raise UnusablePath(f"{path}: cannot be written: {error.strerror}") from error
    say(
        f"Wrote {path}. An editor with the YAML language server checks and completes a spec",
        "beside it whose first line is:",
        MODELINE,
    )


def write_starter(folder: Path) -> None:
    """Write a commented folder spec to start from, and print what to do next.

    Raises:
        UnusablePath: there is one already, or it cannot be written.
    """
    path = folder / FOLDER_SPEC_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(starter_text())
    except FileExistsError:
        raise UnusablePath(f"{path}: exists already; nothing was written.") from None
    except OSError as error:
        raise UnusablePath(f"{path}: cannot be written: {error.strerror}") from error
    quoted = shlex.quote(str(folder))
    say(
        f"Wrote {path}; it has no effect until you remove comment signs. Then:",
        f"  dropscale validate {quoted}   # is it right?",
        f"  dropscale plan {quoted}       # what does it cost?",
        f"  dropscale run {quoted}",
        "For completion in your editor:",
        f"  cd {quoted} && dropscale schema --write",
    )


def starter_text() -> str:
    """Return a folder spec that has every field, commented out."""
    schema = json_schema()
    lines = [MODELINE, *_prose(_INTRODUCTION)]
    for name, field in _fields(schema, schema):
        lines += ["", *_prose(_description(field))]
        lines += [f"# {line}" for line in _example(name, field, schema)]
    return "\n".join(lines) + "\n"


def _fields(node: _Node, schema: _Node) -> Iterator[tuple[str, _Node]]:
    """Yield the fields of a mapping's schema, each with what it refers to."""
    for name, field in node["properties"].items():
        if name not in _LEFT_OUT:
            kinds = [field, *field.get("anyOf", [])]
            references = [kind["$ref"].rpartition("/")[2] for kind in kinds if "$ref" in kind]
            yield name, {**(schema["$defs"][references[0]] if references else {}), **field}


def _description(field: _Node) -> str:
    allowed = f" Allowed: {', '.join(map(str, field['enum']))}." if "enum" in field else ""
    return f"{field['description']}{allowed}"


def _prose(text: str) -> list[str]:
    """Return text as comments that remain comments when one comment sign is removed."""
    return [f"## {line}" for line in textwrap.wrap(text.strip(), _WIDTH)]


def _example(name: str, field: _Node, schema: _Node) -> Iterator[str]:
    if "properties" in field:
        yield f"{name}:"
        for inner, inner_field in _fields(field, schema):
            lines = [*_prose(_description(inner_field)), *_example(inner, inner_field, schema)]
            yield from (f"  {line}" for line in lines)
        return
    if "examples" in field:
        value = field["examples"][0]
    elif "enum" in field:
        value = field["enum"][-1]
    else:
        value = EffectiveSpec.model_fields[name].default
    yield from yaml.safe_dump({name: value}, sort_keys=False, allow_unicode=True).splitlines()


@click.command(
    "schema", epilog=examples("dropscale schema --write", "dropscale schema > spec.schema.json")
)
@click.option("--write", is_flag=True, help="Write it to dropscale.schema.json in this folder.")
@click.option("--force", is_flag=True, help="Overwrite another file of that name.")
def schema(*, write: bool, force: bool) -> None:
    """Print the JSON Schema (2020-12) of spec files, for editors and other tools."""
    if force and not write:
        raise click.UsageError("--force needs --write.")
    with ended_by_signals():
        if write:
            write_schema(Path(), force=force)
        else:
            print_schema()


@click.command("init", epilog=examples("dropscale init photos"))
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), metavar="DIR")
def init(*, folder: Path) -> None:
    """Write a dropscale.yaml with every field, commented out, into the folder DIR.

    It is a spec for all images in DIR and its subfolders. An existing file is never overwritten.
    """
    with ended_by_signals():
        write_starter(folder)
