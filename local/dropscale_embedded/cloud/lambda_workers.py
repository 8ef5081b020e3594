"""Lambda functions as pools of warm worker processes.

A worker gets only the function's environment, nothing from the parent's, is killed at the
function's time-out, and ends with its parent.
"""

import json
import logging
import signal
import socket
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from dropscale_embedded.workers.processes import StartWorker

_log = logging.getLogger(__name__)

# Lambda allows an import 10 s, but on dedicated machines.
_INIT_SECONDS = 60.0
# For the exit of a worker that has already closed its end.
_EXIT_SECONDS = 1.0


@dataclass(frozen=True)
class FunctionConfig:
    """A function, in the form that its workers need.

    Attributes:
        name: The function's name.
        arn: The function's ARN.
        code: The folder that its handler's module is in.
        timeout_seconds: What one invocation may take.
        max_workers: How many invocations may run at once; others wait.
        environment: A worker's whole environment.
    """

    name: str
    arn: str
    code: Path
    timeout_seconds: float
    max_workers: int
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Invocation:
    """An invocation's outcome: the result as JSON, or Lambda's error object if it failed."""

    payload: str
    failed: bool


class _WorkerGoneError(Exception):
    """The worker did not answer; contains Lambda's error type and message."""


class _Worker:
    """One process with the handler imported. Used by one thread at a time."""

    def __init__(self, function: FunctionConfig, start: StartWorker, log: TextIO) -> None:
        self._function = function
        self._connection, theirs = socket.socketpair()
        with theirs:
            self._process = start(function.environment, function.code, theirs, log)
        self._answers = self._connection.makefile("rb")
        self._init_deadline = time.monotonic() + _INIT_SECONDS
        self._is_ready = False

    def invoke(self, event: Any, request_id: str) -> Invocation:
        """Run the handler; a worker that does not answer is dead afterwards."""
        try:
            if not self._is_ready:
                init = self._receive(self._init_deadline - time.monotonic(), "Init")
                if not init["ready"]:
                    self.kill()
                    return Invocation(init["payload"], failed=True)
                self._is_ready = True
            seconds = self._function.timeout_seconds
            self._send(
                {
                    "event": event,
                    "request_id": request_id,
                    "function_arn": self._function.arn,
                    "seconds": seconds,
                }
            )
            answer = self._receive(seconds, "Task")
        except _WorkerGoneError as gone:
            kind, message = gone.args
            _log.warning("%s: %s: %s", self._function.name, kind, message)
            return failed_invocation(kind, f"RequestId: {request_id} Error: {message}")
        return Invocation(answer["payload"], answer["failed"])

    @property
    def is_alive(self) -> bool:
        """Whether the process is running."""
        return self._process.wait(0) is None

    def kill(self) -> None:
        """End the process and all processes it started."""
        self._process.kill()

    def close(self) -> None:
        """End the process, and release its resources."""
        self.kill()
        self._answers.close()
        self._connection.close()

    def _send(self, request: dict[str, Any]) -> None:
        try:
            self._connection.settimeout(None)
            self._connection.sendall(json.dumps(request).encode() + b"\n")
        except OSError:
            raise self._exit_error() from None

    def _receive(self, seconds: float, phase: str) -> dict[str, Any]:
        try:
            self._connection.settimeout(max(seconds, 0.001))
            line = self._answers.readline()
        except TimeoutError:
            self.kill()
            raise _WorkerGoneError(
                "Sandbox.Timedout", f"{phase} timed out after {seconds:.2f} seconds"
            ) from None
        except OSError:
            line = b""
        if not line:
            raise self._exit_error()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _exit_error(self) -> _WorkerGoneError:
        code = self._process.wait(_EXIT_SECONDS)
        if code is None:
            code = self._process.kill()
        how = f"signal: {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        return _WorkerGoneError("Runtime.ExitError", f"Runtime exited with error: {how}")


class FunctionPool:
    """The workers of one function, started when needed and kept warm."""

    def __init__(self, function: FunctionConfig, start: StartWorker, log: TextIO) -> None:
        self._function = function
        self._start = start
        self._log = log
        self._changed = threading.Condition()
        self._idle: list[_Worker] = []
        self._busy: set[_Worker] = set()
        self._closed = False

    @property
    def max_workers(self) -> int:
        """How many invocations may run at once."""
        return self._function.max_workers

    def invoke(self, event: Any) -> Invocation:
        """Wait for a free worker, run the handler on ``event`` in it, and return its answer.

        Errors are returned in Lambda's format:
        https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
        """
        worker = self._take()
        if worker is None:
            return failed_invocation("Lambda.ServiceException", "the embedded cloud is stopping")
        try:
            return worker.invoke(event, str(uuid.uuid4()))
        finally:
            self._give_back(worker)

    def refuse(self) -> None:
        """Accept no further invocations."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def close(self, deadline: float) -> None:
        """End all workers; running handlers have until ``deadline`` (time.monotonic())."""
        self.refuse()
        with self._changed:
            self._changed.wait_for(lambda: not self._busy, max(0.0, deadline - time.monotonic()))
            for worker in self._busy:
                worker.kill()
            self._changed.wait_for(lambda: not self._busy)
            while self._idle:
                self._idle.pop().close()

    def _take(self) -> _Worker | None:
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or self._idle or len(self._busy) < self._function.max_workers
            )
            if self._closed:
                return None
            worker = (
                self._idle.pop() if self._idle else _Worker(self._function, self._start, self._log)
            )
            self._busy.add(worker)
            return worker

    def _give_back(self, worker: _Worker) -> None:
        with self._changed:
            self._busy.remove(worker)
            if worker.is_alive:
                self._idle.append(worker)
            else:
                worker.close()
            self._changed.notify_all()


def failed_invocation(error_type: str, message: str) -> Invocation:
    """Return an invocation that failed before or beside the handler."""
    return Invocation(json.dumps({"errorType": error_type, "errorMessage": message}), failed=True)
