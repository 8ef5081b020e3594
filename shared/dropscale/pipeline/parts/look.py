"""Looks at projects: the one place that decides what an answer to a look proves.

Only an answer in the contract's shape describes a project. A 404 may come from a proxy, so it is
only counted, in the job's row. Every other answer is inconclusive and temporary.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

from dropscale.ledger.jobs import Job, Seen
from dropscale.ledger.store import Ledger, amend_job, is_named_by
from dropscale.magichour.errors import (
    ConnectionLost,
    MagicHourError,
    Misconfigured,
    NotFound,
    Unreachable,
)
from dropscale.magichour.models import Download, Project
from dropscale.pipeline.parts.delivery_errors import ForeignProject, ProjectNotComplete
from dropscale.pipeline.parts.ports import Clock, Upscaler
from dropscale.pipeline.parts.waiters import MOST_WOKEN
from dropscale.upscaler import ProjectStatus

PASSING = (MagicHourError, ProjectNotComplete, ForeignProject)
"""What a look raises that is not a verdict; of these, a NotFound counts towards one."""

_SHOWN = {
    ProjectStatus.DRAFT,
    ProjectStatus.QUEUED,
    ProjectStatus.RENDERING,
    ProjectStatus.COMPLETE,
}
"""Statuses that drops can share without looks of their own; a failure's reasons are not kept."""
_LONGEST_URL = 4000
_NO_ANSWERS = (Unreachable, ConnectionLost, Misconfigured)


@dataclass(frozen=True)
class LookAtProject:
    """Asks the vendor about a job's project, and counts 404s in the job's row."""

    ledger: Ledger
    upscaler: Upscaler
    clock: Clock
    shared_from: int = 2
    """How many drops must have a job for them to share its looks."""

    def within(self, upscaler: Upscaler) -> Self:
        """Return looks, through that vendor, for a wait that an event can end.

        A shared look can be older than the token of the wait, so that an event between them is
        missed. Only of a job with more drops than an event wakes are looks shared.
        """
        return replace(self, upscaler=upscaler, shared_from=MOST_WOKEN + 1)

    def __call__(self, fingerprint: str, project_id: str) -> Project:
        """Return the project's current state; a complete one has something to download.

        Drops that share it also share its looks: one in three seconds.

        Raises:
            NotFound: the vendor answers that there is no such project, or that it was deleted.
            ProjectNotComplete: it is complete, but there is nothing to download yet; or another
                of its drops is taking the first look now.
            ForeignProject: it is another job's; the vendor has used one id twice.
            MagicHourError: no answer, or one that says nothing about the project.
        """
        if not self.is_shared(fingerprint):
            return self._look(fingerprint, project_id)
        is_mine, job = self._begin(fingerprint, project_id)
        if not is_mine:
            return self._seen(job, project_id)
        project = self._look(fingerprint, project_id)
        url = project.downloads[0].url if project.downloads else None
        if project.status in _SHOWN and len(url or "") <= _LONGEST_URL:
            seen = Seen(
                project_id=project_id,
                at=self.clock(),
                status=project.status,
                credits_charged=project.final_price,
                url=url,
            )
            self._note(fingerprint, lambda job: job.record_seen(seen))
        return project

    def is_shared(self, fingerprint: str) -> bool:
        """Whether the drops that have that job share its looks."""
        attached = self.ledger.list_attached(fingerprint, None, self.shared_from)
        return len(attached) == self.shared_from

    def _begin(self, fingerprint: str, project_id: str) -> tuple[bool, Job]:
        """Return whether this call is to look, and the updated job."""
        now, is_mine = self.clock(), False

        def begin(job: Job) -> Job:
            nonlocal is_mine
            after = job.begin_look(project_id, now)
            # Looks at a project that is no longer the job's are not shared.
            is_mine = after is not job or job.project_id != project_id
            return after

        job = amend_job(self.ledger, fingerprint, begin)
        return is_mine, job

    def _seen(self, job: Job, project_id: str) -> Project:
        """Return the findings of another recent look."""
        seen = job.seen
        if seen is None or seen.project_id != project_id or not seen.is_recent(self.clock()):
            raise ProjectNotComplete(
                f"project {project_id} is being checked for another drop",
                fix="It is checked again automatically.",
            )
        return Project(
            id=project_id,
            status=ProjectStatus(seen.status),
            credits_charged=seen.credits_charged,
            downloads=[Download(url=seen.url)] if seen.url else [],
        )

    def _look(self, fingerprint: str, project_id: str) -> Project:
        try:
            project = self._require_downloads(self.upscaler.project(project_id))
            job = self.ledger.job(fingerprint)
            if job is not None and job.trusted_project != project_id:
                self._require_own_name(job, project)
        except NotFound:
            now = self.clock()
            self._note(fingerprint, lambda job: job.record_missing(project_id, now))
            raise
        except PASSING as error:
            if not isinstance(error, _NO_ANSWERS):
                self._note(fingerprint, lambda job: job.record_answer(project_id))
            raise
        self._note(fingerprint, lambda job: job.record_answer(project_id))
        return project

    def _note(self, fingerprint: str, step: Callable[[Job], Job]) -> None:
        amend_job(self.ledger, fingerprint, step)

    def _require_own_name(self, job: Job, project: Project) -> None:
        if is_named_by(self.ledger, job, project.name) is False:
            raise ForeignProject.of(project.id)

    def _require_downloads(self, project: Project) -> Project:
        if project.downloads:
            return project
        if project.enabled is False:
            request = f"GET /v1/image-projects/{project.id}"
            raise NotFound(request, message="the project was deleted (enabled: false)")
        if project.status is ProjectStatus.COMPLETE:
            raise ProjectNotComplete.without_downloads(project.id)
        return project
