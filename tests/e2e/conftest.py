import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

DROPSCALE = Path(sys.executable).with_name("dropscale")
DEADLINE_SECONDS = 60

Start = Callable[..., "subprocess.Popen[str]"]
Finish = Callable[..., "subprocess.CompletedProcess[str]"]


def environment(**extra: str) -> dict[str, str]:
    """This process's environment, with no API key but that which is given."""
    kept = {name: value for name, value in os.environ.items() if "MAGIC_HOUR" not in name}
    return kept | extra


@pytest.fixture(scope="session")
def start() -> Start:
    """Start the real command; the caller ends it."""

    def start(*arguments: str | Path, **variables: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [DROPSCALE, *arguments],
            env=environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,
        )

    return start


@pytest.fixture(scope="session")
def finish(start: Start) -> Finish:
    """Run the real command to its end."""

    def finish(*arguments: str | Path, **variables: str) -> "subprocess.CompletedProcess[str]":
        with start(*arguments, **variables) as process:
            try:
                output, errors = process.communicate(timeout=DEADLINE_SECONDS)
            finally:
                process.kill()
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    return finish
