"""Looks at projects: the one place that says what an answer to a look proves.

A project in the contract's shape is one. A 404 may be a proxy's, so it is only counted, in the
job's row. Everything else says nothing about the project, and passes.
"""

from collections.abc import Callable
from dataclasses import dataclass

from dropscale.ledger.jobs import Job
from dropscale.ledger.store import Ledger, amend_job, is_named_by
from dropscale.magichour.errors import (
    ConnectionLost,
    MagicHourError,
    Misconfigured,
    NotFound,
    Unreachable,
)
from dropscale.magichour.models import Project
from dropscale.pipeline.parts.delivery_errors import ForeignProject, ProjectNotComplete
from dropscale.pipeline.parts.ports import Clock, Upscaler
from dropscale.upscaler import ProjectStatus

PASSING = (MagicHourError, ProjectNotComplete, ForeignProject)
"""What a look raises that is no verdict; of these, a NotFound counts towards one."""

_NO_ANSWERS = (Unreachable, ConnectionLost, Misconfigured)


@dataclass(frozen=True)
class LookAtProject:
    """Asks the vendor about a job's project, and notes in the job's row what a 404 begins."""

    ledger: Ledger
    upscaler: Upscaler
    clock: Clock

    def __call__(self, fingerprint: str, project_id: str) -> Project:
        """Return the project as it is now; a complete one has something to download.

        Raises:
            NotFound: the vendor answers that there is no such project, or that it was deleted.
            ProjectNotComplete: it is complete, but there is nothing to download yet.
            ForeignProject: it is another job's; the vendor has given out one id twice.
            MagicHourError: no answer, or one that says nothing about the project.
        """
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
