"""What the vendor's signed webhooks say about a project, and whether they are the vendor's.

The headers and the signed text: https://docs.magichour.ai/integration/webhook. It does not say
whether a retry is signed anew; the vendor retries for up to 24 hours.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import ValidationError

from dropscale.errors import DropscaleError
from dropscale.magichour.json_document import document_of
from dropscale.magichour.models import EventPayload
from dropscale.upscaler import PROJECT_TYPE

SIGNATURE_HEADER = "magic-hour-event-signature"
TIMESTAMP_HEADER = "magic-hour-event-timestamp"

MOST_BYTES = 256 * 1024
"""The longest body that is read."""

OLDEST = timedelta(hours=24, minutes=10)
"""The age up to which a signature counts: that of a last retry that was not signed anew."""

MOST_AHEAD = timedelta(minutes=5)
"""How far the vendor's clock may be ahead of ours."""

_MOST_DIGITS = 12


class EventKind(StrEnum):
    """The events of a webhook; there is none for a project that was canceled."""

    STARTED = "image.started"
    COMPLETED = "image.completed"
    ERRORED = "image.errored"


@dataclass(frozen=True)
class ProjectEvent:
    """One event, its signature verified. It is a hint: only a look at the project decides.

    `name` is the project's name, which has the attempt's token in it; None: it has none.
    """

    kind: EventKind
    project_id: str
    name: str | None = None


class WebhookRefused(DropscaleError):
    """Base of the reasons why a request is no event of the vendor's."""

    def __init__(
        self, message: str, *, fix: str = "It is ignored: nothing needs to be done."
    ) -> None:
        super().__init__(message, fix=fix)


class WebhookUnsigned(WebhookRefused):
    """The request has no signature, or no time, in the vendor's form."""


class WebhookForged(WebhookRefused):
    """The signature is not that of this body and time with this secret."""


class WebhookExpired(WebhookRefused):
    """The signature is valid, but too old, or too far ahead of our clock."""


class WebhookUnreadable(WebhookRefused):
    """The body is too long, or is signed but does not have the documented shape."""


def verified_event(
    headers: Mapping[str, str], body: bytes, secret: Callable[[], str], now: datetime
) -> ProjectEvent | None:
    """Return a webhook's event; None: it is the vendor's, but about another tool's project.

    Args:
        headers: the request's, in any case.
        body: the raw bytes, as they were signed.
        secret: returns the secret, from the vendor's page; called only for what is signed.
        now: the current time, in UTC.

    Raises:
        WebhookRefused: a subclass that says why the request is not the vendor's.
    """
    if len(body) > MOST_BYTES:
        raise WebhookUnreadable(f"the body has {len(body)} bytes, more than {MOST_BYTES}")
    timestamp = _header(headers, TIMESTAMP_HEADER)
    signature = _header(headers, SIGNATURE_HEADER)
    expected = signature_of(timestamp, body, secret())
    if not hmac.compare_digest(expected.encode(), signature.encode()):
        raise WebhookForged(
            "the signature does not match body, time and secret",
            fix="If all are refused, set the secret that the vendor's page shows: "
            "dropscale secret set --webhook.",
        )
    _require_recent(timestamp, now)
    return _event(body)


def signature_of(timestamp: str, body: bytes, secret: str) -> str:
    """Return the vendor's signature of a body: hexadecimal HMAC-SHA256."""
    signed = timestamp.encode() + b"." + body
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def _header(headers: Mapping[str, str], name: str) -> str:
    """Return a header's value; more than one are none, because the sender may mean either."""
    found = [value for header, value in headers.items() if header.lower() == name]
    if len(found) != 1 or not found[0].isascii():
        raise WebhookUnsigned(f"{name} is missing or unreadable")
    return found[0]


def _require_recent(timestamp: str, now: datetime) -> None:
    if not timestamp.isdigit() or len(timestamp) > _MOST_DIGITS:
        raise WebhookUnsigned(f"{TIMESTAMP_HEADER} is no number of seconds", fix="Ask the vendor.")
    age = now.timestamp() - int(timestamp)
    if not -MOST_AHEAD.total_seconds() <= age <= OLDEST.total_seconds():
        raise WebhookExpired(f"its signature is {age:.0f} s old")


def _event(body: bytes) -> ProjectEvent | None:
    match document_of(body, MOST_BYTES):
        case {"type": str(kind), "payload": payload}:
            pass
        case _:
            raise WebhookUnreadable("the body is not a type and a payload", fix="Ask the vendor.")
    if kind not in set(EventKind):
        return None
    try:
        told = EventPayload.model_validate(payload)
    except ValidationError as error:
        raise WebhookUnreadable("the payload names no project", fix="Ask the vendor.") from error
    if told.type not in {None, PROJECT_TYPE}:
        return None
    return ProjectEvent(EventKind(kind), told.id, told.name)
