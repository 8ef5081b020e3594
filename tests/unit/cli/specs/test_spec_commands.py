"""The commands about specs as one calls them: help, imports, and the hook."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner

from dropscale.specs.keys import SPEC_SUFFIXES, KeyKind, kind_of
from dropscale.upscaler import TYPE_BY_EXTENSION
from dropscale_cli.main import main
from tests.fakes import png

COMMANDS = ("validate", "plan", "explain", "schema", "init")
ROOT = Path(__file__).parents[4]
(HOOK,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())


CALLED = """
import json, os, sys
from dropscale_cli.main import main
for folder, arguments in json.loads(sys.argv[1]):
    os.chdir(folder)
    try:
        main(arguments)
    except SystemExit as ended:
        assert not ended.code, (arguments, ended.code)
    heavy = {"boto3", "moto", "flask", "numpy", "PIL"} & sys.modules.keys()
    assert not heavy, (arguments, heavy)
"""


def call(*commands: tuple[Path, list[str]], **options: Any) -> bytes:
    """Call the program, in a process of its own, in these folders; return what it printed."""
    told = json.dumps([(str(folder), arguments) for folder, arguments in commands])
    command = [sys.executable, "-c", CALLED, told]
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=60, check=True, **options)
    printed: bytes = done.stdout
    return printed


def examples(command: str) -> list[str]:
    """The examples that a command's help ends with."""
    shown = CliRunner().invoke(main, [command, "--help"]).output
    return shown.partition("Examples:\n")[2].splitlines()


def test_each_example_in_the_help_works_without_the_stack(tmp_path: Path) -> None:
    commands = []
    for number, example in enumerate(one for command in COMMANDS for one in examples(command)):
        program, name, *arguments = shlex.split(example.partition(" > ")[0])
        assert program == "dropscale"
        (folder := tmp_path / str(number)).mkdir()
        if name != "init":
            (folder / "photos").mkdir()
            (folder / "photos" / "cat.jpg").write_bytes(png())
            (folder / "photos" / "cat.jpg.yaml").write_text("scale_factor: 4")
            (folder / "photos" / "dropscale.yaml").write_text("style: {mode: preserve}")
            (folder / "job.yaml").write_text("assets: {image_file_path: https://example.com/a.png}")
        commands.append((folder, [name, *arguments]))

    assert call(*commands)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_an_example(command: str) -> None:
    assert any(f"dropscale {command}" in example for example in examples(command))


def test_a_terminal_that_cannot_show_a_character_gets_it_written_out(tmp_path: Path) -> None:
    (tmp_path / "été.png").write_bytes(png())
    printed = call((tmp_path, ["plan", "."]), env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert rb"\xe9t\xe9.png  8x6 \u2192 16x12" in printed


def test_the_hook_is_given_sidecars_and_folder_specs_and_nothing_else() -> None:
    sidecars = [
        f"a/cat.{extension}{suffix}"
        for extension in [*TYPE_BY_EXTENSION, "JPG"]
        for suffix in SPEC_SUFFIXES
    ]
    others = [
        "package.json",
        "a.jpg",
        "a.jpg.dropscale.json",
        "a.yaml",
        "xdropscale.yaml",
        "a.jpg.txt",
    ]
    given = [*sidecars, "dropscale.yaml", "a/dropscale.yaml", *others]
    chosen = [name for name in given if re.search(HOOK["files"], name)]
    kinds = {KeyKind.SIDECAR, KeyKind.FOLDER_SPEC}
    assert chosen == [name for name in given if kind_of(name) in kinds]
    assert len(chosen) == len(sidecars) + 2


def test_the_hook_calls_a_command_that_there_is() -> None:
    program, name = HOOK["entry"].split()
    assert program == "dropscale"
    assert name in main.list_commands(click.Context(main))
