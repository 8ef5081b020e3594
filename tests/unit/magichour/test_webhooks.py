"""Only what the vendor has signed, and lately, becomes an event."""

import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropscale.magichour.webhooks import (
    MOST_BYTES,
    EventKind,
    ProjectEvent,
    WebhookExpired,
    WebhookForged,
    WebhookRefused,
    WebhookUnreadable,
    WebhookUnsigned,
    verified_event,
)

SECRET = "whsec_1"
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
TIMESTAMP = str(int(NOW.timestamp()))
SIGNATURE, TIME = "magic-hour-event-signature", "magic-hour-event-timestamp"


def body_of(kind: Any = "image.completed", **payload: Any) -> bytes:
    return json.dumps({"type": kind, "payload": {"id": "p1", "name": "cat", **payload}}).encode()


def headers_of(body: bytes, timestamp: str = TIMESTAMP, secret: str = SECRET) -> dict[str, str]:
    signed = timestamp.encode() + b"." + body
    signature = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    return {SIGNATURE: signature, TIME: timestamp}


def received(body: bytes, headers: dict[str, str] | None = None) -> ProjectEvent | None:
    return verified_event(
        headers_of(body) if headers is None else headers, body, lambda: SECRET, NOW
    )


def flipped(text: bytes, bit: int) -> bytes:
    changed = bytearray(text)
    changed[bit // 8 % len(text)] ^= 1 << bit % 8
    return bytes(changed)


@given(part=st.sampled_from(["body", SIGNATURE, TIME]), bit=st.integers(0, 8 * 200 - 1))
def test_one_flipped_bit_is_refused(part: str, bit: int) -> None:
    body = body_of()
    headers = headers_of(body)
    if part == "body":
        body = flipped(body, bit)
    else:
        headers[part] = flipped(headers[part].encode(), bit).decode("latin-1")

    with pytest.raises(WebhookRefused):
        received(body, headers)


@given(st.sampled_from(EventKind), st.text(max_size=300), st.text(max_size=300))
def test_what_is_signed_is_read_whatever_its_name(kind: EventKind, name: str, more: str) -> None:
    body = json.dumps({"type": kind, "payload": {"id": "p1", "name": name}}, ensure_ascii=False)
    headers = {one.title(): value for one, value in headers_of(body.encode()).items()}

    assert received(body.encode(), headers) == ProjectEvent(kind, "p1", name)
    with pytest.raises(WebhookForged):
        received(body.encode() + b" " + more.encode(), headers)


@pytest.mark.parametrize(
    ("age", "is_accepted"),
    [
        (timedelta(hours=24, minutes=10), True),
        (timedelta(hours=24, minutes=10, seconds=1), False),
        (-timedelta(minutes=5), True),
        (-timedelta(minutes=5, seconds=1), False),
        (NOW - datetime.fromtimestamp(0, UTC), False),
        (-timedelta(days=10**6), False),
    ],
)
def test_a_signature_counts_for_the_time_of_the_vendors_retries(
    age: timedelta, is_accepted: bool
) -> None:
    headers = headers_of(body_of(), str(int(NOW.timestamp() - age.total_seconds())))
    if is_accepted:
        assert received(body_of(), headers) is not None
        return
    with pytest.raises(WebhookExpired):
        received(body_of(), headers)


Change = Callable[[dict[str, str]], dict[str, str]]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda _: {}, WebhookUnsigned),
        (lambda h: {SIGNATURE: h[SIGNATURE]}, WebhookUnsigned),
        (lambda h: {TIME: h[TIME]}, WebhookUnsigned),
        (lambda h: {**h, SIGNATURE.upper(): h[SIGNATURE]}, WebhookUnsigned),
        (lambda h: {**h, SIGNATURE: f"{h[SIGNATURE]},{h[SIGNATURE]}"}, WebhookForged),
        (lambda h: {**h, SIGNATURE: h[SIGNATURE].upper()}, WebhookForged),
        (lambda h: {**h, SIGNATURE: ""}, WebhookForged),
        (lambda h: {**h, SIGNATURE: "é"}, WebhookUnsigned),
        (lambda _: headers_of(body_of(), secret="another"), WebhookForged),
        (lambda _: headers_of(body_of(), ""), WebhookUnsigned),
        (lambda _: headers_of(body_of(), f"+{TIMESTAMP}"), WebhookUnsigned),
        (lambda _: headers_of(body_of(), f"{TIMESTAMP}.0"), WebhookUnsigned),
        (lambda _: headers_of(body_of(), "9" * 13), WebhookUnsigned),
        (lambda _: headers_of(body_of(), "9" * 12), WebhookExpired),
    ],
)
def test_headers_that_are_not_the_vendors(change: Change, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        received(body_of(), change(headers_of(body_of())))

    assert type(caught.value) is error
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        body_of("video.completed"),
        body_of("audio.errored", id=None),
        body_of("image.rendered"),
        body_of(type="FACE_SWAP"),
    ],
)
def test_events_of_other_tools_are_none(body: bytes) -> None:
    assert received(body) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff\xfe",
        b'{"type": "image.completed"}',
        body_of(["image.completed"]),
        body_of(id=""),
        body_of(id=".."),
        body_of(id="a\nb"),
        body_of(id="\ud800"),
        body_of(id={"deep": "er"}),
        body_of(id="x" * 1001),
        b'{"type": "image.completed", "payload": {"id": "p1", "id": "p2"}}',
        b'{"type": "image.completed", "payload": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        body_of(name="x" * MOST_BYTES),
    ],
)
def test_a_body_that_is_signed_but_names_no_project(body: bytes) -> None:
    with pytest.raises(WebhookUnreadable):
        received(body)


def test_the_longest_body_is_read_and_an_unreadable_name_is_none() -> None:
    spare = MOST_BYTES - len(body_of(name=""))

    with pytest.raises(WebhookUnreadable):  # before anything is computed
        received(body_of(name="x" * (spare + 1)), {})
    assert received(body_of(name="x" * spare)) is not None
    for name in (None, 5, ["cat"], "\ud800"):
        assert received(body_of(name=name)) == ProjectEvent(EventKind.COMPLETED, "p1")
