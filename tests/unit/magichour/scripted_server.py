"""An HTTP server on loopback that gives a test's answers and records requests."""

import json
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class Behaviour(Enum):
    ANSWER = auto()
    RESET_AFTER_REQUEST = auto()
    RESET_INSIDE_ANSWER = auto()
    NEVER_ANSWER = auto()
    HANG_INSIDE_ANSWER = auto()


@dataclass(frozen=True)
class Reply:
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    behaviour: Behaviour = Behaviour.ANSWER


@dataclass(frozen=True)
class Received:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: tuple[str, int]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def json_reply(document: object, status: int = 200, **headers: str) -> Reply:
    return Reply(
        status, json.dumps(document).encode(), {"Content-Type": "application/json", **headers}
    )


class ScriptedServer:
    """Replies to each path in the order given; the last reply of a path is repeated."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.received: list[Received] = []
        self.first_lines: list[bytes] = []
        self._replies: dict[tuple[str, str], list[Reply]] = {}
        self._released = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.script = self
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.002}
        )
        self.base_url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_port}"

    def on(self, method: str, path: str, *replies: Reply) -> None:
        self._replies[method, path] = list(replies)

    def sent_to(self, method: str, path: str) -> list[Received]:
        return [
            request
            for request in self.received
            if (request.method, request.path.partition("?")[0]) == (method, path)
        ]

    @property
    def open_connections(self) -> int:
        """How many connections the clients have not closed."""
        return self._server.open_connections()

    def reply_to(self, request: Received) -> Reply:
        self.received.append(request)
        replies = self._replies.get((request.method, request.path.partition("?")[0]))
        if replies is None:
            return json_reply({"message": "not scripted"}, 404)
        return replies.pop(0) if len(replies) > 1 else replies[0]

    def wait_for_release(self) -> None:
        self._released.wait(timeout=10)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.hang_up()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    script: ScriptedServer
    daemon_threads = False  # server_close then waits for them, so no thread outlives a test

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._accepted: list[socket.socket] = []

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self._accepted.append(connection)
        return connection, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Do not log a client that hangs up, as cancelled calls do."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def open_connections(self) -> int:
        return sum(not _is_closed(connection) for connection in self._accepted)

    def hang_up(self) -> None:
        """End the connections that clients keep open."""
        for connection in self._accepted:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def _is_closed(connection: socket.socket) -> bool:
    try:
        return not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:  # reset, or closed on this side
        return True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        self.server.script.first_lines.append(self.raw_requestline)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        length = int(self.headers.get("Content-Length", 0))
        request = Received(
            self.command,
            self.path,
            dict(self.headers.items()),
            self.rfile.read(length),
            self.client_address,
        )
        self._perform(self.server.script.reply_to(request))

    def _perform(self, reply: Reply) -> None:
        if reply.behaviour is Behaviour.RESET_AFTER_REQUEST:
            return self._reset()
        if reply.behaviour is Behaviour.NEVER_ANSWER:
            self.server.script.wait_for_release()
            return self._reset()
        self.send_response(reply.status)
        for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if reply.behaviour in {Behaviour.RESET_INSIDE_ANSWER, Behaviour.HANG_INSIDE_ANSWER}:
            self.wfile.write(reply.body[: len(reply.body) // 2])
            if reply.behaviour is Behaviour.HANG_INSIDE_ANSWER:
                self.server.script.wait_for_release()
            return self._reset()
        self.wfile.write(reply.body)
        return None

    def _reset(self) -> None:
        self.close_connection = True
        # Closing with a linger time of 0 sends RST instead of FIN.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()
        self.connection.close()

    def send_response(self, code: int, message: str | None = None) -> None:
        # Unlike the base class: no Server and Date headers, which tests set when they matter.
        self.send_response_only(code, message)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        """Keep the test's output quiet."""
