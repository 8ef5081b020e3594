"""Sweep: settles whatever the fast path left behind. Bounded work in each run."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from dropscale.ledger.records import Drop, Job
from dropscale.ledger.states import VERDICTS, JobState
from dropscale.ledger.store import Agenda, Ledger, amend_job
from dropscale.pipeline.follow import FollowJob
from dropscale.pipeline.gate import GateKeeper
from dropscale.pipeline.ports import (
    Clock,
    DropQueue,
    ExecutionStatus,
    InputBucket,
    RemainingTime,
    Upscaler,
)
from dropscale.pipeline.projection import ProjectManifest
from dropscale.pipeline.start import REVIEW, StartJob, StartOutcome
from dropscale.upscaler import FINAL_STATUSES

_BATCH = 50
_SPARE_SECONDS = 60.0
_REQUEUE_PAUSE = timedelta(minutes=15)
_PROJECTION_GRACE = timedelta(minutes=1)
_LONGEST_LOOK = timedelta(hours=1)
_PATIENCE = timedelta(days=7)


@dataclass(frozen=True)
class Sweep:
    """Runs every minute. Each part takes what is longest due and makes it due later, or never."""

    ledger: Ledger
    bucket: InputBucket
    upscaler: Upscaler
    queue: DropQueue
    start: StartJob
    follow: FollowJob
    gate: GateKeeper
    project: ProjectManifest
    clock: Clock

    def __call__(self, remaining: RemainingTime) -> Counter[str]:
        """Do what is due; return how much of what was done."""
        done: Counter[str] = Counter()
        parts: tuple[tuple[str, Callable[[RemainingTime], int]], ...] = (
            ("expired", lambda _: self._expire_attempts()),
            ("started", self._start_ready_jobs),
            ("looked_at", self._look_at_jobs),
            ("projected", lambda _: self._project_stale_manifests()),
        )
        for name, part in parts:
            done[name] = part(remaining)
        return done

    def _expire_attempts(self) -> int:
        """An attempt that outlived its function may have been paid: nobody will ever know here."""
        now = self.clock()

        def expire(job: Job) -> Job:
            dead = job.state is JobState.SUBMITTING and job.due is not None and job.due < now
            return job.unknown(now + REVIEW) if dead else job

        expired = 0
        for job in self._due_jobs(Agenda.SUBMITTING_JOBS):
            after = amend_job(self.ledger, job.fingerprint, expire)
            self.follow.all(after)
            expired += after.state is JobState.UNKNOWN
        return expired

    def _start_ready_jobs(self, remaining: RemainingTime) -> int:
        gate = self.ledger.gate()
        closed = gate is not None and not gate.is_open
        probe = self.gate.due_probe()
        if closed and probe is None:
            return 0
        started = 0
        for job in self._due_jobs(Agenda.READY_JOBS):
            if job.upload is None or not job.upload.is_fresh(self.clock()):
                self._requeue(job)
                continue
            outcome = self.start(job.fingerprint, remaining, probe)
            started += outcome is StartOutcome.STARTED
            if outcome is StartOutcome.WAITING or (closed and outcome is not StartOutcome.STARTED):
                break
            probe = None
        return started

    def _requeue(self, job: Job) -> None:
        """Have the image read again: its bytes are not, or no longer, at the vendor."""
        for drop in self._open_drops(job):
            version = self.bucket.head(drop.source.bucket, drop.source.key)
            if version is not None:
                self.queue.send(drop.source.bucket, drop.source.key, version)
                break
        self._look_again(job, self.clock() + _REQUEUE_PAUSE)

    def _look_at_jobs(self, remaining: RemainingTime) -> int:
        looked = 0
        for agenda in (Agenda.ENDED_JOBS, Agenda.SUBMITTED_JOBS):
            for job in self._due_jobs(agenda):
                if remaining() < _SPARE_SECONDS:
                    return looked
                self._look_at(job)
                looked += 1
        return looked

    def _look_at(self, job: Job) -> None:
        """See that every drop of a job is watched, or knows how it ended."""
        drops = [
            drop for drop in self._open_drops(job) if drop.spec and drop.spec.wait_for_completion
        ]
        if job.state in {JobState.UNKNOWN, JobState.ABANDONED}:
            self.follow.all(job)
            drops = []
        statuses = [(drop, self._execution(drop, job)) for drop in drops]
        for drop, status in statuses:
            if status is ExecutionStatus.NONE:
                self.follow.one(drop.id, job)
        ended = [drop for drop, status in statuses if status is ExecutionStatus.ENDED]
        job = self._with_verdict(job) if ended or not drops else job
        if job.state in VERDICTS:
            for drop in ended:
                self.follow.renew(drop.id, job)
        self._plan_next_look(job, bool(drops))

    def _with_verdict(self, job: Job) -> Job:
        """Return the job as the vendor says it is, nobody else looking."""
        if job.state is not JobState.SUBMITTED or job.project_id is None:
            return job
        project = self.upscaler.project(job.project_id)
        if project.status not in FINAL_STATUSES:
            return job
        verdict, due = JobState(project.status), self.clock() + REVIEW

        def settle(job: Job) -> Job:
            if job.state is not JobState.SUBMITTED:
                return job
            return job.settled(verdict, project.credits_charged, due)

        return amend_job(self.ledger, job.fingerprint, settle)

    def _plan_next_look(self, job: Job, has_open_drops: bool) -> None:
        now = self.clock()
        age = now - (job.submitted_at or now)
        if job.state is not JobState.SUBMITTED and (not has_open_drops or age > _PATIENCE):
            self._look_again(job, None)
        elif age > _PATIENCE:
            self._abandon(job, now + REVIEW)
        else:
            self._look_again(job, now + min(max(age / 4, REVIEW), _LONGEST_LOOK))

    def _abandon(self, job: Job, due: datetime) -> None:
        def abandon(job: Job) -> Job:
            return job.abandoned(due) if job.state is JobState.SUBMITTED else job

        self.follow.all(amend_job(self.ledger, job.fingerprint, abandon))

    def _look_again(self, job: Job, due: datetime | None) -> None:
        amend_job(
            self.ledger,
            job.fingerprint,
            lambda now: now.look_again(due) if now.state is job.state else now,
        )

    def _project_stale_manifests(self) -> int:
        stale = self.ledger.due(Agenda.DROPS, self.clock() - _PROJECTION_GRACE, _BATCH)
        drops = [drop for drop_id in stale if (drop := self.ledger.drop(drop_id)) and drop.due]
        for drop in drops:
            self.project(drop)
        return len(drops)

    def _due_jobs(self, agenda: Agenda) -> Iterable[Job]:
        for fingerprint in self.ledger.due(agenda, self.clock(), _BATCH):
            job = self.ledger.job(fingerprint)
            if job is not None:
                yield job

    def _open_drops(self, job: Job) -> list[Drop]:
        drops = [self.ledger.drop(drop_id) for drop_id in self.ledger.attached(job.fingerprint)]
        return [drop for drop in drops if drop and drop.renditions[job.fingerprint].wants_result]

    def _execution(self, drop: Drop, job: Job) -> ExecutionStatus:
        rendition = drop.renditions[job.fingerprint]
        return self.follow.executions.status(self.follow.execution_name(drop.id, rendition))
