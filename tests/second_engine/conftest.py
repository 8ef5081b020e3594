"""A second engine, what was built for Lambda on this machine, and what they showed.

Both take the tools of `make check`, which runs these tests: `make check-second-engine`.
"""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.host_layer import built_for_this_machine
from tests.second_engine.engine import Engine, running_engine

ROOT = Path(__file__).parents[2]
TOOLS = Path(os.environ.get("TOOLS", ROOT / ".tools"))
PYTHON = "python3.13"  # as the functions' runtime

_notes: list[str] = []


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what was measured or not done; `make check` shows it though the step has passed."""
    for note in _notes:
        terminalreporter.write_line(f"note: {note}")


def note(text: str) -> None:
    """Have a line printed at the end."""
    _notes.append(text)


def cannot_run(why: str) -> NoReturn:
    """Skip a test, and say so; in CI, which can run all, fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    note(f"NOT done: {why}")
    pytest.skip(why)


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    python = TOOLS / "second-engine" / "bin" / "python"
    with running_engine(python, tmp_path_factory.mktemp("engine")) as running:
        yield running


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """The layer and each function's code, by resource, as `sam build` makes them for arm64."""
    folder = tmp_path_factory.mktemp("built")
    made = {"RuntimeLayer": built_for_this_machine(folder / "RuntimeLayer", PYTHON).parent}
    for source in sorted((ROOT / "functions").glob("*/app.py")):
        name = f"{source.parent.name.capitalize()}Function"
        made[name] = folder / name
        made[name].mkdir()
        shutil.copy(source, made[name])
        if (requirements := source.with_name("requirements.txt")).exists():
            install = ["-m", "pip", "install", "--quiet", "--quiet", "--no-compile"]
            subprocess.run(
                [PYTHON, *install, "--requirement", requirements, "--target", made[name]],
                check=True,
            )
    return made


@pytest.fixture(scope="session")
def cloud(engine: Engine, built: Mapping[str, Path]) -> Engine:
    """The engine, with our template and code to make stacks of."""
    engine.upload(built)
    return engine


@pytest.fixture(scope="session")
def emulator() -> Path:
    """The emulator of Lambda's interface that SAM CLI ships, for the processor of this machine."""
    processor = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
    shipped = f"lib/python*/site-packages/samcli/local/rapid/aws-lambda-rie-{processor}"
    found = next((TOOLS / "sam").glob(shipped), None)
    if found is None or sys.platform != "linux":
        cannot_run(f"SAM CLI ships no emulator of Lambda for {sys.platform} on {processor}")
    return found
