"""The webhook of an account: signed events, sent until they are accepted.

As the vendor documents it: an answer other than 2xx within 10 s is followed by retries after 1, 2,
4 … s, for up to 24 hours.
"""

import hashlib
import hmac
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from itertools import count
from secrets import token_hex
from threading import Condition, Thread
from time import monotonic, time
from typing import Any, Self
from urllib.parse import urlsplit

from dropscale.upscaler import ProjectStatus
from dropscale_embedded.api import faults
from dropscale_embedded.api.faults import Call, Faults
from dropscale_embedded.api.projects import Project
from dropscale_embedded.api.sources import is_loopback

_logger = logging.getLogger(__name__)

_EVENT_BY_STATUS: dict[str, str] = {
    ProjectStatus.RENDERING: "image.started",
    ProjectStatus.COMPLETE: "image.completed",
    ProjectStatus.ERROR: "image.errored",
}
"""There is none for a project that was canceled."""

_ANSWER_SECONDS = 10.0
_RETRY_SECONDS = 24 * 3600.0
_AFTER_A_FORGED_ONE_SECONDS = 0.1
_THREADS = 4


class UrlRefused(Exception):
    """A webhook's URL is not on this machine."""


@dataclass(frozen=True, slots=True)
class _Delivery:
    """One try to send an event.

    Attributes:
        url: the webhook's.
        secret: its secret; a wrong one forges the event.
        body: the event.
        gives_up: when no further try is made; a monotonic time.
        tries: how many have failed.
        signs_anew: whether each try has a time and signature of its own.
        signed_at: the time in the signature; None: not signed yet.
    """

    url: str
    secret: str
    body: bytes
    gives_up: float
    tries: int = 0
    signs_anew: bool = True
    signed_at: str | None = None

    def signed(self) -> Self:
        """Return it with the time of its signature."""
        if self.signed_at is not None and not self.signs_anew:
            return self
        return replace(self, signed_at=str(int(time())))


class Webhooks:
    """A context manager that sends events while it is open.

    Args:
        faults: the running fault plan.
        payload: returns the document of a project.
    """

    def __init__(self, faults: Faults, payload: Callable[[Project], dict[str, Any]]) -> None:
        self._faults = faults
        self._payload = payload
        self._endpoint: tuple[str, str] | None = None
        self._changed = Condition()
        self._due: list[tuple[float, int, _Delivery]] = []
        self._numbers = count()
        self._closed = False
        self._threads = [
            Thread(target=self._run, name="embedded-api-webhooks", daemon=True)
            for _ in range(_THREADS)
        ]

    def create(self, url: str) -> str:
        """Send all events to a URL from now on, as the vendor's page does; return the secret.

        Raises:
            UrlRefused: nothing is sent outside this machine.
        """
        parts = urlsplit(url)
        if parts.scheme != "http" or not is_loopback(parts.hostname or ""):
            raise UrlRefused(f"{url} does not begin with http://127.0.0.1 or http://localhost")
        secret = token_hex(32)
        self._endpoint = url, secret
        return secret

    def announce(self, project: Project) -> None:
        """Send the event of a project's new status, if there is one. Returns at once."""
        kind = _EVENT_BY_STATUS.get(project.status)
        if self._endpoint is None or kind is None:
            return
        url, secret = self._endpoint
        payload = self._payload(project)
        fault = self._faults.draw(Call.WEBHOOK, (kind, project.name, project.image_path))
        if isinstance(fault, faults.Altered):
            kept = {name: value for name, value in payload.items() if name not in fault.without}
            payload = {**kept, **fault.fields}
        body = json.dumps({"type": kind, "payload": payload}).encode()
        delivery = _Delivery(url, secret, body, monotonic() + _RETRY_SECONDS)
        for pause, one in _deliveries(fault, delivery):
            self._put(pause, one)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Send nothing further."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _put(self, pause: float, delivery: _Delivery) -> None:
        with self._changed:
            heappush(self._due, (monotonic() + pause, next(self._numbers), delivery))
            self._changed.notify()

    def _run(self) -> None:
        while (delivery := self._next()) is not None:
            delivery = delivery.signed()
            if not _send(delivery) and monotonic() < delivery.gives_up:
                self._put(2.0**delivery.tries, replace(delivery, tries=delivery.tries + 1))

    def _next(self) -> _Delivery | None:
        """Wait for the next delivery that is due; None: nothing is sent any more."""
        with self._changed:
            while not self._closed:
                if self._due and self._due[0][0] <= monotonic():
                    return heappop(self._due)[2]
                self._changed.wait(self._due[0][0] - monotonic() if self._due else None)
        return None


def _deliveries(fault: object, event: _Delivery) -> list[tuple[float, _Delivery]]:
    """Return what is sent for an event, and after how many seconds."""
    match fault:
        case faults.Lost():
            return []
        case faults.Late(seconds=seconds):
            return [(seconds, event)]
        case faults.Repeated(times=times, seconds=seconds, signed=signed):
            repeated = event if signed == "anew" else replace(event.signed(), signs_anew=False)
            return [(number * seconds, repeated) for number in range(times)]
        case faults.SignedOnce():
            return [(0, replace(event, signs_anew=False))]
        case faults.Forged():
            # Who forges does not try again.
            forged = replace(event, secret=token_hex(32), gives_up=monotonic())
            return [(0, forged), (_AFTER_A_FORGED_ONE_SECONDS, event)]
    return [(0, event)]


def _send(delivery: _Delivery) -> bool:
    """Send an event once; return whether it was accepted."""
    where = urlsplit(delivery.url)
    timestamp = delivery.signed_at or ""
    signed = timestamp.encode() + b"." + delivery.body
    headers = {
        "Content-Type": "application/json",
        "magic-hour-event-timestamp": timestamp,
        "magic-hour-event-signature": hmac.new(
            delivery.secret.encode(), signed, hashlib.sha256
        ).hexdigest(),
    }
    connection = HTTPConnection(where.hostname or "", where.port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("POST", where.path or "/", delivery.body, headers)
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        # At the end of a run its receiver ends first; otherwise the event is sent again.
        _logger.info("a webhook could not be sent: %s", error)
        return False
    finally:
        connection.close()
    return HTTPStatus(200) <= status < HTTPStatus(300)
