"""Restart: a stack that was stopped whole, such as one on a single machine, comes back."""

from collections.abc import Iterator
from dataclasses import dataclass

from dropscale.ledger.records import Job
from dropscale.ledger.states import JobState
from dropscale.ledger.store import Agenda, Ledger, amend_job
from dropscale.pipeline.follow import FollowJob
from dropscale.pipeline.ports import Clock
from dropscale.pipeline.start import END_OF_TIME

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
        for job in self._listed(Agenda.SUBMITTING_JOBS):
            unknown = amend_job(
                self.ledger,
                job.fingerprint,
                lambda job: job.unknown(self.clock()),
                only=JobState.SUBMITTING,
            )
            self.follow.all(unknown)
        for agenda in (Agenda.SUBMITTED_JOBS, Agenda.ENDED_JOBS):
            for job in self._listed(agenda):
                amend_job(self.ledger, job.fingerprint, lambda job: job.look_again(self.clock()))

    def _listed(self, agenda: Agenda) -> Iterator[Job]:
        for fingerprint in self.ledger.due(agenda, END_OF_TIME, _MOST):
            job = self.ledger.job(fingerprint)
            if job is not None:
                yield job
