"""moto's HTTP server, on loopback, and the end of its executions."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from moto.stepfunctions.parser.models import stepfunctions_parser_backends
from moto.stepfunctions.parser.utils import TMP_THREADS
from werkzeug.exceptions import NotFound
from werkzeug.serving import make_server

from dropscale_embedded.cloud.errors import PortInUseError
from dropscale_embedded.cloud.moto_hooks import end_waits_for_tokens

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

HOST = "127.0.0.1"

# What moto serves beside AWS: pages that show and reset its state, and EC2's metadata.
_NOT_AWS = ("/moto-api", "/favicon.ico", "/latest/meta-data/", "/latest/api/")

_BACKLOG = 128
_SHUTDOWN_POLL_SECONDS = 0.05
_EXECUTIONS_END_SECONDS = 5.0

_START_PAUSE_SECONDS = 0.01

_log = logging.getLogger(__name__)


class _QuietRequestHandler(MotoRequestHandler):
    def log_request(self, *_: Any) -> None:
        """Do not log: errors are logged where they happen."""


def listening_socket(port: int) -> socket.socket:
    """Return a socket that listens on a loopback port; The port; 0 picks a free one.

    Raises:
        PortInUseError: Another program uses the port.
    """
    try:
        return socket.create_server((HOST, port), backlog=_BACKLOG)
    except OSError as error:
        raise PortInUseError(
            f"port {port} on {HOST}: {os.strerror(error.errno or 0)}; choose another, or 0"
        ) from error


@contextmanager
def served_moto(
    listener: socket.socket, wrap: Callable[[WSGIApplication], WSGIApplication]
) -> Iterator[None]:
    """Serve moto's AWS on a listening socket; afterwards, moto's state is cleared.

    `wrap` returns the application to serve; it gets moto's application, and delegates to it.
    """
    server = make_server(
        HOST,
        0,
        wrap(_aws_alone(DomainDispatcherApplication(create_backend_app))),
        threaded=True,
        request_handler=_QuietRequestHandler,
        fd=listener.fileno(),
    )
    thread = threading.Thread(
        target=server.serve_forever,
        args=(_SHUTDOWN_POLL_SECONDS,),
        name="embedded cloud endpoint",
        daemon=True,
    )
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        moto_api_backend.reset()


def _aws_alone(moto: WSGIApplication) -> WSGIApplication:
    def aws(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        is_aws = not environ["PATH_INFO"].startswith(_NOT_AWS)
        return (moto if is_aws else NotFound())(environ, start_response)

    return aws


def end_executions() -> None:
    """Abort every running execution and wait for its threads."""
    for backends in stepfunctions_parser_backends.values():
        for backend in backends.values():
            execution: Any  # moto declares the type of its other interpreter
            for machine in backend.state_machines:
                for execution in machine.executions:
                    if execution.status == "RUNNING" and execution.exec_worker.env is not None:
                        execution.stop(datetime.now(UTC), None, "the embedded cloud is stopping")
                        end_waits_for_tokens(execution)
    deadline = time.monotonic() + _EXECUTIONS_END_SECONDS
    while TMP_THREADS:
        thread = TMP_THREADS.pop()
        if thread.ident is None and time.monotonic() < deadline:
            # moto lists a thread shortly before it starts it.
            TMP_THREADS.append(thread)
            time.sleep(_START_PAUSE_SECONDS)
            continue
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            _log.warning("an execution did not end in time")
