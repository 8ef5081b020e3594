import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import boto3
import pytest

from dropscale_cli.entry import main

DROPSCALE = Path(sys.executable).with_name("dropscale")
DEADLINE_SECONDS = 240
"""What hangs is ended after so long; nothing that works waits for it, however slow it is."""

Start = Callable[..., "subprocess.Popen[str]"]
Finish = Callable[..., "subprocess.CompletedProcess[str]"]


def environment(**extra: str) -> dict[str, str]:
    """This process's environment, with no API key but that which is given."""
    kept = {name: value for name, value in os.environ.items() if "MAGIC_HOUR" not in name}
    return kept | extra


@pytest.fixture(scope="session")
def start() -> Start:
    """Start the real command; the caller ends it."""

    def start(
        *arguments: str | Path, stdin: IO[str] | None = None, **variables: str
    ) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [DROPSCALE, *arguments],
            env=environment(**variables),
            stdin=stdin or subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,
        )

    return start


@pytest.fixture(scope="session")
def finish(start: Start) -> Finish:
    """Run the real command to its end."""

    def finish(
        *arguments: str | Path, stdin: IO[str] | None = None, **variables: str
    ) -> "subprocess.CompletedProcess[str]":
        with start(*arguments, stdin=stdin, **variables) as process:
            try:
                output, errors = process.communicate(timeout=DEADLINE_SECONDS)
            finally:
                process.kill()
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    return finish


@pytest.fixture
def refused(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Run a command that is wrong usage in this process: to start one takes far longer."""

    def refused(*arguments: str | Path, **variables: str) -> "subprocess.CompletedProcess[str]":
        words = [str(DROPSCALE), *map(str, arguments)]
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        monkeypatch.setattr(sys, "argv", words)
        monkeypatch.setattr(sys, "excepthook", sys.excepthook)
        for name in set(os.environ) - set(environment()):
            monkeypatch.delenv(name)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        capfd.readouterr()
        try:
            with pytest.raises(SystemExit) as ended:
                main()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return subprocess.CompletedProcess(words, int(ended.value.code or 0), *capfd.readouterr())

    return refused


@pytest.fixture(scope="module")
def stack(start: Start) -> Iterator[dict[str, str]]:
    """A stack that is kept running, as the environment that leads the AWS CLI to it."""
    with start("up", "--engine", "stub") as process:
        for line in process.stdout or ():
            if " s3 cp " in line:
                words = shlex.split(line)
                given = dict(word.split("=", 1) for word in words[: words.index("aws")])
                yield given | {"AWS_ENDPOINT_URL": words[words.index("--endpoint-url") + 1]}
                break
        process.terminate()
        process.communicate(timeout=DEADLINE_SECONDS)


@pytest.fixture(scope="module")
def client_of(stack: dict[str, str]) -> Callable[[str], Any]:
    """Make a client of one of that stack's services."""
    session = boto3.Session(
        aws_access_key_id=stack["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=stack["AWS_SECRET_ACCESS_KEY"],
        region_name=stack["AWS_DEFAULT_REGION"],
    )
    url = stack["AWS_ENDPOINT_URL"]
    return lambda service: session.client(service, endpoint_url=url)  # type: ignore[call-overload] # chosen by name
