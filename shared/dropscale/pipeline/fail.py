"""Fail: what a person is told when no result comes, and what becomes of slot and job."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from dropscale.image.verify import UnreadableResult
from dropscale.ledger.records import Drop, Job, Reason
from dropscale.ledger.states import DropState, JobState
from dropscale.ledger.store import Ledger, LedgerConflict, amend_drop, amend_job
from dropscale.magichour import errors
from dropscale.magichour.errors import DeadlinePassed
from dropscale.pipeline.delivery_errors import ForeignProject, ProjectNotComplete
from dropscale.pipeline.execution import CaughtError, ExecutionState
from dropscale.pipeline.ports import Clock, RemainingTime
from dropscale.pipeline.projection import ProjectManifest
from dropscale.pipeline.start import REVIEW, StartJob
from dropscale.upscaler import ProjectStatus

_PASSING = frozenset(
    {LedgerConflict.__name__, UnreadableResult.__name__}
    | {ProjectNotComplete.__name__, ForeignProject.__name__}
    # AWS itself did not answer, longer than botocore tries.
    | {"ClientError", "EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError"}
    | {"ConnectionClosedError", "ThrottlingException", "ProvisionedThroughputExceededException"}
)
"""Errors that say nothing about the project, beside the vendor's: the sweeper looks again."""

_PLATFORM_PREFIXES = ("Lambda.", "Runtime.", "Sandbox.", "States.")
"""Of errors that AWS itself raises about a function or a task; they say nothing about it either."""

_JOB_VERDICTS: Mapping[str, JobState] = MappingProxyType(
    {ProjectStatus.ERROR: JobState.ERROR, ProjectStatus.CANCELED: JobState.CANCELED}
)

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
        now = self.clock()
        job = amend_job(self.ledger, state.fingerprint, lambda job: _settled(job, state, now))
        drop_state, reason = _verdict(state, job)

        def change(drop: Drop) -> Drop:
            rendition = drop.renditions.get(state.fingerprint)
            if rendition is None or not rendition.is_watched(state.project_id, state.generation):
                return drop
            ended = rendition.reported(
                drop_state,
                project_id=state.project_id,
                generation=state.generation,
                reason=reason,
                credits_charged=job.credits_charged,
            )
            return drop.with_rendition(ended, now)

        drop = amend_drop(self.ledger, state.drop_id, change)
        if drop.due:
            self.project(drop)
        self.start.waiting(remaining)
        return drop


def _settled(job: Job, state: ExecutionState, now: datetime) -> Job:
    """Return the job with the vendor's verdict, if there is one; else the sweeper looks on."""
    if state.error is not None:
        is_late = now.timestamp() >= state.deadline or state.error.Error == DeadlinePassed.__name__
        return job.overdue(state.project_id) if is_late else job
    verdict = _JOB_VERDICTS.get(state.status)
    if verdict is None:
        return job
    return job.settled(state.project_id, verdict, state.credits_charged, now + REVIEW)


def _verdict(state: ExecutionState, job: Job) -> tuple[DropState, Reason]:
    if state.error is not None:
        return _caught(state.error, state.project_id)
    if state.status is ProjectStatus.CANCELED:
        reason = Reason(
            code="ProjectCanceled",
            message=f"Project {state.project_id} was canceled at the vendor",
            fix=(
                "Set another `revision` in the spec to pay for a fresh try. `dropscale retry KEY` "
                "looks once more, free."
            ),
        )
        return DropState.CANCELED, reason
    failure, cost = state.project_error, job.credits_charged
    charged = f"The vendor still charges {cost} credits for it" if cost else "Nothing is charged"
    reason = Reason(
        code=(failure and failure.code) or "ProjectError",
        message=(failure and failure.message) or f"Project {state.project_id} ended in an error",
        fix=f"{charged}. Drop the image again (or `dropscale retry KEY`) to try once more.",
    )
    return DropState.FAILED, reason


def _caught(error: CaughtError, project_id: str) -> tuple[DropState, Reason]:
    message, advice = _told(error)
    if _says_nothing(error.Error):
        fix = f"It is looked at for seven days more, and delivered if it comes. {_COLLECT}"
        return DropState.TIMED_OUT, Reason(code=error.Error, message=message, fix=fix)
    fix = advice or _COLLECT
    reason = Reason(code=error.Error, message=f"{message} (project {project_id})", fix=fix)
    return DropState.FAILED, reason


def _says_nothing(name: str) -> bool:
    vendor_error = getattr(errors, name, None)
    is_vendors = isinstance(vendor_error, type) and issubclass(vendor_error, errors.MagicHourError)
    return is_vendors or name in _PASSING or name.startswith(_PLATFORM_PREFIXES)


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
