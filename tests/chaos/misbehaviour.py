"""Wrong answers of the vendor or of something between it and us: one row of data each.

An answer is HTTP, and the client library reads it; so what a row does to the stack is what that
library makes of it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any

from dropscale.magichour import errors
from dropscale.magichour.calls import Answer

_PAGE = b"<!DOCTYPE html><html><title>Error</title><body>Please come back later.</body></html>"


class _Field(Enum):
    LEFT_OUT = "left out"


LEFT_OUT = _Field.LEFT_OUT
"""In place of a field's value: the answer does not have that field."""


@dataclass(frozen=True)
class Fault:
    """One way to answer a call: the right answer with other `fields`, another body, or none."""

    name: str
    status: int = 200
    fields: Mapping[str, Any] = field(default_factory=dict)
    body: bytes | None = None
    error: type[errors.MagicHourError] | None = None
    """Raised in place of an answer."""
    makes: bool = True
    """Of a create: whether a project is made and charged."""
    repeats_id: bool = False
    """Of a create: whether it is answered with the id of an earlier project, and makes none."""
    adds_to_price: float = 0
    keeps: float = 1.0
    """Of a download: how much of it comes."""

    def answer(self, right: Mapping[str, Any]) -> Answer:
        """Return what comes back where `right` should."""
        if self.error is not None:
            raise self.error("the vendor", status=None if self.status == 200 else self.status)
        changed = {**right, **self.fields}
        if self.adds_to_price:
            changed["credits_charged"] = right["credits_charged"] + self.adds_to_price
        told = {name: value for name, value in changed.items() if value is not LEFT_OUT}
        body = json.dumps(told).encode() if self.body is None else self.body
        return Answer(self.status, {}, body)

    def __str__(self) -> str:
        return self.name


def _refusal(status: int, code: str | None = None, message: str = "Something is wrong") -> Fault:
    told = {"message": message} if code is None else {"code": code, "message": message}
    name = f"{status} {code}" if code else str(status)
    return Fault(name, status, body=json.dumps(told).encode(), makes=False)


def _page(status: int, *, makes: bool = False) -> Fault:
    name = f"page with {status}" + (", a project made" if makes else "")
    return Fault(name, status, body=_PAGE, makes=makes)


def _other(what: str, /, **fields: Any) -> Fault:
    return Fault(what, fields=fields)


def _table(*faults: Fault) -> Mapping[str, Fault]:
    return MappingProxyType({fault.name: fault for fault in faults})


WELL = Fault("well")

LOST = Fault("answer lost", error=errors.ConnectionLost)
THROTTLED = _refusal(429)
UNAUTHORIZED = _refusal(401, message="Unauthorized")
UNAVAILABLE = _refusal(503)

CREATES = _table(
    _other("no price", credits_charged=LEFT_OUT, frame_cost=LEFT_OUT),
    _other("price null", credits_charged=None, frame_cost=None),
    _other("price negative", credits_charged=-(10**6)),
    _other("price huge", credits_charged=10**9),
    _other("price beyond 64 bits", credits_charged=10**30),
    Fault("price with a fraction", adds_to_price=-0.5),
    _other("price a text", credits_charged="n/a"),
    _other("price an object", credits_charged={"amount": 50}),
    _other("frame cost a list", frame_cost=[]),
    _other("name a number, error a text", name=7, error="none", status=3),
    LOST,
    Fault("request lost", error=errors.ConnectionLost, makes=False),
    Fault("unreachable", error=errors.Unreachable, makes=False),
    Fault("made, 200 without a body", body=b""),
    Fault("made, a list", body=b"[]"),
    Fault("the id of an earlier project", makes=False, repeats_id=True),
    THROTTLED,
    UNAUTHORIZED,
    UNAVAILABLE,
    _refusal(402),
    _refusal(402, "insufficient_credits"),
    _refusal(402, "subscription_required"),
    _refusal(402, "plan_upgrade_required"),
    _refusal(402, "something_new"),
    _refusal(403),
    _refusal(400),
    _refusal(404, message="Not Found"),
    _refusal(422),
    _refusal(502),
    Fault("500, a project made", 500, body=b'{"message": "Internal Server Error"}'),
    *(
        _page(status, makes=makes)
        for status in (200, 302, 400, 401, 402, 403, 404, 418, 429, 500, 502, 503, 504)
        for makes in (False, True)
    ),
)
"""Answers to `POST /v1/ai-image-upscaler`."""

LOOKS = _table(
    *(_page(status) for status in (200, 302, 400, 401, 403, 404, 418, 500, 502, 503, 504)),
    *map(_refusal, (401, 402, 404, 429, 500, 503)),
    LOST,
    Fault("unreachable", error=errors.Unreachable),
    Fault("without a body", body=b""),
    _other("a new status", status="upscaling"),
    _other("status null", status=None),
    _other("status a number", status=7),
    _other("back to rendering", status="rendering", downloads=[]),
    _other("back to queued", status="queued", downloads=LEFT_OUT),
    _other("back to draft", status="draft", downloads=None),
    _other("no downloads", downloads=[]),
    _other("downloads null", downloads=None),
    _other("downloads left out", downloads=LEFT_OUT),
    _other("downloads an object", downloads={"url": None}),
    _other("downloads without a URL", downloads=[{"url": None}]),
    _other("not enabled", enabled=False),
    _other("not enabled, no downloads", enabled=False, downloads=[]),
    _other("enabled null", enabled=None),
    _other("price huge", credits_charged=10**9),
    _other("price a text", credits_charged="n/a"),
    _other("other fields of other types", image_count="1 of 1", created_at=1767225600, name=7),
    _other("another project", id="project-0", status="error", credits_charged=0),
    _other("error a text", error="none", type=3, total_frame_cost=12.5),
)
"""Answers to `GET /v1/image-projects/{id}`, for a while."""

DOWNLOADS = _table(
    Fault("page in place of the result", body=_PAGE),
    Fault("nothing in place of the result", body=b""),
    Fault("half of the result", keeps=0.5),
    Fault("URL expired", 403, error=errors.TransferFailed),
    Fault("no such object", 404, error=errors.TransferFailed),
    Fault("storage fails", 500, error=errors.TransferFailed),
    Fault("download cut off", error=errors.TransferFailed),
)
"""What a download URL brings, for a while."""

ACCOUNT_TROUBLES = _table(
    UNAUTHORIZED,
    THROTTLED,
    UNAVAILABLE,
    _refusal(402),
    _refusal(402, "insufficient_credits"),
    _refusal(402, "subscription_required"),
    *map(_page, (200, 401, 402, 403, 404, 407, 500, 503)),
    Fault("unreachable", error=errors.Unreachable, makes=False),
)
"""Answers to every call, or to those of one kind, for a while."""
