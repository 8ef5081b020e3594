"""Fail: what a person is told when no result comes, and what becomes of slot and job."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dropscale.ledger.records import Drop, Job, Reason
from dropscale.ledger.states import DropState, JobState
from dropscale.ledger.store import Ledger, LedgerConflict, amend_drop, amend_job
from dropscale.magichour import errors
from dropscale.magichour.errors import TRANSIENT, DeadlinePassed, Unauthorized
from dropscale.pipeline.execution import CaughtError, ExecutionState
from dropscale.pipeline.ports import Clock, RemainingTime
from dropscale.pipeline.projection import ProjectManifest
from dropscale.pipeline.start import REVIEW, StartJob
from dropscale.upscaler import ProjectStatus

_COLLECTED_LATER = frozenset(
    {error.__name__ for error in (*TRANSIENT, DeadlinePassed, Unauthorized)}
    | {LedgerConflict.__name__}
)
"""Errors that say nothing about the project: it goes on, and the sweeper looks at it again."""

_PLATFORM_PREFIXES = ("Lambda.", "Runtime.", "Sandbox.", "States.")
"""Of errors that AWS itself raises about a function or a task; they say nothing about it either."""

_COLLECT = (
    "The paid result stays at the vendor. "
    "Drop the image again (or `dropscale retry KEY`) to collect it, free."
)


@dataclass(frozen=True)
class Fail:
    """Ends a rendition that gets no result now, and lets the next job start."""

    ledger: Ledger
    project: ProjectManifest
    start: StartJob
    clock: Clock

    def __call__(self, state: ExecutionState, remaining: RemainingTime) -> Drop:
        """Write down why an execution brought no result; return the drop as it then is."""
        due = self.clock() + REVIEW
        job = amend_job(self.ledger, state.fingerprint, lambda job: _settled(job, state, due))
        drop_state, reason = _verdict(state)

        def change(drop: Drop) -> Drop:
            rendition = drop.renditions.get(state.fingerprint)
            if rendition is None or not rendition.wants_result:
                return drop
            ended = rendition.moved(drop_state, reason=reason, credits_charged=job.credits_charged)
            return drop.with_rendition(ended, self.clock())

        drop = amend_drop(self.ledger, state.drop_id, change)
        if drop.due:
            self.project(drop)
        self.start.waiting(remaining)
        return drop


def _settled(job: Job, state: ExecutionState, due: datetime) -> Job:
    """Return the job with the vendor's verdict, if there is one; else the sweeper looks on."""
    if job.state is not JobState.SUBMITTED or job.project_id != state.project_id:
        return job
    if state.error is not None:
        is_late = state.error.Error == DeadlinePassed.__name__ and not job.is_overdue
        return job.overdue() if is_late else job
    if state.status is ProjectStatus.ERROR:
        # The vendor gives the credits back with the error, even where the answer does not say so.
        return job.settled(JobState.ERROR, state.credits_charged or 0, due)
    if state.status is ProjectStatus.CANCELED:
        return job.settled(JobState.CANCELED, state.credits_charged, due)
    return job


def _verdict(state: ExecutionState) -> tuple[DropState, Reason]:
    if state.error is not None:
        return _caught(state.error, state.project_id)
    if state.status is ProjectStatus.CANCELED:
        reason = Reason(
            code="ProjectCanceled",
            message=f"Project {state.project_id} was canceled at the vendor",
            fix="Set another `revision` in the spec to pay for a fresh try.",
        )
        return DropState.CANCELED, reason
    failure = state.project_error
    reason = Reason(
        code=(failure and failure.code) or "ProjectError",
        message=(failure and failure.message) or f"Project {state.project_id} ended in an error",
        fix="Nothing is charged. Drop the image again (or `dropscale retry KEY`) to try once more.",
    )
    return DropState.FAILED, reason


def _caught(error: CaughtError, project_id: str) -> tuple[DropState, Reason]:
    message, advice = _told(error)
    if error.Error in _COLLECTED_LATER or error.Error.startswith(_PLATFORM_PREFIXES):
        fix = f"It is looked at for seven days more, and delivered if it comes. {_COLLECT}"
        return DropState.TIMED_OUT, Reason(code=error.Error, message=message, fix=fix)
    fix = advice or _COLLECT
    reason = Reason(code=error.Error, message=f"{message} (project {project_id})", fix=fix)
    return DropState.FAILED, reason


def _told(error: CaughtError) -> tuple[str, str]:
    """Return what an error says is wrong, and what to do if it says so to the owner of a drop."""
    text = _message(error.Cause) or error.Error
    vendor_error = getattr(errors, error.Error, None)
    if vendor_error is not None:
        # Its advice is for callers of the client library.
        return text.partition(f". {vendor_error.advice.partition('{')[0]}")[0], ""
    message, _, fix = text.partition(".\n")
    return message, fix


def _message(cause: str) -> str:
    """Return the error message out of a `Cause`; Lambda's is JSON, Step Functions' own is not."""
    try:
        detail: Any = json.loads(cause)
        return str(detail["errorMessage"])
    except (ValueError, KeyError, TypeError):
        return cause
