"""What keeps two stacks, and two APIs, apart on one output folder."""

import subprocess
import sys
from pathlib import Path

import pytest

from dropscale_cli.errors import UnusablePath
from dropscale_cli.files.state_folder import StateFolder


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    made = StateFolder(tmp_path / "deep" / "out")
    made.make()
    return made


def test_a_folder_is_held_by_one_process_at_a_time(folder: StateFolder) -> None:
    again = StateFolder(folder.out)
    with folder.held(), pytest.raises(UnusablePath, match=r"process \d+"), again.held():
        pass
    with again.held():
        pass


def test_a_killed_process_holds_nothing(folder: StateFolder) -> None:
    program = (
        "import os, sys, pathlib\n"
        "from dropscale_cli.files.state_folder import StateFolder\n"
        "with StateFolder(pathlib.Path(sys.argv[1])).held(): os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, folder.out], timeout=30, check=False)
    assert killed.returncode == -9
    with folder.held():
        pass


def test_a_folder_remembers_its_api_and_takes_no_other(folder: StateFolder) -> None:
    assert folder.api_name() is None
    folder.require_api("https://api.example")
    folder.bind("https://api.example")
    folder.require_api("https://api.example")
    with pytest.raises(UnusablePath, match=r"results of https://api.example, not of ours.*--out"):
        folder.require_api("ours")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(UnusablePath, match="out: cannot be made"):
        StateFolder(tmp_path / "out").make()
