"""What the state machine hands from state to state, and out of a task that fails."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self, TypedDict, Unpack

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dropscale.errors import DropscaleError
from dropscale.ledger.rows import SCHEMA
from dropscale.magichour.errors import MagicHourError
from dropscale.upscaler import ProjectStatus


class HistoryFull(DropscaleError):
    """An execution has no room for more looks; another goes on in its place."""

    @classmethod
    def of(cls, project_id: str, looks: int) -> Self:
        """It has looked so often."""
        return cls(
            f"the execution has looked at project {project_id} {looks} times",
            fix="Another execution continues automatically.",
        )


class ErrorReport(BaseModel):
    """What an error tells the owner of a drop: what is wrong, and what to do if it says so."""

    message: str
    fix: str | None = None

    @classmethod
    def of(cls, error: BaseException) -> Self:
        """Take it from an error; a vendor error's own advice is for callers of the client."""
        if isinstance(error, DropscaleError):
            return cls(message=error.message, fix=error.fix)
        if isinstance(error, MagicHourError):
            return cls(message=f"{error.request}: {error.summary}")
        return cls(message=str(error))


class CaughtError(BaseModel):
    """What a `Catch` puts in: the error's name, and its cause as a text (of JSON, from Lambda)."""

    Error: str
    Cause: str = ""

    @property
    def report(self) -> ErrorReport:
        """What the error tells; of one that was not raised by `raise_reports`, its whole text."""
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


class ExecutionState(BaseModel):
    """The input of every state: identifiers, times in epoch seconds, and what check found."""

    # A newer version's fields are handed on, so that a rollback ends no execution.
    model_config = ConfigDict(extra="allow", frozen=True)

    schema_number: int = SCHEMA
    drop_id: str
    rendition_id: str
    fingerprint: str
    generation: int
    key: str
    project_id: str
    status: ProjectStatus | str = Field(ProjectStatus.QUEUED, union_mode="left_to_right")
    """As the vendor says; a status that is not in the contract is still to be reported."""
    started_at: int
    wait_seconds: int
    failures: int = 0
    """Looks in a row that said nothing about the project."""
    looks: int = 0
    """That this execution has taken so far."""
    deadline: int
    credits_charged: int | None = None
    project_error: ProjectFailure | None = None
    error: CaughtError | None = None

    @model_validator(mode="before")
    @classmethod
    def _take_fingerprint_for_rendition(cls, state: Any) -> Any:
        """Executions of schema 1 name no rendition: a drop had one for each job."""
        if isinstance(state, dict) and "rendition_id" not in state:
            return {**state, "schema_number": 1, "rendition_id": state.get("fingerprint")}
        return state

    def with_findings(self, **found: Unpack[_Findings]) -> Self:
        """Return it with what a look has found."""
        return self.model_copy(update={**found})

    def renewed(self, now: int) -> Self:
        """Return the first state of the execution that goes on in place of this one.

        `now` is in epoch seconds.
        """
        wait = max(1, min(self.wait_seconds, self.deadline - now))
        fresh = {"generation": self.generation + 1, "looks": 0, "wait_seconds": wait, "error": None}
        return self.model_copy(update=fresh)

    def to_json(self) -> dict[str, Any]:
        """Return it as the state machine takes it."""
        return self.model_dump(mode="json", exclude_none=True)


@contextmanager
def raise_reports() -> Iterator[None]:
    """Give errors their report, as JSON, for a message: of all they hold, Lambda hands on no more.

    The classes keep their names, which the state machine matches on, and nothing else.
    """
    try:
        yield
    except (DropscaleError, MagicHourError) as error:
        named = type(type(error).__name__, (Exception,), {})
        report = ErrorReport.of(error).model_dump_json(exclude_none=True)
        raise named(report).with_traceback(error.__traceback__) from None


def _error_message(cause: str) -> str:
    """Return the error message out of a `Cause`; Lambda's is JSON, Step Functions' own is not."""
    try:
        detail: Any = json.loads(cause)
        return str(detail["errorMessage"])
    except (ValueError, KeyError, TypeError):
        return cause
