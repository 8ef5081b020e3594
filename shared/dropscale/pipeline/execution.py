"""What the state machine hands from state to state."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from dropscale.upscaler import ProjectStatus


class CaughtError(BaseModel):
    """What a `Catch` puts in: the error's name, and its cause as a text (of JSON, from Lambda)."""

    Error: str
    Cause: str = ""


class ProjectFailure(BaseModel):
    """Why the vendor ended a project in `error`."""

    code: str | None = None
    message: str | None = None


class ExecutionState(BaseModel):
    """The input of every state: identifiers, times in epoch seconds, and what check found."""

    # A newer version's fields are handed on, so that a rollback ends no execution.
    model_config = ConfigDict(extra="allow", frozen=True)

    drop_id: str
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
    deadline: int
    credits_charged: int | None = None
    project_error: ProjectFailure | None = None
    error: CaughtError | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as the state machine takes it."""
        return self.model_dump(mode="json", exclude_none=True)
