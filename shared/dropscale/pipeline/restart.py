"""Restart: a stack that was stopped whole, such as one on a single machine, comes back."""

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
    """Takes up what the stop cut off. To be called before anything else of the stack runs.

    Elsewhere an attempt's lease must end before its outcome is called unknown, because its function
    may still be at it. Here every function has ended with the stack, so every lease has, too.
    """

    ledger: Ledger
    follow: FollowJob
    clock: Clock

    def __call__(self) -> None:
        """Call cut off attempts unknown, and have the sweeper look at all other jobs at once."""
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
