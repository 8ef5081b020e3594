"""Every API call as data: what to send and how to read the answer, free of I/O.

A client of any kind (blocking, asyncio) sends a `Call`, wraps what came back in an `Answer` and
lets the call parse it.

Source: https://docs.magichour.ai/api-reference.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from pydantic import ValidationError

from dropscale.magichour.errors import (
    CLASS_BY_STATUS,
    NOT_CHARGED,
    CreateOutcomeUnknown,
    MagicHourError,
    ServerFault,
    Unavailable,
    UnknownProjectStatus,
)
from dropscale.magichour.models import Account, CreatedProject, Project, UploadUrls
from dropscale.magichour.urls import without_queries

T = TypeVar("T")

CONNECT_TIMEOUT = 5.0
"""Seconds to wait for a connection to the API, per address of the host."""

MAX_MESSAGE = 500
"""Longest vendor message that is shown, in characters."""


@dataclass(frozen=True)
class Answer:
    """What came back; the headers' names are matched case-insensitively by the mapping."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def refused(self) -> bool:
        """Whether this is anything but a success; a redirect is none, too."""
        return not 200 <= self.status < 300


@dataclass(frozen=True)
class Call(Generic[T]):
    """One call: `read` makes a model of the body of a successful answer."""

    method: str
    path: str
    read: Callable[[bytes], T]
    body: bytes | None = field(default=None, repr=False)

    @property
    def label(self) -> str:
        """The call as errors name it, e.g. "GET /v1/account"."""
        return f"{self.method} {self.path}"

    def parse(self, answer: Answer) -> T:
        """Return the model of a successful answer.

        Raises:
            MagicHourError: of the class that fits the status; `ServerFault` if the answer is
                outside the contract; `UnknownProjectStatus`.
        """
        if answer.refused:
            raise _refusal(self.label, answer)
        try:
            return self.read(answer.body)
        except ValidationError as error:
            failure = _unreadable(self.label, answer.status, error)
        # Raised out here, so that no context carries the input, which may hold signed URLs.
        raise failure


def create_upscale(
    assets: Mapping[str, Any],
    scale_factor: float,
    style: Mapping[str, Any] | None,
    name: str | None,
) -> Call[CreatedProject]:
    """Describe `POST /v1/ai-image-upscaler`, the call that costs credits."""
    body: dict[str, Any] = {"assets": dict(assets), "scale_factor": scale_factor}
    if style is not None:
        body["style"] = dict(style)
    if name is not None:
        body["name"] = name
    return Call(
        "POST", "/v1/ai-image-upscaler", CreatedProject.model_validate_json, _json_bytes(body)
    )


def create_failure(
    call: Call[CreatedProject], error: BaseException, name: str | None
) -> MagicHourError:
    """Return what a failed create means: the error itself if nothing can have been charged."""
    if isinstance(error, NOT_CHARGED):
        return error
    unknown = CreateOutcomeUnknown(call.label, cause_name=type(error).__name__, project_name=name)
    if isinstance(error, MagicHourError):
        unknown.status, unknown.message = error.status, error.message
    return unknown


def create_upload_urls(items: Sequence[Mapping[str, str]]) -> Call[UploadUrls]:
    """Describe `POST /v1/files/upload-urls`; items are `{"type": "image", "extension": "png"}`.

    `type_` is the name that the vendor's SDK gives `type`.
    """
    body = _json_bytes(
        {"items": [{name.removesuffix("_"): item[name] for name in item} for item in items]}
    )
    return Call("POST", "/v1/files/upload-urls", UploadUrls.model_validate_json, body)


def get_project(project_id: str) -> Call[Project]:
    """Describe `GET /v1/image-projects/{id}`."""
    return Call("GET", _project_path(project_id), Project.model_validate_json)


def delete_project(project_id: str) -> Call[None]:
    """Describe `DELETE /v1/image-projects/{id}`, which is permanent."""
    return Call("DELETE", _project_path(project_id), lambda _body: None)


def get_account() -> Call[Account]:
    """Describe `GET /v1/account`."""
    return Call("GET", "/v1/account", Account.model_validate_json)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds the Retry-After header asks to wait, or None.

    A date is taken relative to the answer's own Date, so that clocks need not agree
    (RFC 9110, 10.2.3 and 6.6.1).
    """
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", value):
        return float(value)
    try:
        until = parsedate_to_datetime(value)
        return max(0.0, (until - parsedate_to_datetime(headers.get("Date", ""))).total_seconds())
    except (ValueError, TypeError):
        return None


def _project_path(project_id: str) -> str:
    if not project_id:
        raise ValueError("the project's id is empty; pass the id that the create call returned")
    return f"/v1/image-projects/{quote(project_id, safe='')}"


def _json_bytes(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, allow_nan=False).encode()


def _refusal(label: str, answer: Answer) -> MagicHourError:
    message = _vendor_message(answer.body)
    error_class = CLASS_BY_STATUS.get(answer.status, ServerFault)
    if answer.status in {502, 503} and message is not None:
        error_class = Unavailable
    return error_class(
        label, status=answer.status, message=message, retry_after=retry_after(answer.headers)
    )


def _vendor_message(body: bytes) -> str | None:
    """Return the text of the vendor's `{"message": …}`, None if this is another kind of body."""
    try:
        document = json.loads(body)
    except ValueError:
        return None
    message = document.get("message") if isinstance(document, dict) else None
    return without_queries(message)[:MAX_MESSAGE] if isinstance(message, str) else None


def _unreadable(label: str, status: int, error: ValidationError) -> MagicHourError:
    problems = error.errors(include_url=False, include_context=False)
    for problem in problems:
        if problem["loc"] == ("status",) and problem["type"] == "enum":
            return UnknownProjectStatus(label, project_status=problem["input"])
    where = ".".join(str(part) for part in problems[0]["loc"]) or "body"
    return ServerFault(label, status=status, message=f"{where}: {problems[0]['type']}")
