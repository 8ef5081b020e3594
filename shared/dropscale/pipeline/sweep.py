"""Sweep: completes what the other functions left unfinished. Each run does limited work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from dropscale.errors import DropscaleError
from dropscale.ledger.batches import Batch
from dropscale.ledger.drops import Drop, Rendition, Source
from dropscale.ledger.jobs import Job
from dropscale.ledger.states import ASKED_AGAIN, VERDICTS, JobState, WaitReason
from dropscale.ledger.store import (
    END_OF_TIME,
    MOST_DROPS,
    Agenda,
    Ledger,
    LedgerConflict,
    SaveJob,
    amend_drop,
    amend_job,
)
from dropscale.magichour.errors import NotFound
from dropscale.pipeline.parts.decline import ACCESS_PAUSE
from dropscale.pipeline.parts.follow import FollowJob, Undelivered, is_followed
from dropscale.pipeline.parts.gate import GateKeeper
from dropscale.pipeline.parts.look import PASSING, LookAtProject
from dropscale.pipeline.parts.manifest_writer import WriteManifest
from dropscale.pipeline.parts.measurements import Measurement
from dropscale.pipeline.parts.ownership import Ownership
from dropscale.pipeline.parts.poll_schedule import NEXT_DROPS, REVIEW, pause_at_age
from dropscale.pipeline.parts.ports import (
    Clock,
    DropQueue,
    ExecutionStatus,
    InputBucket,
    RemainingTime,
)
from dropscale.pipeline.parts.settle_batches import SettleBatch
from dropscale.pipeline.parts.start import StartJob, StartOutcome
from dropscale.upscaler import FINAL_STATUSES

_BATCH = 50
_COUNTED = 1000
"""The most waiting, or unknown, jobs that are counted."""
_SPARE_SECONDS = 60.0
_REQUEUE_PAUSE = timedelta(minutes=15)
_MANIFEST_GRACE = timedelta(minutes=1)
_PATIENCE = timedelta(days=7)
_ABANDONED_LOOK = timedelta(days=1)
_LAST_LOOK = timedelta(days=30)
"""How long an abandoned job's project is looked at, once a day."""

_Record = TypeVar("_Record", Job, Drop, Batch)


@dataclass(frozen=True)
class Sweep:
    """Runs every minute. Each part takes the records longest due and sets their next due time."""

    ledger: Ledger
    bucket: InputBucket
    look: LookAtProject
    queue: DropQueue
    start: StartJob
    follow: FollowJob
    gate: GateKeeper
    write_manifest: WriteManifest
    settle_batch: SettleBatch
    ask_for_account: Callable[[], None]
    reconcile: Callable[[RemainingTime], int]
    ownership: Ownership
    clock: Clock

    def __call__(self, remaining: RemainingTime) -> Counter[str]:
        """Do what is due; return how many records were processed, by kind.

        Raises:
            MayNotPay: nothing was done: another stack owns the ledger, or it is not rebuilt.
            ExceptionGroup: errors of single records; all others were processed.
        """
        self.ownership.require()
        run = _Run(remaining)
        with run.collecting_problems():
            self.ask_for_account()
        run.each("expired", self._due_jobs(Agenda.SUBMITTING_JOBS), self._expire)
        run.each("settled", self._due_jobs(Agenda.HINTED_JOBS), self._settle_by_projects)
        with run.collecting_problems():
            self._start_ready_jobs(run)
        for agenda in (Agenda.ENDED_JOBS, Agenda.UNKNOWN_JOBS, Agenda.SUBMITTED_JOBS):
            run.each("looked_at", self._due_jobs(agenda), self._look_at)
        run.each("looked_at_again", self._denied_drops(), self._ask_for_access)
        run.each("projected", self._stale_drops(), self._write_manifest)
        run.each("batches", self._due_batches(), self.settle_batch)
        with run.collecting_problems():
            run.done["reconciled"] += self.reconcile(remaining)
        if run.problems:
            raise ExceptionGroup("the sweep could not process everything", run.problems)
        return run.done

    def backlog(self) -> Iterator[Measurement]:
        """Yield metrics of the whole stack: what waits now, and what is spent."""
        now, gate = self.clock(), self.ledger.gate()
        yield Measurement("gate_closed", "Count", gate is not None and not gate.is_open)
        account = self.ledger.account()
        if account and account.credits is not None:
            yield Measurement("credits_left", "Count", account.credits)
        unknown = self.ledger.list_due(Agenda.UNKNOWN_JOBS, END_OF_TIME, _COUNTED)
        yield Measurement("jobs_unknown", "Count", len(unknown))
        waiting = self.ledger.list_due(Agenda.READY_JOBS, now + _PATIENCE, _COUNTED)
        yield Measurement("jobs_waiting", "Count", len(waiting))
        oldest = self.ledger.job(waiting[0]) if waiting else None
        age = now - oldest.created_at if oldest else timedelta()
        yield Measurement("oldest_job_waiting", "Seconds", age.total_seconds())
        for window in self.start.policy.budget.windows(now):
            name = f"credits_this_{window.partition('#')[0]}"
            yield Measurement(name, "Count", self.ledger.credits_spent(window))

    def _expire(self, job: Job) -> bool:
        """Mark an attempt whose function has ended as unknown: it may have been paid.

        If events have named its project, it is adopted.
        """
        now = self.clock()
        self.start.adopt.noted(job)

        def expire(job: Job) -> Job:
            is_dead = job.due is not None and job.due < now
            return job.record_unknown(now + REVIEW) if is_dead else job

        after = amend_job(self.ledger, job.fingerprint, expire, only=JobState.SUBMITTING)
        self.follow.update_drops(after)
        return after.state is not JobState.SUBMITTING

    def _start_ready_jobs(self, run: _Run) -> None:
        """Start jobs until one must wait; if the gate's time is up, one goes first as a probe."""
        gate = self.ledger.gate()
        probe = self.gate.due_probe()
        if gate is not None and not gate.is_open and probe is None:
            return
        jobs = list(self._due_jobs(Agenda.READY_JOBS))
        if probe is not None and probe.reason is WaitReason.UNREADABLE and not jobs:
            self.gate.open()  # The vendor answers again, and there is no job to probe it with.
        for job in jobs:
            with run.collecting_problems():
                if not job.can_be_created(self.clock()):
                    self._requeue(job)
                    continue
                outcome = self.start(job.fingerprint, run.remaining, probe)
                run.done["started"] += outcome is StartOutcome.STARTED
                if outcome is StartOutcome.LEFT:
                    continue
                if outcome is StartOutcome.WAITING:
                    return
                probe = None  # The next one comes through only if this one has opened the gate.

    def _requeue(self, job: Job) -> None:
        """Have the image read again, because the vendor does not have its bytes."""
        drops = self._wanting(job, self._next_drops(job))
        if not drops:
            self.start.pass_over(job)
            return
        for drop in drops:
            # Submit records if the image is gone.
            self.queue.send(drop.source.bucket, drop.source.key)
            if self._is_there(drop.source):
                break
        with suppress(LedgerConflict):
            self.ledger.write(SaveJob(job.look_again(self.clock() + _REQUEUE_PAUSE)))

    def _is_there(self, source: Source) -> bool:
        """Whether the drop's object still exists; False also if it cannot be read."""
        try:
            return self.bucket.head(source.bucket, source.key) is not None
        except DropscaleError:
            return False

    def _ask_for_access(self, drop: Drop) -> bool:
        """Have submit look again at an object that it could not read, or might not pay for."""
        now, source = self.clock(), drop.source

        def wait_on(drop: Drop) -> Drop:
            is_waiting = drop.wait in ASKED_AGAIN
            return drop.look_again(now + ACCESS_PAUSE, now) if is_waiting else drop

        amend_drop(self.ledger, drop.id, wait_on)
        self.queue.send(source.bucket, source.key)
        return True

    def _settle_by_projects(self, job: Job) -> bool:
        """Adopt a project of a job's own that events named, or that is complete after all."""
        return self.start.adopt(job).project_id != job.project_id

    def _look_at(self, job: Job) -> bool:
        """Make sure that a job's (next) drops are watched or know how it ended."""
        if self._settle_by_projects(job):
            return True
        job = self._free_slot_of_overdue(self.ledger.job(job.fingerprint) or job)
        page, began_at = self._next_drops(job), job.cursor
        drops = [drop for drop in map(self.ledger.drop, page) if drop and is_followed(drop, job)]
        if job.state in {JobState.UNKNOWN, JobState.ABANDONED} and not job.has_project:
            for drop_id in page:
                self.follow.update_drop(drop_id, job)
            drops = []
        watched = [
            (drop, rendition)
            for drop in drops
            for rendition in filter(drop.watches, drop.renditions_of(job.fingerprint))
        ]
        statuses = [(*one, self._execution_status(*one)) for one in watched]
        unwatched = {drop.id for drop in drops} - {drop.id for drop, _ in watched}
        unwatched |= {drop.id for drop, _, status in statuses if status is ExecutionStatus.NONE}
        updated = [self.follow.update_drop(drop_id, job) for drop_id in sorted(unwatched)]
        ended = [
            (drop, rendition)
            for drop, rendition, status in statuses
            if status is ExecutionStatus.ENDED
        ]
        open_drops = [drop for drop, _ in watched]
        open_drops += [drop for drop in updated if self._is_watched(drop, job)]
        if ended or not watched:
            try:
                job = self._look_at_project(job)
            except PASSING:
                self._plan_next_look(job, page, open_drops)
                raise
        if job.state in VERDICTS:
            for drop, rendition in ended:
                self.follow.renew_execution(drop.id, rendition.id, job)
            for drop_id in sorted({drop.id for drop in drops} - {drop.id for drop, _ in watched}):
                self.follow.update_drop(drop_id, job)
        if job.cursor != began_at:  # The earlier drops must learn its new state, too.
            self._look_again(job, self.clock() + NEXT_DROPS)
        else:
            self._plan_next_look(job, page, open_drops)
        return True

    def _free_slot_of_overdue(self, job: Job) -> Job:
        """Free the slot of a job whose deadline has passed, whatever its looks find."""
        deadline, project_id = self._deadline(job), job.project_id
        if deadline is None or project_id is None or deadline > self.clock():
            return job
        return amend_job(self.ledger, job.fingerprint, lambda job: job.record_overdue(project_id))

    def _deadline(self, job: Job) -> datetime | None:
        """Return when a job that holds a slot has to free it."""
        if not job.holds_slot or job.submitted_at is None:
            return None
        return job.submitted_at + timedelta(seconds=self.follow.timing.deadline)

    def _look_at_project(self, job: Job) -> Job:
        """Look at a job's project, since no execution does; return the updated job."""
        project_id = job.project_id
        if not job.may_change or project_id is None:
            return job
        now = self.clock()
        try:
            project = self.look(job.fingerprint, project_id)
        except NotFound:
            looked_at = self.ledger.job(job.fingerprint) or job
            return self._abandon(looked_at) if looked_at.is_gone(now) else looked_at
        if project.status not in FINAL_STATUSES:
            return self.ledger.job(job.fingerprint) or job
        verdict, due = JobState(project.status), self.clock() + REVIEW
        return amend_job(
            self.ledger,
            job.fingerprint,
            lambda job: job.settle(project_id, verdict, project.final_price, due),
        )

    def _plan_next_look(self, job: Job, page: Sequence[str], watched: Sequence[Drop]) -> None:
        """Continue with its next drops, or plan the next round; `watched` are of this page."""
        now = self.clock()
        age = now - (job.watched_since or job.submitted_at or now)
        if age > _PATIENCE and job.state not in {JobState.SUBMITTED, JobState.ABANDONED}:
            for drop in watched:
                self.follow.update_drop(drop.id, job, Undelivered())
        if len(page) == MOST_DROPS:
            after = job.pass_on(page[-1], now + NEXT_DROPS, is_wanted=bool(watched))
            with suppress(LedgerConflict):
                self.ledger.write(SaveJob(after))
            return
        has_open_drops = bool(watched) or job.is_still_wanted
        next_look = now + pause_at_age(age)
        deadline = self._deadline(job)
        if job.state is JobState.ABANDONED and job.abandoned_at is not None:
            is_past = now - job.abandoned_at > _LAST_LOOK
            self._look_again(job, None if is_past else now + _ABANDONED_LOOK)
        elif job.state is JobState.SUBMITTED and age > _PATIENCE:
            self._abandon(job)
        elif job.state is JobState.SUBMITTED:
            self._look_again(job, next_look if deadline is None else min(next_look, deadline))
        elif (has_open_drops or job.may_change) and age <= _PATIENCE:
            self._look_again(job, next_look)
        else:
            self._look_again(job, None)

    def _abandon(self, job: Job) -> Job:
        project_id, now = job.project_id, self.clock()
        if project_id is None:
            return job
        after = amend_job(
            self.ledger,
            job.fingerprint,
            lambda job: job.abandon(project_id, now, now + _ABANDONED_LOOK),
        )
        if after.state is JobState.ABANDONED:
            self.follow.update_drops(after)
        return after

    def _look_again(self, job: Job, due: datetime | None) -> None:
        """Plan the next round, unless the job has changed meanwhile: then its due time stays."""
        if due is None and job.hints:
            now = self.clock()
            due = now + pause_at_age(job.hint_age(now))
        with suppress(LedgerConflict):
            self.ledger.write(SaveJob(job.end_round(due)))

    def _write_manifest(self, drop: Drop) -> bool:
        self.write_manifest(drop)
        return True

    def _stale_drops(self) -> Iterable[Drop]:
        stale = self.ledger.list_due(Agenda.DROPS, self.clock() - _MANIFEST_GRACE, _BATCH)
        return (drop for drop_id in stale if (drop := self.ledger.drop(drop_id)) and drop.due)

    def _denied_drops(self) -> Iterable[Drop]:
        denied = self.ledger.list_due(Agenda.DENIED_DROPS, self.clock(), _BATCH)
        return (drop for drop_id in denied if (drop := self.ledger.drop(drop_id)))

    def _due_batches(self) -> Iterable[Batch]:
        due = self.ledger.list_due(Agenda.BATCHES, self.clock(), _BATCH)
        return (batch for batch_id in due if (batch := self.ledger.batch(batch_id)))

    def _due_jobs(self, agenda: Agenda) -> Iterable[Job]:
        for fingerprint in self.ledger.list_due(agenda, self.clock(), _BATCH):
            job = self.ledger.job(fingerprint)
            if job is not None:
                yield job

    def _next_drops(self, job: Job) -> list[str]:
        return self.ledger.list_attached(job.fingerprint, job.cursor, MOST_DROPS)

    def _is_watched(self, drop: Drop, job: Job) -> bool:
        return any(map(drop.watches, drop.renditions_of(job.fingerprint)))

    def _wanting(self, job: Job, page: Sequence[str]) -> list[Drop]:
        drops = map(self.ledger.drop, page)
        return [drop for drop in drops if drop and drop.wants(job.fingerprint)]

    def _execution_status(self, drop: Drop, rendition: Rendition) -> ExecutionStatus:
        name = self.follow.execution_name(drop.id, rendition)
        return self.follow.executions.status(name)


class _Run:
    """What one run has done, and the errors of single records."""

    def __init__(self, remaining: RemainingTime) -> None:
        self.remaining = remaining
        self.done: Counter[str] = Counter()
        self.problems: list[Exception] = []

    def each(self, name: str, records: Iterable[_Record], act: Callable[[_Record], bool]) -> None:
        """Act on each record for at most half of the remaining time; the rest is for other parts.

        Counts the records for which `act` returns True.
        """
        spare = max(_SPARE_SECONDS, (self.remaining() + _SPARE_SECONDS) / 2)
        for record in records:
            if self.remaining() < spare:
                return
            with self.collecting_problems():
                self.done[name] += act(record)

    @contextmanager
    def collecting_problems(self) -> Iterator[None]:
        """Collect errors, so that one record that fails does not stop the others."""
        try:
            yield
        except Exception as error:
            self.problems.append(error)
