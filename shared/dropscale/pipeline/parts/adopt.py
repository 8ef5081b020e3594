"""Adopts projects of a job's own attempts that it does not know, or that are complete after all.

The vendor's signed events give a project's name, and so the attempt that made it. That alone
decides nothing: the project is adopted only if a look of our own finds the attempt's token in its
name. Nothing follows from events that do not come.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TypeGuard

from dropscale.ledger.budget import Budget
from dropscale.ledger.drops import Reason
from dropscale.ledger.jobs import MISSING_FOR, AttemptName, Job
from dropscale.ledger.states import JobState, WaitReason
from dropscale.ledger.store import (
    Ledger,
    LedgerConflict,
    ProjectTaken,
    amend_job,
    job_changes,
)
from dropscale.magichour.errors import MagicHourError, NotFound
from dropscale.magichour.models import Project
from dropscale.pipeline.parts.follow import EarlierProjects, FollowJob, News
from dropscale.pipeline.parts.gate import Waiting
from dropscale.pipeline.parts.poll_schedule import REVIEW, pause_at_age
from dropscale.pipeline.parts.ports import Clock, Upscaler
from dropscale.upscaler import PROJECT_TYPE, ProjectStatus

_ORPHAN_LOOKS = 3
_RACES = 5
_PATIENCE = timedelta(days=7)
"""How long a noted project is looked at if no answer says whose it is."""

_WITHOUT_RESULT = frozenset({ProjectStatus.ERROR, ProjectStatus.CANCELED})
_UNCERTAIN = frozenset({JobState.UNKNOWN, JobState.SUBMITTING, JobState.ABANDONED})
"""States of a job, if it has no project, that any project of its own settles."""
_WANTING = frozenset({JobState.READY, JobState.ERROR, JobState.CANCELED, JobState.ABANDONED})
"""States of a job in which only a project that may have a result is of use."""


@dataclass(frozen=True)
class AdoptProject:
    """Gives a job without a result a project of its own that has one, or will."""

    ledger: Ledger
    upscaler: Upscaler
    follow: FollowJob
    clock: Clock

    def __call__(self, job: Job) -> Job:
        """Adopt a noted project, or else an orphan, and tell the job's drops; return it then.

        Raises:
            LedgerConflict: other processes changed the job each time.
        """
        after = self.orphan(self.noted(job))
        if after is not job:
            self.follow.update_drops(after, self._news(job, after))
        return after

    def _news(self, job: Job, after: Job) -> News:
        if after.state is JobState.READY:
            doubt = Waiting(WaitReason.THROTTLED, after.due, _explain_doubt())
            return doubt if after.hints else Waiting(WaitReason.SLOT)
        besides = set(after.orphans) - {*job.orphans, job.project_id}
        return EarlierProjects(tuple(sorted(besides))) if besides else None

    def noted(self, job: Job) -> Job:
        """Look at the projects that events have noted for a job's attempts; return the job then.

        One is adopted if the job has no project that may bring the result; others become its
        orphans. While no answer says whose a project is, its attempt stays among the job's hints.

        Raises:
            LedgerConflict: other processes changed the job each time.
        """
        for _ in range(_RACES):
            try:
                return self._heed(job)
            except (LedgerConflict, ProjectTaken):
                job = self.ledger.job(job.fingerprint) or job
        raise LedgerConflict(f"job {job.fingerprint} is being changed by others at the same time")

    def orphan(self, job: Job) -> Job:
        """Adopt a project of an earlier attempt that is complete after all; looking is free."""
        if job.state not in _WANTING | {JobState.UNKNOWN}:
            return job
        for project_id in job.orphans[-_ORPHAN_LOOKS:]:
            try:
                project = self.upscaler.project(project_id)
            except MagicHourError:
                continue
            if project.status is not ProjectStatus.COMPLETE or not project.downloads:
                continue
            now, charged = self.clock(), project.credits_charged
            adopt = partial(
                Job.adopt, project_id=project_id, charged=charged, now=now, due=now + REVIEW
            )
            return amend_job(self.ledger, job.fingerprint, adopt, only=job.state)
        return job

    def _heed(self, job: Job) -> Job:
        now = self.clock()
        age = job.hint_age(now)
        found: dict[str, tuple[str, Project]] = {}
        left: dict[str, None] = {}
        for token in job.doubtful_attempts:
            for project_id in self._unknown_projects(token):
                answer = self._look(project_id)
                if _is_of(answer, token):
                    found[project_id] = token, answer
                elif _may_be_of(answer, age, is_paid_next=job.state is JobState.READY):
                    left[token] = None
        return self._take(job, found, tuple(left), now)

    def _unknown_projects(self, token: str) -> list[str]:
        """Return the projects noted for an attempt that no job is known to have."""
        attempt = self.ledger.attempt(token)
        noted = attempt.noted if attempt else ()
        return [project_id for project_id in noted if self.ledger.project(project_id) is None]

    def _look(self, project_id: str) -> Project | MagicHourError:
        try:
            return self.upscaler.project(project_id)
        except MagicHourError as error:
            return error

    def _take(
        self,
        job: Job,
        found: Mapping[str, tuple[str, Project]],
        left: Sequence[str],
        now: datetime,
    ) -> Job:
        """Write what the looks found; `left` are the hints that they did not answer."""
        after = job
        adopted = next((one for one, of in found.items() if _serves(job, of[1])), None)
        if adopted is not None:
            token, project = found[adopted]
            is_returned = job.attempt_id is None and token == job.doubtful_attempts[0]
            after = job.adopt(
                adopted,
                project.credits_charged,
                now,
                now + REVIEW,
                is_of_attempt=token == job.attempt_id,
                # The vendor had refused it, so its credits were returned.
                windows=Budget().windows(now) if is_returned else (),
            )
            self.ledger.write(*job_changes(job, after))
        orphans = [one for one in found if one != adopted]
        if not (orphans or left or after.hints):
            return after
        heeded = after.heed_hints(orphans, left, now, _due_after_looks(after, left, now))
        self.ledger.write(*job_changes(after, heeded))
        return heeded


def _explain_doubt() -> Reason:
    return Reason(
        code="EarlierAttempt",
        message="An earlier attempt may have made a project after all, which is being checked",
        fix="It continues automatically, and is not paid for again before that is known.",
    )


def _is_of(answer: Project | MagicHourError, token: str) -> TypeGuard[Project]:
    """Whether an answer says that an attempt made the project, which is an upscale."""
    if isinstance(answer, MagicHourError) or answer.type != PROJECT_TYPE:
        return False
    name = AttemptName.found_in(answer.name)
    return name is not None and name.token == token


def _may_be_of(answer: Project | MagicHourError, age: timedelta, *, is_paid_next: bool) -> bool:
    """Whether an answer leaves open whose the project is; `age` is that of the hint.

    `is_paid_next`: whether the job waits for that, and is else paid for again.
    """
    if is_paid_next and isinstance(answer, NotFound):
        return age < MISSING_FOR
    if isinstance(answer, Project) and answer.name is not None and answer.type is not None:
        return False
    return age < _PATIENCE


def _serves(job: Job, project: Project) -> bool:
    """Whether a job is to adopt a project of one of its attempts."""
    if job.state in _UNCERTAIN and not job.has_project:
        return True
    may_have_result = project.status not in _WITHOUT_RESULT and project.enabled is not False
    return may_have_result and job.state in _WANTING


def _due_after_looks(job: Job, left: Sequence[str], now: datetime) -> datetime | None:
    if left and job.state is not JobState.SUBMITTING:
        return now + pause_at_age(job.hint_age(now))
    # A ready job is paid for in its order.
    return job.created_at if job.state is JobState.READY else job.due
