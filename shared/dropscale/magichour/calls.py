"""Every API call as data: what to send and how to read the answer, without I/O.

A client of any kind (blocking, asyncio) sends a `Call`, wraps the response in an `Answer` and lets
the call parse it.

Source: https://docs.magichour.ai/api-reference.
"""

import json
import re
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from pydantic import ValidationError

from dropscale.magichour.errors import (
    CLASS_BY_STATUS,
    NOT_CHARGED,
    CreateAnswerUnreadable,
    CreateOutcomeUnknown,
    MagicHourError,
    NotFound,
    PlanRefused,
    ServerFault,
    Throttled,
    Unavailable,
    UnknownProjectStatus,
)
from dropscale.magichour.json_document import document_of
from dropscale.magichour.models import Account, CreatedProject, Project, UploadUrls
from dropscale.magichour.params import Assets, Style, require_assets, require_parameters
from dropscale.magichour.text import MAX_NAME, shown

T = TypeVar("T")

CONNECT_TIMEOUT = 5.0
"""Seconds to wait for a connection to the API, per address of the host."""

MAX_ANSWER = 4 * 1024 * 1024
"""The longest answer body that is read, in bytes; the vendor's have a few hundred."""

_MAX_TEXTS = 10
_SECONDS = re.compile(r"[0-9]{1,9}")

PLAN_UPGRADE_REQUIRED = "plan_upgrade_required"
"""The only code of a 402 that is about the request, not the account."""

_TOLD: tuple[type[MagicHourError], ...] = (*NOT_CHARGED, CreateOutcomeUnknown)
"""Errors that a create may raise; any other is turned into `CreateOutcomeUnknown`."""

WithoutKey = Callable[[str], str]
"""Removes the API key from a text."""


@dataclass(frozen=True)
class Answer:
    """A response; the mapping of headers ignores case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_refusal(self) -> bool:
        """Whether this is not a success; a redirect is not one, either."""
        return not 200 <= self.status < 300


@dataclass(frozen=True)
class Call(Generic[T]):
    """One call: `read` makes a model from a successful answer's body.

    It takes the JSON document; None: there is none.
    """

    method: str
    path: str
    read: Callable[[object], T]
    body: bytes | None = field(default=None, repr=False)

    @property
    def label(self) -> str:
        """The call's name in errors, e.g. "GET /v1/account"."""
        return f"{self.method} {self.path}"

    def parse(self, answer: Answer, without_key: WithoutKey = str) -> T:
        """Return the model of a successful answer.

        Args:
            answer: the response.
            without_key: removes the key from texts of the answer; by default they are unchanged.

        Raises:
            MagicHourError: of the class that fits the status; `ServerFault` if the answer is
                outside the contract; `UnknownProjectStatus`.
        """
        document = document_of(answer.body, MAX_ANSWER)
        if answer.is_refusal:
            raise self._refusal(answer, document, without_key)
        try:
            return self.read(document)
        except ValueError as error:
            failure = _unreadable(self.label, answer.status, error, without_key)
        # Raised here, so that no exception context has the input, which may contain signed URLs.
        raise failure

    def foreign_refusal(self, status: int) -> MagicHourError:
        """Return the error for a refusal that, by its shape, is not from the vendor."""
        return (Throttled if status == 429 else ServerFault)(self.label, status=status)

    def _refusal(self, answer: Answer, document: object, without_key: WithoutKey) -> MagicHourError:
        status, said = answer.status, document if isinstance(document, dict) else {}
        message, code = said.get("message"), said.get("code")
        if isinstance(message, str):
            error = _class_of(status, code)(self.label, status=status)
            error.message = shown(without_key(message))
            error.code = shown(without_key(code), MAX_NAME) if isinstance(code, str) else None
            error.body = _shown_texts(said, without_key)
        else:
            error = self.foreign_refusal(status)
        error.retry_after = retry_after(answer.headers)
        return error


class ProjectCall(Call[T]):
    """A call about one project; its 404 alone proves nothing, so callers count them."""

    def foreign_refusal(self, status: int) -> MagicHourError:
        """See `Call.foreign_refusal`."""
        if status == 404:
            return NotFound(self.label, status=status)
        return super().foreign_refusal(status)


@dataclass(frozen=True)
class CreateCall(Call[CreatedProject]):
    """`POST /v1/ai-image-upscaler`, the call that costs credits.

    Attributes:
        project_name: the name that the project gets; None: the vendor chooses one.
    """

    project_name: str | None = None

    def foreign_refusal(self, status: int) -> MagicHourError:
        """See `Call.foreign_refusal`: the outcome of the create is unknown."""
        error = super().foreign_refusal(status)
        return (
            self._outcome_unknown(CreateAnswerUnreadable, error) if 400 <= status < 500 else error
        )

    def failure(self, error: BaseException) -> MagicHourError:
        """Return what a failed create means: the error itself if nothing can have been charged."""
        if isinstance(error, _TOLD):
            return error
        return self._outcome_unknown(CreateOutcomeUnknown, error)

    def _outcome_unknown(
        self, error_class: type[CreateOutcomeUnknown], cause: BaseException
    ) -> CreateOutcomeUnknown:
        unknown = error_class(
            self.label, cause_name=type(cause).__name__, project_name=self.project_name
        )
        if isinstance(cause, MagicHourError):
            unknown.status, unknown.message, unknown.code = cause.status, cause.message, cause.code
            unknown.retry_after, unknown.body = cause.retry_after, cause.body
        return unknown


def create_upscale(
    assets: Assets, scale_factor: float, style: Style | None, name: str | None
) -> CreateCall:
    """Describe `POST /v1/ai-image-upscaler`, the call that costs credits.

    Raises:
        ValueError: the API would refuse it.
    """
    require_assets(assets)
    if not isinstance(assets["image_file_path"], str):
        raise ValueError("assets.image_file_path must be text: upload a local file first")
    require_parameters(scale_factor, style, name)
    body: dict[str, Any] = {"assets": dict(assets), "scale_factor": scale_factor}
    if style is not None:
        body["style"] = dict(style)
    if name is not None:
        body["name"] = name
    return CreateCall(
        "POST", "/v1/ai-image-upscaler", CreatedProject.model_validate, _json_bytes(body), name
    )


def create_upload_urls(items: Sequence[Mapping[str, str]]) -> Call[UploadUrls]:
    """Describe `POST /v1/files/upload-urls`; items are `{"type": "image", "extension": "png"}`.

    `type_` is the name that the vendor's SDK gives `type`.
    """
    body = _json_bytes(
        {"items": [{name.removesuffix("_"): item[name] for name in item} for item in items]}
    )
    return Call("POST", "/v1/files/upload-urls", UploadUrls.model_validate, body)


def get_project(project_id: str) -> Call[Project]:
    """Describe `GET /v1/image-projects/{id}`; an answer about another project is an error."""

    def read(document: object) -> Project:
        project = Project.model_validate(document)
        if project.id != project_id:
            raise ValueError("the answer is about another project")
        return project

    return ProjectCall("GET", _project_path(project_id), read)


def delete_project(project_id: str) -> Call[None]:
    """Describe `DELETE /v1/image-projects/{id}`, which is permanent."""
    return ProjectCall("DELETE", _project_path(project_id), lambda _document: None)


def get_account() -> Call[Account]:
    """Describe `GET /v1/account`."""
    return Call("GET", "/v1/account", Account.model_validate)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds the Retry-After header asks to wait, or None.

    A date is read relative to the answer's own Date, so that clocks need not agree
    (RFC 9110, 10.2.3 and 6.6.1).
    """
    value = headers.get("Retry-After", "").strip()
    if _SECONDS.fullmatch(value):
        return float(value)
    try:
        until = parsedate_to_datetime(value)
        return max(0.0, (until - parsedate_to_datetime(headers.get("Date", ""))).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def _project_path(project_id: str) -> str:
    if not project_id.strip("."):  # dots alone would be another path of the API
        raise ValueError(
            "the project's id is empty or dots; pass the id that the create call returned"
        )
    return f"/v1/image-projects/{quote(project_id, safe='')}"


def _shown_texts(said: Mapping[str, object], without_key: WithoutKey) -> dict[str, str]:
    """Return the top-level texts of a refusal, few and cut: deeper ones may contain anything."""
    texts = [(name, value) for name, value in said.items() if isinstance(value, str)]
    return {
        shown(without_key(name), MAX_NAME): shown(without_key(value))
        for name, value in texts[:_MAX_TEXTS]
    }


def _json_bytes(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, allow_nan=False).encode()


def _class_of(status: int, code: object) -> type[MagicHourError]:
    """Return the class of a refusal in the vendor's own shape."""
    if status in {502, 503}:
        return Unavailable
    if status == 402 and code == PLAN_UPGRADE_REQUIRED:
        return PlanRefused
    return CLASS_BY_STATUS.get(status, ServerFault)


def _unreadable(
    label: str, status: int, error: ValueError, without_key: WithoutKey
) -> MagicHourError:
    if not isinstance(error, ValidationError):
        return ServerFault(label, status=status, message=str(error))
    problems = error.errors(include_url=False, include_context=False)
    for problem in problems:
        if problem["loc"] == ("status",) and problem["type"] == "enum":
            found = problem["input"]
            if not isinstance(found, int | float | None):
                text = found if isinstance(found, str) else reprlib.repr(found)
                found = shown(without_key(text), MAX_NAME)
            return UnknownProjectStatus(label, project_status=found)
    where = ".".join(str(part) for part in problems[0]["loc"])
    message = f"{where}: {problems[0]['type']}" if where else "the answer is not a JSON object"
    return ServerFault(label, status=status, message=message)
