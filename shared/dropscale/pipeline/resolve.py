"""Resolve: a person settles a job that was paid, or may have been, and brought no result."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from dropscale.errors import DropscaleError
from dropscale.ledger.drops import Drop
from dropscale.ledger.jobs import Job
from dropscale.ledger.states import DropState, JobState, WaitReason
from dropscale.ledger.store import Ledger, ProjectTaken, amend_drop, amend_job
from dropscale.magichour.models import Project
from dropscale.pipeline.parts.delivery_errors import ForeignProject
from dropscale.pipeline.parts.follow import FollowJob
from dropscale.pipeline.parts.gate import Waiting
from dropscale.pipeline.parts.poll_schedule import REVIEW
from dropscale.pipeline.parts.ports import Clock, RemainingTime, Upscaler
from dropscale.pipeline.parts.start import StartJob


class NothingToResolve(DropscaleError):
    """No job of the drop has an unknown outcome."""


class Decision(StrEnum):
    """What a person can decide when there is no project to adopt."""

    PAY_AGAIN = "pay-again"
    ABANDON = "abandon"


_ADOPTING = (
    JobState.UNKNOWN,
    JobState.ABANDONED,
    JobState.READY,
    JobState.ERROR,
    JobState.CANCELED,
)
"""States of a job that can take a project, the likeliest first: it has no result, so far."""

_WITHOUT_RESULT = frozenset({DropState.FAILED, DropState.TIMED_OUT, DropState.CANCELED})


@dataclass(frozen=True)
class Resolve:
    """Moves the unknown jobs of a drop on."""

    ledger: Ledger
    upscaler: Upscaler
    start: StartJob
    follow: FollowJob
    clock: Clock

    def adopt(self, drop: Drop, project_id: str) -> None:
        """Take a project that the person has found for the one whose answer, or trace, was lost.

        Raises:
            NothingToResolve: as its name says.
            ForeignProject: the project carries the name of another job.
            NotFound: the vendor has no such project.
        """
        project, now = self.upscaler.project(project_id), self.clock()
        job = self._adoptable_job(drop, project)

        def adopt(job: Job) -> Job:
            if job.has_project and job.project_id == project_id:
                return job.watch_anew(now, now + REVIEW)
            return job.adopt(project_id, project.credits_charged, now, now + REVIEW)

        try:
            adopted = amend_job(self.ledger, job.fingerprint, adopt, only=job.state)
        except ProjectTaken:
            raise ForeignProject.of(project_id) from None

        def want(drop: Drop) -> Drop:
            wanted = [
                rendition.want_again(is_collected=True)
                for rendition in drop.renditions_of(job.fingerprint)
                if rendition.state in _WITHOUT_RESULT
            ]
            return drop.with_renditions(wanted, now)

        amend_drop(self.ledger, drop.id, want)
        self.follow.update_drops(adopted)

    def decide(self, drop: Drop, decision: Decision, remaining: RemainingTime) -> None:
        """Pay once more, or give up.

        Raises:
            NothingToResolve: as its name says.
        """
        now = self.clock()
        for job in self._unknown_jobs(drop):
            if decision is Decision.ABANDON:
                given_up = self._amend_unknown(job, lambda job: job.give_up(now + REVIEW))
                self.follow.update_drops(given_up)
                continue
            ready = self._amend_unknown(job, lambda job: job.pay_again(now))
            self.follow.update_drops(ready, Waiting(WaitReason.SLOT))
            self.start(job.fingerprint, remaining)

    def _amend_unknown(self, job: Job, step: Callable[[Job], Job]) -> Job:
        return amend_job(self.ledger, job.fingerprint, step, only=JobState.UNKNOWN)

    def _adoptable_job(self, drop: Drop, project: Project) -> Job:
        """Return the job that a project is of: that is at it, is named in it, or lacks one."""
        jobs = self._jobs(drop)
        found = [job for job in jobs if job.has_project and job.project_id == project.id]
        if found:
            return found[0]
        lacking = [job for job in jobs if job.state in _ADOPTING]
        named = [job for job in lacking if job.is_named_by(project.name)]
        if named:
            return named[0]
        nameless = [job for job in lacking if job.is_named_by(project.name) is None]
        if lacking and not nameless:
            raise ForeignProject.of(project.id)
        for state in _ADOPTING:
            found = [job for job in nameless if job.state is state]
            if len(found) == 1:
                return found[0]
            if found:
                names = ", ".join(f'"{job.project_name}"' for job in found)
                raise NothingToResolve(
                    f"{drop.source.key} has {len(found)} jobs without a result",
                    fix=f"Give it one of these names at the vendor, then adopt it: {names}.",
                )
        return self._unknown_jobs(drop)[0]

    def _unknown_jobs(self, drop: Drop) -> list[Job]:
        unknown = [job for job in self._jobs(drop) if job.state is JobState.UNKNOWN]
        if not unknown:
            raise NothingToResolve(
                f"{drop.source.key} is {drop.state}: no job of it has an unknown outcome",
                fix="See its manifest for what it needs.",
            )
        return unknown

    def _jobs(self, drop: Drop) -> list[Job]:
        return [job for name in drop.fingerprints if (job := self.ledger.job(name))]
