"""An endpoint that receives the embedded API's events, verified by the layer's own rules."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from dropscale.magichour.webhooks import (
    SIGNATURE_HEADER,
    EventKind,
    ProjectEvent,
    WebhookForged,
    verified_event,
)


@dataclass(frozen=True)
class Sent:
    """One request; `event` is None if its signature is not the webhook's."""

    signature: str
    event: ProjectEvent | None

    @property
    def kind(self) -> EventKind | None:
        """What it says; None: it is forged."""
        return None if self.event is None else self.event.kind


@dataclass
class Receiver:
    """Answers the first `refuses` valid requests 503, a forged one 401, and all others 200."""

    url: str = ""
    secret: str = ""
    refuses: int = 0
    sent: list[Sent] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def receive(self, headers: Any, body: bytes) -> int:
        """Note a request, and return the answer's status."""
        try:
            event = verified_event(dict(headers), body, lambda: self.secret, datetime.now(UTC))
        except WebhookForged:
            event = None
        with self.changed:
            self.sent.append(Sent(headers[SIGNATURE_HEADER], event))
            self.changed.notify_all()
            if event is None:
                return 401
            self.refuses -= 1
            return 503 if self.refuses >= 0 else 200

    def wait_for(self, number: int) -> list[Sent]:
        """Return the first requests, once there are so many."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.sent) >= number, 60), self.sent
            return self.sent[:number]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Serve a receiver on this machine until the block ends."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # as the base class names it
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(receiver.receive(self.headers, body))
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Do not log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/here"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
