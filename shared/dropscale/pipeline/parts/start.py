"""Starts jobs: the only place that pays, and the rules by which it pays only once.

The rules (the module's order follows them): before anything is sent, a job is claimed in one
transaction that only one caller can win, with a slot, through the open gate; an answer that means
that certainly nothing was created makes the job ready again; any other outcome is never repeated
automatically.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from dropscale.ledger.budget import Budget, window_end
from dropscale.ledger.drops import Reason
from dropscale.ledger.gate import Gate
from dropscale.ledger.jobs import Job
from dropscale.ledger.rows import IllegalTransition, NewerSchema
from dropscale.ledger.states import JobState, WaitReason
from dropscale.ledger.store import (
    END_OF_TIME,
    MOST_DROPS,
    Agenda,
    BudgetSpent,
    GateClosed,
    Ledger,
    LedgerConflict,
    Limits,
    NotInLedger,
    NotOwner,
    ProjectTaken,
    RequireOpenGate,
    SaveJob,
    SaveSingleton,
    SlotsTaken,
    amend_job,
    job_changes,
)
from dropscale.magichour import errors
from dropscale.magichour.models import CreatedProject
from dropscale.pipeline.parts.adopt import AdoptProject
from dropscale.pipeline.parts.follow import EarlierProjects, FollowJob, Refused
from dropscale.pipeline.parts.gate import GateKeeper, Waiting
from dropscale.pipeline.parts.ownership import Ownership
from dropscale.pipeline.parts.poll_schedule import REVIEW
from dropscale.pipeline.parts.ports import Clock, RemainingTime, Upscaler

ACCOUNT_ERRORS = (errors.Unauthorized, errors.OutOfCredits, errors.Misconfigured)
REJECTING_ERRORS = (errors.InvalidRequest, errors.PlanRefused, errors.NotFound)

SPARE_SECONDS = 10.0
_LAST_SECONDS = 3.0
"""Reserved to report a paid project whose id could not be written."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_ATTEMPT_LEASE = timedelta(minutes=16)
"""Longer than Lambda's longest time-out: after it, no function can still run this attempt."""
_COUNTED = 1000
"""The most waiting jobs that are counted."""
_UNAVAILABLE_SECONDS = 30.0
_LONGEST_ASKED_SECONDS = 3600.0
_CANDIDATES = 6
_AT_ONCE = 2


class ProjectUnrecorded(Exception):
    """A paid project's id could not be written to the ledger; the message has the id."""


class StartOutcome(StrEnum):
    """The outcome of an attempt to start a job."""

    STARTED = "started"
    WAITING = "waiting"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    LEFT = "left"
    """Another process has it, no drop wants it, or it is not ready."""


@dataclass(frozen=True)
class StartPolicy:
    """The limits that the start of a job must keep: slots, seconds for one create call, credits.

    `slots`: None: as many as the account's tier runs.
    """

    slots: int | None
    create_seconds: float
    budget: Budget


@dataclass(frozen=True)
class StartJob:
    """Starts one job, if slot, budget and gate allow and no other process starts it."""

    ledger: Ledger
    upscaler: Upscaler
    follow: FollowJob
    gate: GateKeeper
    ownership: Ownership
    adopt: AdoptProject
    clock: Clock
    sleep: Callable[[float], None]
    new_token: Callable[[], str]
    policy: StartPolicy

    def __call__(  # noqa: PLR0911 # one for each way in which it is not paid
        self,
        fingerprint: str,
        remaining: RemainingTime,
        probe: Gate | None = None,
        drop_id: str | None = None,
    ) -> StartOutcome:
        """Start a ready job.

        Args:
            fingerprint: that of the job.
            remaining: the function's remaining time.
            probe: the gate's step that lets this job through while the gate is closed.
            drop_id: the drop that it is started for; None: any of its drops.
        """
        job = self.ledger.job(fingerprint)
        if job is None or job.state is not JobState.READY:
            return StartOutcome.LEFT
        if job.upload is None or not job.upload.is_fresh(self.clock()):
            self._have_image_sent(job)
            return StartOutcome.LEFT
        path = job.upload.path
        if not self._is_wanted(job):
            self.pass_over(job)
            return StartOutcome.LEFT
        job = self.adopt(job)
        if job.state is not JobState.READY or job.hints:
            return StartOutcome.LEFT
        if remaining() < self._seconds_to_pay:
            return StartOutcome.WAITING
        most, places = self._places()
        limits = Limits(places, self.policy.budget.windows(self.clock()))
        token, lease_end = self.new_token(), self.clock() + _ATTEMPT_LEASE
        claimed = job.claim(token, lease_end, limits.credits)
        passage = SaveSingleton(probe) if probe else RequireOpenGate()
        try:
            self.ledger.write(self.ownership.condition, passage, *job_changes(job, claimed, limits))
        except NotOwner:
            return StartOutcome.WAITING  # The ledger's owner starts it.
        except (GateClosed, SlotsTaken, BudgetSpent) as error:
            return self._hold_back(job, self._explain_wait(error), drop_id)
        except LedgerConflict:
            # If an answer was lost, the repeated write conflicts with this claim itself.
            if self.ledger.attempt(token) is None:
                return StartOutcome.LEFT
        # Function and lease must both outlast the create: the claim may have taken long.
        lease = (lease_end - self.clock()).total_seconds()
        if min(remaining(), lease) < self._seconds_to_pay:
            self._end_attempt(claimed, lambda job: job.return_to_ready(self.clock()))
            return StartOutcome.WAITING
        outcome = self._pay(claimed, path, probe, remaining, drop_id)
        if outcome is StartOutcome.STARTED and places < most:
            self.gate.widen(most)
        return outcome

    def start_next(self, remaining: RemainingTime) -> int:
        """Start the job that has waited longest, and one more; return how many were started.

        Called when a job has ended and its place at the vendor is free. There are more free places
        if creates were refused, or their answers lost.
        """
        started = 0
        probe = self.gate.due_probe(place_is_free=True)
        for fingerprint in self.ledger.list_due(Agenda.READY_JOBS, self.clock(), _CANDIDATES):
            if self.ledger.slots_taken() >= self._places()[1]:
                break
            outcome = self(fingerprint, remaining, probe)
            started += outcome is StartOutcome.STARTED
            if started == _AT_ONCE or outcome is StartOutcome.WAITING:
                break
            if outcome is not StartOutcome.LEFT:
                probe = None
        return started

    def _places(self) -> tuple[int, int]:
        """Return how many of our jobs may be at the vendor, and how many judging by refusals.

        They are read for each claim. A lower tier ends no job; none is added until enough have
        ended, because the claim's transaction compares the limit with the current number.
        """
        most, gate = self.policy.slots, self.ledger.gate()
        if most is None:
            account = self.ledger.account()
            most = account.places if account else 1
        limit = gate.limit(self.clock()) if gate else None
        return most, most if limit is None else min(most, limit)

    def pass_over(self, job: Job) -> None:
        """Continue with the next of a job's drops, or stop looking at it if no drop wants it.

        Does nothing if a drop was added meanwhile, because that raises `seq`.
        """
        page = self.ledger.list_attached(job.fingerprint, job.cursor, MOST_DROPS)
        if len(page) == MOST_DROPS:
            after = job.pass_on(page[-1], self.clock(), is_wanted=False)
        else:
            after = job.end_round(job.due if job.is_still_wanted else None)
        with suppress(LedgerConflict):
            self.ledger.write(SaveJob(after))

    def _have_image_sent(self, job: Job) -> None:
        """Have the sweeper request the image, so that its bytes are uploaded (again)."""
        if job.due is None:
            now = self.clock()
            amend_job(self.ledger, job.fingerprint, lambda job: job.look_again(now))

    def _is_wanted(self, job: Job) -> bool:
        """Whether one of its drops on the current round's page wants it."""
        page = self.ledger.list_attached(job.fingerprint, job.cursor, MOST_DROPS)
        drops = map(self.ledger.drop, page)
        return any(drop and drop.wants(job.fingerprint) for drop in drops)

    def _explain_wait(self, error: GateClosed | SlotsTaken | BudgetSpent) -> Waiting:
        if isinstance(error, BudgetSpent):
            until = window_end(error.window)
            return Waiting(WaitReason.BUDGET, until, self._explain_budget(error.window))
        gate = self.ledger.gate() if isinstance(error, GateClosed) else None
        return Waiting(gate.reason, gate.until, gate.cause) if gate else Waiting(WaitReason.SLOT)

    def _explain_budget(self, window: str) -> Reason:
        budget = self.policy.budget
        queued = len(self.ledger.list_due(Agenda.READY_JOBS, END_OF_TIME, _COUNTED))
        jobs = f"{queued:,} or more" if queued == _COUNTED else f"{queued:,}"
        parameter = budget.parameter_of(window)
        return Reason(
            code="BudgetSpent",
            message=(
                f"{parameter} is {budget.limit_of(window):,} credits, of which "
                f"{self.ledger.credits_spent(window):,} are spent; waiting upscales: {jobs}"
            ),
            fix=(
                "It continues automatically when the next "
                f"{window.partition('#')[0]} (UTC) begins. To raise the limit: "
                f"`sam deploy --parameter-overrides {parameter}=CREDITS` (0: no limit)."
            ),
        )

    @property
    def _seconds_to_pay(self) -> float:
        return self.policy.create_seconds + SPARE_SECONDS

    def _pay(
        self,
        job: Job,
        path: str,
        probe: Gate | None,
        remaining: RemainingTime,
        drop_id: str | None,
    ) -> StartOutcome:
        parameters = job.parameters.model_dump(mode="json", exclude={"revision"})
        try:
            created = self.upscaler.create(path, parameters, job.project_name)
        except ACCOUNT_ERRORS as error:
            return self._close_gate(job, WaitReason.ACCOUNT, error, drop_id)
        except errors.Throttled as error:
            refused = self._return_job(job)
            return self._hold_back(refused, self.gate.hold_back(error, probe), drop_id)
        except (errors.Unavailable, errors.Unreachable) as error:
            asked = min(error.retry_after or 0.0, _LONGEST_ASKED_SECONDS)
            pause = max(_UNAVAILABLE_SECONDS, asked)
            due = self.clock() + timedelta(seconds=pause)
            refused = self._end_attempt(job, lambda job: job.return_to_ready(due))
            self.gate.end_probe(probe, pause)
            return self._hold_back(refused, Waiting(WaitReason.THROTTLED, due), drop_id)
        except REJECTING_ERRORS as error:
            later = self.clock() + REVIEW
            refused = self._end_attempt(job, lambda job: job.return_to_ready(later))
            if probe:
                self.gate.open(probe)  # The vendor refuses this job, but it does take jobs.
            self.follow.update_drops(refused, Refused(refusal_of(error)), drop_id)
            return StartOutcome.REJECTED
        except errors.CreateOutcomeUnknown as error:
            unknown = self._end_as_unknown(job, remaining)
            if error.status is not None:
                # The next job would get the same answer.
                self.gate.close(WaitReason.UNREADABLE, error)
            else:
                self.gate.end_probe(probe, _UNAVAILABLE_SECONDS)
            return self._show_unknown(unknown, drop_id)
        try:
            submitted = self._record_project(job, created, remaining)
        except ProjectTaken:
            return self._show_unknown(self._end_as_unknown(job, remaining), drop_id)
        if probe:
            self.gate.open(probe)
        is_late = created.id in submitted.orphans
        news = EarlierProjects((created.id,)) if is_late else None
        self.follow.update_drops(submitted, news, first=drop_id)
        return StartOutcome.STARTED

    def _end_as_unknown(self, claimed: Job, remaining: RemainingTime) -> Job:
        """End an attempt with an unknown outcome: at its project, if events have named that.

        What they name later makes the job due.
        """
        if remaining() >= self._seconds_to_pay:
            with suppress(LedgerConflict):
                self.adopt.noted(claimed)
        later = self.clock() + REVIEW
        return self._end_attempt(claimed, lambda job: job.record_unknown(later))

    def _show_unknown(self, job: Job, drop_id: str | None) -> StartOutcome:
        self.follow.update_drops(job, first=drop_id)
        return StartOutcome.STARTED if job.has_project else StartOutcome.UNKNOWN

    def _close_gate(
        self, job: Job, reason: WaitReason, error: errors.MagicHourError, drop_id: str | None
    ) -> StartOutcome:
        refused = self._return_job(job)
        return self._hold_back(refused, self.gate.close(reason, error), drop_id)

    def _return_job(self, claimed: Job) -> Job:
        """Make a refused job ready again.

        This comes before the gate closes, so that a crash in between leaves no unknown outcome.
        """
        now = self.clock()
        return self._end_attempt(claimed, lambda job: job.return_to_ready(now))

    def _hold_back(self, job: Job, waiting: Waiting, drop_id: str | None) -> StartOutcome:
        """Show the wait in the drop that asks (the others already show it), or in all of them."""
        if drop_id is None:
            self.follow.update_drops(job, waiting)
        else:
            self.follow.update_drop(drop_id, job, waiting)
        return StartOutcome.WAITING

    def _end_attempt(self, claimed: Job, step: Callable[[Job], Job]) -> Job:
        def change(job: Job) -> Job:
            return step(job) if job.attempt_id == claimed.attempt_id else job

        return amend_job(self.ledger, claimed.fingerprint, change, only=JobState.SUBMITTING)

    def _record_project(
        self, claimed: Job, created: CreatedProject, remaining: RemainingTime
    ) -> Job:
        """Write the project's id before anything else; a late answer of the attempt counts, too.

        The write is retried until the function's time is nearly over.
        """
        now = self.clock()

        def change(job: Job) -> Job:
            if created.id == job.project_id or created.id in job.orphans:
                return job
            if job.attempt_id != claimed.attempt_id or job.project_id is not None:
                return job.with_orphan(created.id)
            return job.record_project(created.id, created.credits_charged, now, now + REVIEW)

        left, pause = remaining() - _LAST_SECONDS, _FIRST_PAUSE
        while True:
            try:
                return amend_job(self.ledger, claimed.fingerprint, change)
            except ProjectTaken:
                raise
            except Exception as error:
                left = min(left - pause, remaining() - _LAST_SECONDS - pause)
                if left < 0 or isinstance(error, IllegalTransition | NewerSchema | NotInLedger):
                    what = f"project {created.id} of job {claimed.fingerprint}"
                    raise ProjectUnrecorded(f"{what} is paid but not recorded") from error
            self.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)


def refusal_of(error: errors.MagicHourError) -> Reason:
    """Return why a drop is rejected after the vendor refused its request permanently."""
    return Reason(
        code=type(error).__name__,
        message=f"Magic Hour rejected the request: {error.message}",
        fix=error.advice,
    )
