"""Updates the drops that share a job: their rows, their manifests, their executions."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta

from dropscale.coded_warning import CodedWarning, WarningCode
from dropscale.ledger.drops import Drop, Reason, Rendition
from dropscale.ledger.jobs import Job
from dropscale.ledger.states import AT_VENDOR_STATES, VERDICTS, DropState, JobState
from dropscale.ledger.store import MOST_DROPS, Ledger, amend_drop, amend_job
from dropscale.pipeline.parts.execution import ExecutionState
from dropscale.pipeline.parts.gate import Waiting
from dropscale.pipeline.parts.manifest_writer import WriteManifest
from dropscale.pipeline.parts.poll_schedule import NEXT_DROPS, SHORTEST_CALLBACK
from dropscale.pipeline.parts.ports import Clock, Executions
from dropscale.upscaler import ProjectStatus

_GIVEN_UP = "JobAbandoned"
"""The code of drops whose job was abandoned, by a person or after a time."""

_WITHOUT_RESULT = frozenset({JobState.ERROR, JobState.CANCELED})
_ENDED = frozenset({DropState.FAILED, DropState.CANCELED, DropState.REJECTED})


@dataclass(frozen=True)
class Timing:
    """When a job is first looked at, and when its deadline is. In seconds.

    With `webhooks` executions wait for the vendor's events, and look when none comes.
    """

    first_check: int
    deadline: int
    webhooks: bool = False


@dataclass(frozen=True)
class Refused:
    """Why the vendor refuses a job for good."""

    reason: Reason


@dataclass(frozen=True)
class Undelivered:
    """A result has been complete for seven days, and could not be delivered."""


@dataclass(frozen=True)
class EarlierProjects:
    """Projects of earlier attempts that exist although the job is at another one."""

    project_ids: tuple[str, ...]

    def warning(self, job: Job) -> CodedWarning:
        """Return what the drops of their job say about them."""
        names = ", ".join(self.project_ids)
        return CodedWarning(
            WarningCode.EARLIER_PROJECT,
            f"an earlier attempt, whose answer was lost, made {names}, which may have been charged "
            f"besides {job.project_id}. If that brings no result, this one is delivered",
        )


News = Waiting | Refused | Undelivered | EarlierProjects | None
"""What the job's state alone does not say about its drops."""


@dataclass(frozen=True)
class FollowJob:
    """Updates drops that share a job, and has it watched for them."""

    ledger: Ledger
    write_manifest: WriteManifest
    executions: Executions
    clock: Clock
    timing: Timing

    def update_drops(self, job: Job, news: News = None, first: str | None = None) -> None:
        """Update the drops of the job, `first` before the others; the sweeper does what is left.

        They are updated in order, from the cursor of the job's current round.
        """
        # Read again: a step since the caller's read restarts the round.
        job = self.ledger.job(job.fingerprint) or job
        page = self.ledger.list_attached(job.fingerprint, job.cursor, MOST_DROPS)
        for drop_id in dict.fromkeys([first, *page] if first else page):
            self.update_drop(drop_id, job, news)
        cursor = page[-1] if len(page) == MOST_DROPS else None
        if cursor != job.cursor:
            due = self.clock() + NEXT_DROPS
            amend_job(
                self.ledger,
                job.fingerprint,
                lambda job: job.pass_on(cursor, due, is_wanted=True),
                only=job.state,
            )

    def update_drop(self, drop_id: str, job: Job, news: News = None) -> Drop:
        """Update one drop of the job."""
        return self._bring_up_to_date(drop_id, job, news, renew=None)

    def renew_execution(self, drop_id: str, rendition_id: str, job: Job) -> Drop:
        """Watch the job again for a rendition whose last execution ended without a verdict."""
        return self._bring_up_to_date(drop_id, job, None, renew=rendition_id)

    def continue_execution(self, state: ExecutionState) -> Drop:
        """Continue an execution with another one, until the same deadline."""
        generation = state.generation + 1

        def change(drop: Drop) -> Drop:
            rendition = drop.renditions.get(state.rendition_id)
            if rendition is None or not rendition.is_watched(state.project_id, state.generation):
                return drop
            after = rendition.model_copy(update={"generation": generation})
            return drop.with_rendition(after, self.clock())

        drop = amend_drop(self.ledger, state.drop_id, change)
        rendition = drop.renditions.get(state.rendition_id)
        if rendition is not None and rendition.is_watched(state.project_id, generation):
            name = self.execution_name(drop.id, rendition)
            renewed = state.renewed(int(self.clock().timestamp()))
            self.executions.start(name, renewed.to_json())
        return drop

    def execution_name(self, drop_id: str, rendition: Rendition) -> str:
        """Return the execution name of this rendition's current generation, which is unique."""
        parts = f"{drop_id}/{rendition.id}/{rendition.generation}"
        return hashlib.sha256(parts.encode()).hexdigest()[:40]

    def _bring_up_to_date(self, drop_id: str, job: Job, news: News, *, renew: str | None) -> Drop:
        # The caller may have waited for the vendor since it read the job.
        job = self.ledger.job(job.fingerprint) or job

        def update(drop: Drop, rendition: Rendition) -> Rendition:
            if rendition.state is DropState.SUPERSEDED:
                return _note_what_is_unknown(rendition, job)
            after = rendition_after(rendition, job, news)
            if isinstance(news, EarlierProjects):
                after = after.warn(news.warning(job))
            if job.state in _WITHOUT_RESULT and not drop.watches(after):
                return _end_without_result(after, job)
            is_same = after.generation == rendition.generation
            if rendition.id == renew and after.wants_result and is_same:
                return after.move(DropState.SUBMITTED, generation=after.generation + 1)
            return after

        def change(drop: Drop) -> Drop:
            updated = [update(drop, one) for one in drop.renditions_of(job.fingerprint)]
            return drop.with_renditions(updated, self.clock())

        drop = amend_drop(self.ledger, drop_id, change)
        self._watch(drop, job)
        self.write_manifest(drop)
        return drop

    def _watch(self, drop: Drop, job: Job) -> None:
        if job.project_id is None:
            return
        for rendition in filter(drop.watches, drop.renditions_of(job.fingerprint)):
            name = self.execution_name(drop.id, rendition)
            state = self._first_state(drop, rendition, job, job.project_id)
            self.executions.start(name, state.to_json())

    def _first_state(
        self, drop: Drop, rendition: Rendition, job: Job, project_id: str
    ) -> ExecutionState:
        now, deadline = self.clock(), self.timing.deadline
        since = job.submitted_at or now
        first_look = since + timedelta(seconds=self.timing.first_check)
        seconds = int((first_look - now).total_seconds())
        has_verdict = job.state in VERDICTS
        shortest = SHORTEST_CALLBACK if self.timing.webhooks else 1
        return ExecutionState(
            drop_id=drop.id,
            rendition_id=rendition.id,
            fingerprint=rendition.fingerprint,
            generation=rendition.generation,
            key=drop.source.key,
            project_id=project_id,
            status=ProjectStatus.QUEUED,
            started_at=int(since.timestamp()),
            wait_seconds=1 if has_verdict else min(max(shortest, seconds), deadline),
            deadline=int(now.timestamp()) + deadline,
            webhooks=self.timing.webhooks,
        )


def rendition_after(rendition: Rendition, job: Job, news: News) -> Rendition:
    """Return a rendition updated to the state of its job."""
    if _comes_back(rendition, job):
        rendition = rendition.want_again()
    if not rendition.wants_result or job.attempt < rendition.attempt:
        return rendition
    is_fresh = rendition.state in {DropState.WAITING, DropState.UNKNOWN}
    if job.has_project:
        return _take_project(rendition, job, news, is_fresh=is_fresh)
    if job.state is JobState.ABANDONED:
        return rendition.move(DropState.FAILED, attempt=job.attempt, reason=_explain_given_up())
    if job.state is JobState.UNKNOWN:
        return rendition.move(DropState.UNKNOWN, attempt=job.attempt, reason=_explain_unknown(job))
    match news:
        case Refused(reason) if job.state is JobState.READY:  # else it is tried again
            # The project of one that is not fresh has no result.
            return rendition.move(
                DropState.REJECTED if is_fresh else DropState.FAILED,
                attempt=job.attempt,
                reason=reason,
            )
        case Waiting(wait, until, cause) if is_fresh:
            return rendition.move(DropState.WAITING, wait=wait, wait_until=until, reason=cause)
    return rendition


def _note_what_is_unknown(rendition: Rendition, job: Job) -> Rendition:
    """Show that an attempt may have been charged, even if the drop now wants something else."""
    reason = _explain_unknown(job) if job.state is JobState.UNKNOWN else None
    return rendition.move(DropState.SUPERSEDED, reason=reason)


def is_followed(drop: Drop, job: Job) -> bool:
    """Whether a drop must be updated: it wants the result, or will once there is a project."""
    renditions = drop.renditions_of(job.fingerprint)
    return any(one.wants_result or _comes_back(one, job) for one in renditions)


def _comes_back(rendition: Rendition, job: Job) -> bool:
    """Whether it ended without a project or at another, and the same attempt's job has one now.

    An answer came late, or one was adopted: in place of what was given up, refused or failed.
    """
    if not job.has_project or job.state is JobState.ABANDONED:
        return False
    is_replaced = rendition.attempt == job.attempt and rendition.project_id != job.project_id
    return is_replaced and rendition.state in _ENDED


def _take_project(rendition: Rendition, job: Job, news: News, *, is_fresh: bool) -> Rendition:
    if is_fresh or rendition.project_id != job.project_id:
        # An execution's report about an earlier project must not count for this one.
        generation = rendition.generation if is_fresh else rendition.generation + 1
        return rendition.move(
            DropState.SUBMITTED,
            attempt=job.attempt,
            project_id=job.project_id,
            credits_charged=job.credits_charged,
            generation=generation,
        )
    if job.state is JobState.ABANDONED:
        return rendition.move(DropState.TIMED_OUT, reason=_explain_abandoned(job))
    if isinstance(news, Undelivered) and rendition.state in AT_VENDOR_STATES:
        return rendition.move(DropState.TIMED_OUT, reason=_explain_undelivered(job))
    return rendition


def _end_without_result(rendition: Rendition, job: Job) -> Rendition:
    if not rendition.wants_result or rendition.project_id != job.project_id:
        return rendition
    end = DropState.CANCELED if job.state is JobState.CANCELED else DropState.FAILED
    return rendition.move(
        end, reason=explain_verdict(job, end), credits_charged=job.credits_charged
    )


def explain_verdict(job: Job, end: DropState) -> Reason:
    """Explain why a job that was canceled, or ended in an error, has no result; and what to do."""
    cost = job.credits_charged
    if end is DropState.CANCELED:
        code, message = "ProjectCanceled", f"Project {job.project_id} was canceled at the vendor"
        fix = (
            "Set another `revision` in the spec to pay for a new attempt. `dropscale retry KEY` "
            "checks again, free."
        )
    else:
        code, message = "ProjectError", f"Project {job.project_id} ended in an error"
        fix = (
            "Nothing is charged. Drop the image again (or `dropscale retry KEY`) to try again; "
            "if it fails again, export the image again and drop that."
        )
        if cost:
            fix = (
                f"The vendor has not returned its {cost} credits. This is checked for "
                "seven days, free, and by `dropscale retry KEY`. When they are returned, drop the "
                "image again. Another `revision` in the spec pays for a new attempt at once."
            )
        elif job.may_have_cost:
            fix = (
                "Another attempt may have been charged, so it is not paid for again automatically. "
                "Another `revision` in the spec pays for a new attempt."
            )
    # They are looked at before anybody pays again.
    for orphan in () if job.is_refunded else job.orphans:
        fix += (
            f" Project {orphan} of an earlier attempt may have the result: "
            f"`dropscale resolve KEY --adopt {orphan}` adopts it, free."
        )
    return Reason(code=code, message=message, fix=fix)


def _explain_undelivered(job: Job) -> Reason:
    return Reason(
        code="Undelivered",
        message=f"Project {job.project_id} could not be delivered in seven days",
        fix="The paid result stays at the vendor. `dropscale retry KEY` collects it, free.",
    )


def _explain_unknown(job: Job) -> Reason:
    return Reason(
        code="CreateOutcomeUnknown",
        message=(
            "The vendor's answer to the paid create was lost, or could not be read, so the job "
            "may have been charged. It is never repeated automatically"
        ),
        fix=(
            f'Look for "{job.project_name}" in your Magic Hour library. If it is there, download '
            "it there, or run `dropscale resolve KEY --adopt ID`. If not, nothing was charged: set "
            "another `revision` in the spec, or run `dropscale resolve KEY --pay-again`."
        ),
    )


def _explain_given_up() -> Reason:
    return Reason(
        code=_GIVEN_UP,
        message="The attempt whose answer was lost was given up",
        fix=(
            "Set another `revision` in the spec to pay for a new attempt. If its project turns up "
            "later: `dropscale resolve KEY --adopt ID`, free."
        ),
    )


def _explain_abandoned(job: Job) -> Reason:
    return Reason(
        code=_GIVEN_UP,
        message=(
            f"The vendor had no project {job.project_id} for a day or more, or no verdict on it in "
            "seven days"
        ),
        fix=(
            "It is checked once a day for 30 days, and delivered when complete. "
            "`dropscale retry KEY` checks at any time, free. Another `revision` in the spec "
            "pays for a new attempt."
        ),
    )
