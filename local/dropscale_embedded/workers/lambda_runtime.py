"""The program inside a worker process: imports one handler and answers invocations.

It is run by its path with only the standard library, so that a handler sees nothing of the embedded
cloud. Invocations and answers are lines of JSON on an inherited socket; standard output and error
are the function's log. When the socket closes, the parent has ended: the worker then exits
immediately, even if the handler is running, so that no worker outlives its cloud.
"""

import contextlib
import importlib
import json
import os
import queue
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Handler = Callable[[Any, "LambdaContext"], Any]


@dataclass(frozen=True)
class LambdaContext:
    """The context object that a handler gets.

    https://docs.aws.amazon.com/lambda/latest/dg/python-context.html
    """

    aws_request_id: str
    function_name: str
    function_version: str
    invoked_function_arn: str
    memory_limit_in_mb: str
    log_group_name: str
    log_stream_name: str
    deadline: float  # time.monotonic() seconds
    client_context: None = None
    identity: None = None

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds left before the function is killed."""
        return max(0, int((self.deadline - time.monotonic()) * 1000))


def main() -> None:
    """Import the handler that ``_HANDLER`` names, then answer invocations one by one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = socket.socket(fileno=int(sys.argv[1]))
    connection.set_inheritable(False)
    invocations: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(connection, invocations), daemon=True).start()

    handler, failure = _load(os.environ["_HANDLER"])
    _send(connection, {"ready": failure is None, "payload": json.dumps(failure)})
    while handler is not None:
        _send(connection, _answer(handler, invocations.get()))


def _receive(connection: socket.socket, invocations: "queue.SimpleQueue[dict[str, Any]]") -> None:
    with contextlib.suppress(OSError), connection.makefile("rb") as lines:
        for line in lines:
            invocations.put(json.loads(line))
    os._exit(0)


def _send(connection: socket.socket, answer: dict[str, Any]) -> None:
    connection.sendall(json.dumps(answer).encode() + b"\n")


def _load(location: str) -> tuple[Handler | None, dict[str, Any] | None]:
    module, _, function = location.rpartition(".")
    try:
        return getattr(importlib.import_module(module), function), None
    except ImportError as error:
        kind, message = "Runtime.ImportModuleError", f"Unable to import module '{module}': {error}"
    except AttributeError:
        kind, message = (
            "Runtime.HandlerNotFound",
            f"Handler '{function}' missing on module '{module}'",
        )
    except Exception as error:
        kind, message = type(error).__name__, str(error)
    traceback.print_exc()
    return None, {"errorType": kind, "errorMessage": message, "stackTrace": []}


def _answer(handler: Handler, invocation: dict[str, Any]) -> dict[str, Any]:
    context = LambdaContext(
        aws_request_id=invocation["request_id"],
        function_name=os.environ["AWS_LAMBDA_FUNCTION_NAME"],
        function_version=os.environ["AWS_LAMBDA_FUNCTION_VERSION"],
        invoked_function_arn=invocation["function_arn"],
        memory_limit_in_mb=os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"],
        log_group_name=os.environ["AWS_LAMBDA_LOG_GROUP_NAME"],
        log_stream_name=os.environ["AWS_LAMBDA_LOG_STREAM_NAME"],
        deadline=time.monotonic() + invocation["seconds"],
    )
    try:
        result = handler(invocation["event"], context)
    except Exception as error:
        traceback.print_exc()
        frames = list(_frames_of_handler(error))
        failure = {
            "errorType": type(error).__name__,
            "errorMessage": str(error),
            "requestId": context.aws_request_id,
            "stackTrace": traceback.format_list(frames),
        }
        return {"failed": True, "payload": json.dumps(failure)}
    try:
        return {"failed": False, "payload": json.dumps(result)}
    except (TypeError, ValueError) as error:
        failure = {
            "errorType": "Runtime.MarshalError",
            "errorMessage": f"Unable to marshal response: {error}",
            "requestId": context.aws_request_id,
            "stackTrace": [],
        }
        return {"failed": True, "payload": json.dumps(failure)}


def _frames_of_handler(error: Exception) -> Iterator[traceback.FrameSummary]:
    return (
        frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__
    )


if __name__ == "__main__":
    main()
