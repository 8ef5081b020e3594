"""Restart: resumes a stack that stopped as a whole, such as one on a single machine."""

from collections.abc import Iterator
from dataclasses import dataclass

from dropscale.ledger.jobs import Job
from dropscale.ledger.states import JobState
from dropscale.ledger.store import END_OF_TIME, Agenda, Ledger, amend_job
from dropscale.pipeline.parts.follow import FollowJob
from dropscale.pipeline.parts.ports import Clock

_MOST = 10_000


@dataclass(frozen=True)
class Restart:
    """Resumes what the stop interrupted. Call it before anything else of the stack runs.

    On AWS, an attempt becomes unknown only when its lease ends, because its function may still be
    running. Here every function has ended with the stack, and so has every lease.
    """

    ledger: Ledger
    follow: FollowJob
    clock: Clock

    def __call__(self) -> None:
        """Mark interrupted attempts as unknown; have the sweeper look at all other jobs at once."""
        for job in self._listed_jobs(Agenda.SUBMITTING_JOBS):
            unknown = amend_job(
                self.ledger,
                job.fingerprint,
                lambda job: job.record_unknown(self.clock()),
                only=JobState.SUBMITTING,
            )
            self.follow.update_drops(unknown)
        for agenda in (Agenda.SUBMITTED_JOBS, Agenda.ENDED_JOBS, Agenda.UNKNOWN_JOBS):
            for job in self._listed_jobs(agenda):
                amend_job(self.ledger, job.fingerprint, lambda job: job.look_again(self.clock()))

    def _listed_jobs(self, agenda: Agenda) -> Iterator[Job]:
        for fingerprint in self.ledger.list_due(agenda, END_OF_TIME, _MOST):
            job = self.ledger.job(fingerprint)
            if job is not None:
                yield job
