"""What the state machine passes from state to state, and from a task that fails."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Self, TypedDict, Unpack

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dropscale.errors import DropscaleError
from dropscale.ledger.rows import SCHEMA
from dropscale.magichour.errors import MagicHourError
from dropscale.upscaler import ProjectStatus


class HistoryFull(DropscaleError):
    """An execution has no room for more looks; another one continues."""

    @classmethod
    def of(cls, project_id: str, looks: int) -> Self:
        """Return the error of an execution after so many looks."""
        return cls(
            f"the execution has looked at project {project_id} {looks} times",
            fix="Another execution continues automatically.",
        )


class ErrorReport(BaseModel):
    """What an error says to the owner of a drop: what is wrong and, if it states it, what to do."""

    message: str
    fix: str | None = None

    @classmethod
    def of(cls, error: BaseException) -> Self:
        """Return an error's report; a vendor error's advice, for client callers, is left out."""
        if isinstance(error, DropscaleError):
            return cls(message=error.message, fix=error.fix)
        if isinstance(error, MagicHourError):
            return cls(message=f"{error.request}: {error.summary}")
        return cls(message=str(error))


class CaughtError(BaseModel):
    """What a `Catch` adds: the error's name, and its cause as text (JSON, if from Lambda)."""

    Error: str
    Cause: str = ""

    @property
    def report(self) -> ErrorReport:
        """Return the report that `raise_reports` wrote, or else the whole text as the message."""
        text = _error_message(self.Cause) or self.Error
        try:
            return ErrorReport.model_validate_json(text)
        except ValidationError:
            return ErrorReport(message=text)


class ProjectFailure(BaseModel):
    """Why the vendor ended a project in `error`."""

    code: str | None = None
    message: str | None = None


class _Findings(TypedDict, total=False):
    status: ProjectStatus | str
    wait_seconds: int
    failures: int
    looks: int
    credits_charged: int | None
    project_error: ProjectFailure | None
    error: None


class ExecutionState(BaseModel):
    """The input of every state: ids, times in epoch seconds, and what check found."""

    # Fields of a newer version are kept, so that a rollback ends no execution.
    model_config = ConfigDict(extra="allow", frozen=True)

    schema_number: int = SCHEMA
    drop_id: str
    rendition_id: str
    fingerprint: str
    generation: int
    key: str
    project_id: str
    status: ProjectStatus | str = Field(ProjectStatus.QUEUED, union_mode="left_to_right")
    """The vendor's status; one that is not in the contract is reported as it is."""
    started_at: int
    wait_seconds: int
    failures: int = 0
    """Inconclusive looks in a row."""
    looks: int = 0
    """How many looks this execution has taken."""
    deadline: int
    webhooks: bool = False
    """Whether it waits for webhooks; False: it only polls."""
    credits_charged: int | None = None
    project_error: ProjectFailure | None = None
    error: CaughtError | None = None

    @model_validator(mode="before")
    @classmethod
    def _take_fingerprint_for_rendition(cls, state: Any) -> Any:
        """Read a state of schema 1, where a drop had one rendition per job."""
        if isinstance(state, dict) and "rendition_id" not in state:
            return {**state, "schema_number": 1, "rendition_id": state.get("fingerprint")}
        return state

    def with_findings(self, **found: Unpack[_Findings]) -> Self:
        """Return it with the findings of a look."""
        return self.model_copy(update={**found})

    def renewed(self, now: int) -> Self:
        """Return the first state of the execution that continues this one.

        `now` is in epoch seconds.
        """
        wait = max(1, min(self.wait_seconds, self.deadline - now))
        fresh = {"generation": self.generation + 1, "looks": 0, "wait_seconds": wait, "error": None}
        return self.model_copy(update=fresh)

    def to_json(self) -> dict[str, Any]:
        """Return it as the state machine expects it."""
        return self.model_dump(mode="json", exclude_none=True)


class CallbackInput(BaseModel):
    """The input of check in a wait that a task token ends."""

    model_config = ConfigDict(frozen=True)

    state: ExecutionState
    task_token: str
    entered: datetime
    """When the execution entered this wait, by the state machine's clock."""


@contextmanager
def raise_reports() -> Iterator[None]:
    """Replace the message of each error by its report, as JSON: Lambda passes on only the message.

    The classes keep only their names, which the state machine matches on.
    """
    try:
        yield
    except (DropscaleError, MagicHourError) as error:
        named = type(type(error).__name__, (Exception,), {})
        report = ErrorReport.of(error).model_dump_json(exclude_none=True)
        raise named(report).with_traceback(error.__traceback__) from None


def _error_message(cause: str) -> str:
    """Return the error message from a `Cause`; Lambda's is JSON, Step Functions' own is not."""
    try:
        detail: Any = json.loads(cause)
        return str(detail["errorMessage"])
    except (ValueError, KeyError, TypeError):
        return cause
