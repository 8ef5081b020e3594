import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Timer
from typing import IO, Any, Self, cast

import boto3
import pytest

from dropscale_cli.entry import main
from tests.e2e.command_server import Request

DROPSCALE = Path(sys.executable).with_name("dropscale")
DEADLINE_SECONDS = 240
"""What hangs is ended after so long; nothing that works waits for it, however slow it is."""


def environment(**extra: str) -> dict[str, str]:
    """This process's environment, with no API key but that which is given."""
    kept = {name: value for name, value in os.environ.items() if "MAGIC_HOUR" not in name}
    return kept | extra


class Command:
    """A running command, forked by the command server; what it has of Popen is as there."""

    def __init__(self, server: socket.socket, request: Request, stdin: int) -> None:
        self.args = request["words"]
        self.returncode: int | None = None
        self._life, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        (output, their_output), (errors, their_errors) = os.pipe(), os.pipe()
        self.stdout = open(output, encoding="utf-8")  # noqa: SIM115 # closed on exit
        self.stderr = open(errors, encoding="utf-8")  # noqa: SIM115 # likewise
        files = [stdin, their_output, their_errors, theirs.fileno()]
        socket.send_fds(server, [json.dumps(request).encode()], files)
        theirs.close()
        os.close(their_output)
        os.close(their_errors)
        self._life.settimeout(DEADLINE_SECONDS)
        self.pid = int(self._life.recv(16))

    def poll(self) -> int | None:
        with suppress(TimeoutError, BlockingIOError):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            self._life.settimeout(timeout)
            self.returncode = int(self._life.recv(16))
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self) -> tuple[str, str]:
        """Return all further output; a command that hangs is killed, and so fails its test."""
        deadline = Timer(DEADLINE_SECONDS, self.kill)
        deadline.start()
        with ThreadPoolExecutor(1) as reader:
            errors = reader.submit(self.stderr.read)
            said = self.stdout.read(), errors.result()
        self.wait()
        deadline.cancel()
        return said

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.stdout.close()
        self.stderr.close()
        self.wait()
        self._life.close()


Start = Callable[..., Command]
Finish = Callable[..., "subprocess.CompletedProcess[str]"]
StartScript = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="session")
def start_script() -> StartScript:
    """Start the installed script, as a user does; the caller ends it."""

    def start_script(
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

    return start_script


@pytest.fixture(scope="session")
def start(start_script: StartScript) -> Iterator[Start]:
    """Start a command, on Linux in a process that has imported it; the caller ends it."""
    if sys.platform != "linux":
        yield cast("Start", start_script)  # a Popen has all that a Command has
        return
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, open(os.devnull) as nothing:
        number = theirs.fileno()
        with theirs:
            server = subprocess.Popen(
                [sys.executable, "-m", "tests.e2e.command_server", str(number)],
                cwd=Path(__file__).parents[2],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[number],
            )

        def start(
            *arguments: str | Path, stdin: IO[str] | None = None, **variables: str
        ) -> Command:
            words = [str(DROPSCALE), *map(str, arguments)]
            request = Request(words=words, environment=environment(**variables))
            return Command(ours, request, (stdin or nothing).fileno())

        yield start
    server.wait()


@pytest.fixture(scope="session")
def finish(start: Start) -> Finish:
    """Run a command to its end."""

    def finish(
        *arguments: str | Path, stdin: IO[str] | None = None, **variables: str
    ) -> "subprocess.CompletedProcess[str]":
        with start(*arguments, stdin=stdin, **variables) as process:
            output, errors = process.communicate()
        return subprocess.CompletedProcess(process.args, process.wait(), output, errors)

    return finish


@pytest.fixture(scope="session")
def finish_script(start_script: StartScript) -> Finish:
    """Run the installed script to its end."""

    def finish_script(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        with start_script(*arguments) as process:
            try:
                output, errors = process.communicate(timeout=DEADLINE_SECONDS)
            finally:
                process.kill()
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    return finish_script


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
        process.communicate()


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
