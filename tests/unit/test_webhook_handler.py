"""The webhook's handler: a status for each request, and never a word."""

import base64
from dataclasses import dataclass, field
from typing import Any

import pytest

from dropscale.aws import invocation
from dropscale.aws.webhook import ReceiveWebhook
from dropscale.magichour.errors import Unauthorized
from dropscale.magichour.webhooks import ProjectEvent
from dropscale.pipeline.parts.measurements import Measurement
from functions.webhook import app
from tests.lambda_context import FakeLambdaContext
from tests.unit.magichour.test_webhooks import NOW, SECRET, body_of, headers_of


@dataclass
class Received:
    """A fake of the use case, whose storage may fail."""

    events: list[ProjectEvent] = field(default_factory=list)
    failure: Exception | None = None

    def __call__(self, event: ProjectEvent) -> int:
        if self.failure:
            raise self.failure
        self.events.append(event)
        return 2


@dataclass
class Edge:
    """The handler with such a use case."""

    received: Received = field(default_factory=Received)
    missing_secret: bool = False
    metrics: list[Measurement] = field(default_factory=list)

    def __call__(self, event: dict[str, Any]) -> tuple[int, list[str]]:
        """Return the answer's status, and the names of the metrics."""
        self.metrics.clear()
        answer = app.handler(event, FakeLambdaContext())
        assert answer.keys() == {"statusCode"}
        return answer["statusCode"], [name for name, _, _ in self.metrics]

    def secret(self) -> str:
        if self.missing_secret:
            raise Unauthorized("the webhook's secret", message="the secret has no value yet")
        return SECRET


@pytest.fixture
def edge(monkeypatch: pytest.MonkeyPatch) -> Edge:
    edge = Edge()
    received: Any = edge.received
    use_case = ReceiveWebhook(edge.secret, received, lambda: NOW)
    monkeypatch.setattr(app, "_webhook", lambda: use_case)
    monkeypatch.setattr(app, "add_metrics", edge.metrics.extend)
    # Metrics that another test has left are sent with the handler's.
    monkeypatch.setattr(invocation._metrics.provider, "namespace", "dropscale")
    return edge


def request(sent: bytes, *, is_base64: bool = False, **changes: Any) -> dict[str, Any]:
    body = base64.b64encode(sent) if is_base64 else sent
    event = {"headers": headers_of(sent), "body": body.decode(), "isBase64Encoded": is_base64}
    return {**event, **changes}


CAT = body_of(name="été 🐈")
REQUESTS = {
    "text": (request(CAT), 200, "webhook_events"),
    "base64": (request(CAT, is_base64=True), 200, "webhook_events"),
    "another tool's": (request(body_of("video.completed")), 200, "webhook_events_of_others"),
    "no body": (request(CAT, body=None), 401, "webhooks_refused"),
    "no headers": (request(CAT, headers=None), 401, None),
    "not base64": (request(CAT, isBase64Encoded=True), 401, "webhooks_refused"),
    "half a character": (request(CAT, body="\ud800"), 401, "webhooks_refused"),
    "forged": (request(CAT, body=CAT.decode() + " "), 401, "webhooks_refused"),
    "too long": (request(b"x" * 300_000, is_base64=True), 401, "webhooks_refused"),
    "unreadable": (request(b"{}"), 401, "webhooks_refused"),
}


@pytest.mark.parametrize("title", REQUESTS)
def test_each_request_has_its_status(edge: Edge, title: str) -> None:
    event, status, metric = REQUESTS[title]

    assert edge(event) == (status, [metric] if metric else [])
    names = [one.name for one in edge.received.events]
    assert names == (["été 🐈"] if metric == "webhook_events" else [])


def test_the_vendor_is_to_send_again_what_could_not_be_noted(edge: Edge) -> None:
    edge.received.failure = OSError("throttled")
    assert edge(request(CAT)) == (503, ["webhooks_failed"])

    edge.received.failure, edge.missing_secret = None, True
    assert edge(request(CAT)) == (503, ["webhooks_failed"])
    assert edge(request(CAT, headers=None)) == (401, [])  # Not the vendor's, whatever the secret.

    edge.missing_secret = False
    assert edge(request(CAT)) == (200, ["webhook_events"])
