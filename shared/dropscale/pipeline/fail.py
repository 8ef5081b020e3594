"""Fail: explains why there is no result, and settles slot and job."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from dropscale.image.verify import UnreadableResult
from dropscale.ledger.drops import Drop, Reason
from dropscale.ledger.jobs import Job
from dropscale.ledger.states import DropState, JobState
from dropscale.ledger.store import Ledger, LedgerConflict, amend_drop, amend_job
from dropscale.magichour import errors
from dropscale.magichour.errors import DeadlinePassed
from dropscale.pipeline.parts.delivery_errors import ForeignProject, ProjectNotComplete
from dropscale.pipeline.parts.execution import CaughtError, ExecutionState, HistoryFull
from dropscale.pipeline.parts.follow import explain_verdict
from dropscale.pipeline.parts.manifest_writer import WriteManifest
from dropscale.pipeline.parts.poll_schedule import REVIEW
from dropscale.pipeline.parts.ports import Clock, RemainingTime
from dropscale.pipeline.parts.start import StartJob
from dropscale.upscaler import ProjectStatus

_PASSING = frozenset(
    {LedgerConflict.__name__, UnreadableResult.__name__}
    | {ProjectNotComplete.__name__, ForeignProject.__name__}
    # AWS itself did not answer for as long as botocore retries.
    | {"ClientError", "EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError"}
    | {"ConnectionClosedError", "ThrottlingException", "ProvisionedThroughputExceededException"}
)
"""Errors, other than the vendor's, that say nothing about the project: the sweeper looks again."""

_PLATFORM_PREFIXES = ("Lambda.", "Runtime.", "Sandbox.", "States.")
"""Prefixes of errors that AWS raises about a function or a task: nothing about the project."""

_JOB_VERDICTS: Mapping[str, JobState] = MappingProxyType(
    {ProjectStatus.ERROR: JobState.ERROR, ProjectStatus.CANCELED: JobState.CANCELED}
)

_COLLECT = (
    "The paid result stays at the vendor. "
    "Drop the image again (or `dropscale retry KEY`) to collect it, free."
)


_FIXES: Mapping[str, str] = MappingProxyType(
    {
        "invalid_file_format": (
            "Nothing is charged. The vendor cannot read the image: export it again from its "
            "original, preferably as png or jpeg, and drop that."
        ),
        "file_too_large": "Nothing is charged. Scale the image down, and drop that.",
    }
)
"""What to do about those of the vendor's errors that the same bytes would cause again."""


@dataclass(frozen=True)
class Fail:
    """Ends a rendition without a result, and starts the next job."""

    ledger: Ledger
    write_manifest: WriteManifest
    start: StartJob
    clock: Clock

    def __call__(self, state: ExecutionState, remaining: RemainingTime) -> Drop:
        """Record why an execution ended without a result; return the updated drop.

        An execution whose history is full is continued by another one.
        """
        if state.error is not None and state.error.Error == HistoryFull.__name__:
            return self.start.follow.continue_execution(state)
        now = self.clock()
        job = amend_job(self.ledger, state.fingerprint, lambda job: _settle_job(job, state, now))
        drop_state, reason = _explain_ending(state, job)

        def change(drop: Drop) -> Drop:
            rendition = drop.renditions.get(state.rendition_id)
            if rendition is None or not rendition.is_watched(state.project_id, state.generation):
                return drop
            ended = rendition.report(
                drop_state,
                project_id=state.project_id,
                generation=state.generation,
                reason=reason,
                credits_charged=job.credits_charged,
            )
            return drop.with_rendition(ended, now)

        drop = amend_drop(self.ledger, state.drop_id, change)
        self.write_manifest(drop)
        self.start.start_next(remaining)
        return drop


def _settle_job(job: Job, state: ExecutionState, now: datetime) -> Job:
    """Return the job with the vendor's verdict, if there is one; else the sweeper keeps looking."""
    if state.error is not None:
        is_late = now.timestamp() >= state.deadline or state.error.Error == DeadlinePassed.__name__
        return job.record_overdue(state.project_id) if is_late else job
    verdict = _JOB_VERDICTS.get(state.status)
    if verdict is None:
        return job
    return job.settle(state.project_id, verdict, state.credits_charged, now + REVIEW)


def _explain_ending(state: ExecutionState, job: Job) -> tuple[DropState, Reason]:
    if state.error is not None:
        return _explain_error(state.error, state.project_id)
    verdict = DropState.CANCELED if state.status == ProjectStatus.CANCELED else DropState.FAILED
    told, ended = state.project_error, explain_verdict(job, verdict)
    code = (told and told.code) or ended.code
    return verdict, ended.model_copy(
        update={
            "code": code,
            "message": (told and told.message) or ended.message,
            "fix": ended.fix if job.credits_charged else _FIXES.get(code, ended.fix),
        }
    )


def _explain_error(error: CaughtError, project_id: str) -> tuple[DropState, Reason]:
    report = error.report
    if _is_passing(error.Error):
        fix = f"It is checked for seven more days, and delivered when complete. {_COLLECT}"
        return DropState.TIMED_OUT, Reason(code=error.Error, message=report.message, fix=fix)
    message = f"{report.message} (project {project_id})"
    reason = Reason(code=error.Error, message=message, fix=report.fix or _COLLECT)
    return DropState.FAILED, reason


def _is_passing(name: str) -> bool:
    vendor_error = getattr(errors, name, None)
    is_vendors = isinstance(vendor_error, type) and issubclass(vendor_error, errors.MagicHourError)
    return is_vendors or name in _PASSING or name.startswith(_PLATFORM_PREFIXES)
