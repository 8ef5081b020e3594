"""Resolve: a person settles a paid create whose answer never came."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from dropscale.errors import DropscaleError
from dropscale.ledger.records import Drop, Job
from dropscale.ledger.states import JobState, WaitReason
from dropscale.ledger.store import Ledger, amend_job
from dropscale.magichour.models import Project
from dropscale.pipeline.follow import FollowJob, Verdict
from dropscale.pipeline.ports import Clock, RemainingTime, Upscaler
from dropscale.pipeline.start import REVIEW, StartJob


class NothingToResolve(DropscaleError):
    """No job of the drop has an unknown outcome."""


class Decision(StrEnum):
    """What a person can decide when there is no project to adopt."""

    PAY_AGAIN = "pay-again"
    ABANDON = "abandon"


@dataclass(frozen=True)
class Resolve:
    """Moves the unknown jobs of a drop on."""

    ledger: Ledger
    upscaler: Upscaler
    start: StartJob
    follow: FollowJob
    clock: Clock

    def adopt(self, drop: Drop, project_id: str) -> None:
        """Take a project that the person has found for the one whose answer was lost.

        Raises:
            NothingToResolve: as its name says.
            NotFound: the vendor has no such project.
        """
        (job, *others) = self._unknown_jobs(drop)
        if others:
            raise NothingToResolve(
                f"{drop.source.key} has {len(others) + 1} jobs of unknown outcome",
                fix="Adopting needs exactly one.",
            )
        project = self.upscaler.project(project_id)
        self.follow.all(self._amended(job, lambda job: self._adopted(job, project)))

    def decide(self, drop: Drop, decision: Decision, remaining: RemainingTime) -> None:
        """Pay once more, or give up.

        Raises:
            NothingToResolve: as its name says.
        """
        now = self.clock()
        for job in self._unknown_jobs(drop):
            if decision is Decision.ABANDON:
                self.follow.all(self._amended(job, lambda job: job.abandoned(now + REVIEW)))
                continue
            ready = self._amended(job, lambda job: job.paid_again(now))
            self.follow.all(ready, Verdict(wait=WaitReason.SLOT))
            self.start(job.fingerprint, remaining)

    def _adopted(self, job: Job, project: Project) -> Job:
        now = self.clock()
        charged = project.credits_charged
        charged = job.parameters.credits if charged is None else charged
        return job.submitted(project.id, charged, now, now + REVIEW)

    def _amended(self, job: Job, step: Callable[[Job], Job]) -> Job:
        return amend_job(
            self.ledger,
            job.fingerprint,
            lambda job: step(job) if job.state is JobState.UNKNOWN else job,
        )

    def _unknown_jobs(self, drop: Drop) -> list[Job]:
        jobs = [self.ledger.job(fingerprint) for fingerprint in drop.renditions]
        unknown = [job for job in jobs if job and job.state is JobState.UNKNOWN]
        if not unknown:
            raise NothingToResolve(
                f"{drop.source.key} is {drop.state}: no job of it has an unknown outcome",
                fix="See its manifest for what it needs.",
            )
        return unknown
