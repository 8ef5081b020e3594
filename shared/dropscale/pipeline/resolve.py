"""Resolve: a person settles a job that was paid, or may have been, without a result."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from dropscale.errors import DropscaleError
from dropscale.ledger.drops import Drop
from dropscale.ledger.jobs import AttemptName, Job, KnownProject
from dropscale.ledger.states import DropState, JobState, WaitReason
from dropscale.ledger.store import (
    Ledger,
    ProjectTaken,
    SaveReference,
    amend_drop,
    amend_job,
    is_named_by,
)
from dropscale.magichour.models import Project
from dropscale.pipeline.parts.delivery_errors import ForeignProject, ProjectUnnamed
from dropscale.pipeline.parts.follow import FollowJob
from dropscale.pipeline.parts.gate import Waiting
from dropscale.pipeline.parts.poll_schedule import REVIEW
from dropscale.pipeline.parts.ports import Clock, RemainingTime, Upscaler
from dropscale.pipeline.parts.start import StartJob


class NothingToResolve(DropscaleError):
    """No job of the drop has an unknown outcome."""


class Trust(StrEnum):
    """How far a person vouches for a project to be adopted."""

    NAME = "by its name"
    UNNAMED = "even without a name that identifies it"
    ANYWAY = "whatever its name says"


class Decision(StrEnum):
    """What a person can decide if there is no project to adopt."""

    PAY_AGAIN = "pay-again"
    ABANDON = "abandon"


_ADOPTING = (
    JobState.UNKNOWN,
    JobState.ABANDONED,
    JobState.READY,
    JobState.ERROR,
    JobState.CANCELED,
)
"""States of a job that can adopt a project, the likeliest first: it has no result yet."""

_OPEN = frozenset({JobState.SUBMITTED, JobState.COMPLETE})
"""States in which a job need not adopt its current project."""

_WITHOUT_RESULT = frozenset({DropState.FAILED, DropState.TIMED_OUT, DropState.CANCELED})


@dataclass(frozen=True)
class Resolve:
    """Settles the unknown jobs of a drop."""

    ledger: Ledger
    upscaler: Upscaler
    start: StartJob
    follow: FollowJob
    clock: Clock

    def adopt(self, drop: Drop, project_id: str, trust: Trust = Trust.NAME) -> None:
        """Adopt a project that the person has found, in place of the lost answer or record.

        Raises:
            NothingToResolve: no job of the drop can adopt it.
            ForeignProject: the project has the name of another job, or is known as another's.
            ProjectUnnamed: its name does not identify its job.
            NotFound: the vendor has no such project.
        """
        project, now = self.upscaler.project(project_id), self.clock()
        found, holder = self._adoptable_job(drop, project, trust)
        is_trusted = trust is Trust.ANYWAY

        def adopt(job: Job) -> Job:
            if job.state is not found.state:  # It changed just now.
                return job if job.project_id == project_id else job.with_orphan(project_id)
            due = now + REVIEW
            is_at_it = job.project_id == project_id
            if is_at_it and (not is_trusted or job.state in _OPEN):
                watched = job.watch_anew(now, due)
                return watched.trust_project() if is_trusted else watched
            return job.adopt(
                project_id,
                project.credits_charged,
                now,
                due,
                is_of_attempt=_is_of_attempt(job, project),
                is_trusted=is_trusted,
            )

        known = KnownProject(project_id=project_id, fingerprint=found.fingerprint)
        try:
            if holder is not None:
                self.ledger.write(SaveReference(known, replaces=holder))
            adopted = amend_job(self.ledger, found.fingerprint, adopt)
        except ProjectTaken:
            raise ForeignProject.known(project_id) from None
        if adopted.project_id != project_id:
            raise NothingToResolve(
                f"{drop.source.key} was paid for again, or adopted another project, just now",
                fix="If that brings no result, its manifest names this project, so that you can "
                "adopt it.",
            )

        def want(drop: Drop) -> Drop:
            wanted = [
                rendition.want_again(is_collected=True)
                for rendition in drop.renditions_of(found.fingerprint)
                if rendition.state in _WITHOUT_RESULT
            ]
            return drop.with_renditions(wanted, now)

        amend_drop(self.ledger, drop.id, want)
        self.follow.update_drops(adopted)

    def decide(self, drop: Drop, decision: Decision, remaining: RemainingTime) -> None:
        """Pay again, or give up.

        Raises:
            NothingToResolve: no job of the drop has an unknown outcome.
        """
        now = self.clock()
        for job in self._unknown_jobs(drop):
            if decision is Decision.ABANDON:
                given_up = self._amend_unknown(job, lambda job: job.give_up(now + REVIEW))
                self.follow.update_drops(given_up)
                continue
            ready = self._amend_unknown(job, lambda job: job.pay_again(now))
            self.follow.update_drops(ready, Waiting(WaitReason.SLOT))
            self.start(job.fingerprint, remaining, drop_id=drop.id)

    def _amend_unknown(self, job: Job, step: Callable[[Job], Job]) -> Job:
        return amend_job(self.ledger, job.fingerprint, step, only=JobState.UNKNOWN)

    def _adoptable_job(self, drop: Drop, project: Project, trust: Trust) -> tuple[Job, str | None]:
        """Return the job of a project: one that is at it, one that it names, or one without any.

        Also return the fingerprint of another job that holds it although the name is this job's:
        the vendor has answered that job's create with the id of a project whose own answer was
        lost.
        """
        jobs, known = self._jobs(drop), self.ledger.project(project.id)
        if known is not None:
            if not self._is_held_rightly(known.fingerprint, project):
                for job in jobs:
                    if job.state in _ADOPTING and is_named_by(self.ledger, job, project.name):
                        return job, known.fingerprint
            jobs = [job for job in jobs if job.fingerprint == known.fingerprint]
            if not jobs:
                raise ForeignProject.known(project.id)
        at_it = [job for job in jobs if job.project_id == project.id]
        lacking = at_it or [job for job in jobs if job.state in _ADOPTING]
        if not lacking:
            raise _nothing_to_resolve(drop)
        says = [is_named_by(self.ledger, job, project.name) for job in lacking]
        named = [job for job, is_named in zip(lacking, says, strict=True) if is_named]
        if named:
            return named[0], None
        if False in says and trust is not Trust.ANYWAY:
            raise ForeignProject.unless_trusted(project.id)
        job = _likeliest(drop, lacking)
        if known is None and trust is Trust.NAME:
            raise ProjectUnnamed.of(project.id, project.name, job.project_name)
        return job, None

    def _is_held_rightly(self, fingerprint: str, project: Project) -> bool:
        """Whether a project is its job's by its name, or because a person said so."""
        holder = self.ledger.job(fingerprint)
        return holder is not None and (
            holder.trusted_project == project.id
            or is_named_by(self.ledger, holder, project.name) is True
        )

    def _unknown_jobs(self, drop: Drop) -> list[Job]:
        unknown = [job for job in self._jobs(drop) if job.state is JobState.UNKNOWN]
        if not unknown:
            raise _nothing_to_resolve(drop)
        return unknown

    def _jobs(self, drop: Drop) -> list[Job]:
        return [job for name in drop.fingerprints if (job := self.ledger.job(name))]


def _is_of_attempt(job: Job, project: Project) -> bool:
    """Whether the current attempt created a project, by its name or else a person's word."""
    name = AttemptName.found_in(project.name)
    if name is None:
        return job.project_id is None
    return name.attempt == job.attempt and name.token in {None, job.attempt_id}


def _likeliest(drop: Drop, lacking: Sequence[Job]) -> Job:
    for state in _ADOPTING:
        found = [job for job in lacking if job.state is state]
        if len(found) > 1:
            names = ", ".join(f'"{job.project_name}"' for job in found)
            raise NothingToResolve(
                f"{drop.source.key} has {len(found)} jobs without a result",
                fix=f"Give it one of these names at the vendor, then adopt it: {names}.",
            )
        if found:
            return found[0]
    return lacking[0]


def _nothing_to_resolve(drop: Drop) -> NothingToResolve:
    return NothingToResolve(
        f"{drop.source.key} is {drop.state}: no job of it has an unknown outcome",
        fix="See its manifest for what it needs.",
    )
