"""A webhook's request, in the form of a Lambda Function URL."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dropscale.magichour.webhooks import ProjectEvent, WebhookUnreadable, verified_event

if TYPE_CHECKING:
    from dropscale.pipeline.receive_event import ReceiveEvent


@dataclass(frozen=True)
class Received:
    """A request that the vendor sent.

    Attributes:
        event: None: it is about another tool's project.
        woken: how many executions it woke.
    """

    event: ProjectEvent | None
    woken: int = 0


@dataclass(frozen=True)
class ReceiveWebhook:
    """Verifies a request, and passes its event on.

    Attributes:
        secret: returns the webhook's secret.
    """

    secret: Callable[[], str]
    receive: ReceiveEvent
    clock: Callable[[], datetime]

    def __call__(self, request: Mapping[str, Any]) -> Received:
        """Receive one request.

        https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads

        Raises:
            WebhookRefused: it is not the vendor's.
        """
        headers, body = request.get("headers") or {}, _raw_body(request)
        event = verified_event(headers, body, self.secret, self.clock())
        return Received(event, 0 if event is None else self.receive(event))


def _raw_body(request: Mapping[str, Any]) -> bytes:
    """Return the bytes that were sent: Lambda passes text as text, and the rest in base64."""
    text = request.get("body") or ""
    try:
        body: bytes = text.encode()
        return base64.b64decode(body, validate=True) if request.get("isBase64Encoded") else body
    except (UnicodeEncodeError, binascii.Error) as error:
        raise WebhookUnreadable("the body is not text") from error
