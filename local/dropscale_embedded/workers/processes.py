"""Worker processes, forked from a zygote that has imported all libraries, or spawned.

Workers are spawned where they cannot be forked: on systems other than Linux (on macOS, native
libraries do not survive a fork), and if a function has its own versions of the zygote's modules.
"""

import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TextIO

from dropscale_embedded.workers.zygote import READ_AT_START, Ready, Request

_log = logging.getLogger(__name__)

_RUNTIME = Path(__file__).with_name("lambda_runtime.py")
_ZYGOTE = Path(__file__).with_name("zygote.py")
_IMPORT_SECONDS = 60.0
_END_SECONDS = 5.0
_LARGEST_ANSWER = 1024 * 1024


def base_environment() -> dict[str, str]:
    """Return the environment that all workers share, whatever the function."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(Path.home()),
        "TZ": ":UTC",
        "LANG": "en_US.UTF-8",
        # The user's profiles must not direct a function elsewhere.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


class WorkerProcess(Protocol):
    """A process that runs the Lambda runtime."""

    def wait(self, seconds: float) -> int | None:
        """Return its return code (as subprocess does); None if it still runs after `seconds`."""

    def kill(self) -> int:
        """Kill it and all processes it started; return its return code once it has ended."""


class StartWorker(Protocol):
    """Starts a process that runs the Lambda runtime.

    It has only the given environment, works in `folder`, answers on `connection`, writes to `log`,
    and leads its own session: a terminal's Ctrl-C reaches only the parent, and a kill also reaches
    processes started by the handler.
    """

    def __call__(
        self,
        environment: Mapping[str, str],
        folder: Path,
        connection: socket.socket,
        log: TextIO,
    ) -> WorkerProcess:
        """See above."""


class _SpawnedProcess:
    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def wait(self, seconds: float) -> int | None:
        """See `WorkerProcess.wait`."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds)
        return None

    def kill(self) -> int:
        """See `WorkerProcess.kill`."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        return self._process.wait()


def spawn(
    environment: Mapping[str, str], folder: Path, connection: socket.socket, log: TextIO
) -> WorkerProcess:
    """Start a worker as a new process; see `StartWorker`."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-u", str(_RUNTIME), str(connection.fileno())],
        env=dict(environment),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        pass_fds=[connection.fileno()],
        start_new_session=True,
    )
    return _SpawnedProcess(process)


class _ForkedProcess:
    """A process that the zygote reaps; `life` is our end of the socket that represents it."""

    def __init__(self, life: socket.socket) -> None:
        self._life = life
        self._code: int | None = None
        self._reading = threading.Lock()

    def wait(self, seconds: float) -> int | None:
        """See `WorkerProcess.wait`."""
        with self._reading:
            return self._read(seconds)

    def kill(self) -> int:
        """See `WorkerProcess.kill`."""
        with contextlib.suppress(OSError):  # it has ended
            self._life.shutdown(socket.SHUT_WR)
        with self._reading:
            return self._read(None) or 0

    def _read(self, seconds: float | None) -> int | None:
        if self._code is None:
            self._life.settimeout(seconds)
            try:
                text = self._life.recv(16)
            except (BlockingIOError, TimeoutError):
                return None
            except OSError:
                text = b""
            # A killed zygote reports nothing and reaps nothing.
            self._code = int(text) if text else -signal.SIGKILL
            self._life.close()
        return self._code


@contextmanager
def fork_server(environment: Mapping[str, str]) -> Iterator[StartWorker]:
    """Run a zygote with this environment until the block ends; it imports in the background."""
    if sys.platform != "linux":
        yield spawn
        return
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            zygote = subprocess.Popen(
                [sys.executable, "-P", "-u", _ZYGOTE, _RUNTIME, str(theirs.fileno())],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        try:
            yield _ForkServer(ours)
        finally:
            ours.close()
            try:
                zygote.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                zygote.kill()
                zygote.wait()


class _ForkServer:
    """Starts workers by fork where possible, else by spawn; see `StartWorker`."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._modules: frozenset[str] | None = None
        self._lock = threading.Lock()

    def __call__(
        self, environment: Mapping[str, str], folder: Path, connection: socket.socket, log: TextIO
    ) -> WorkerProcess:
        """See `StartWorker`."""
        request = Request(environment=dict(environment), folder=str(folder))
        ours, theirs = socket.socketpair()
        with theirs, self._lock:
            if self._can_fork(environment):
                files = [connection.fileno(), log.fileno(), theirs.fileno()]
                with contextlib.suppress(OSError):
                    socket.send_fds(self._control, [json.dumps(request).encode()], files)
                    return _ForkedProcess(ours)
                _log.warning("the zygote is gone: workers are spawned")
                self._modules = frozenset()
        ours.close()
        return spawn(environment, folder, connection, log)

    def _can_fork(self, environment: Mapping[str, str]) -> bool:
        if self._modules is None:
            self._modules = self._await_ready()
        if not self._modules or any(map(READ_AT_START.fullmatch, environment)):
            return False
        folders = filter(os.path.isdir, environment.get("PYTHONPATH", "").split(os.pathsep))
        own = {name.partition(".")[0] for folder in folders for name in os.listdir(folder)}
        return self._modules.isdisjoint(own)

    def _await_ready(self) -> frozenset[str]:
        """Return the names of the zygote's imported modules; none if there is no zygote."""
        try:
            self._control.settimeout(_IMPORT_SECONDS)
            ready: Ready = json.loads(self._control.recv(_LARGEST_ANSWER))
        except (OSError, ValueError):
            _log.warning("there is no zygote: workers are spawned")
            return frozenset()
        self._control.settimeout(None)
        return frozenset(ready["modules"])
