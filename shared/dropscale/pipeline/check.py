"""Check: one look at a project, and when to look again."""

from dataclasses import dataclass

from dropscale.ledger.records import Drop
from dropscale.ledger.states import DropState, JobState
from dropscale.ledger.store import Ledger, amend_drop
from dropscale.magichour.errors import DeadlinePassed, NotFound
from dropscale.magichour.models import Project
from dropscale.pipeline.execution import ExecutionState, ProjectFailure
from dropscale.pipeline.poll_schedule import next_wait
from dropscale.pipeline.ports import Clock, Upscaler
from dropscale.pipeline.projection import ProjectManifest
from dropscale.upscaler import FINAL_STATUSES, ProjectStatus


@dataclass(frozen=True)
class Check:
    """Looks at the project of an execution. `interval_cap` is in seconds."""

    ledger: Ledger
    upscaler: Upscaler
    project: ProjectManifest
    clock: Clock
    interval_cap: int

    def __call__(self, state: ExecutionState) -> ExecutionState:
        """Return the state with the project's status and the next wait.

        Raises:
            DeadlinePassed: the project is not final, and its drop stops waiting.
            UnknownProjectStatus: the vendor answers a status that is not in the contract.
            MagicHourError: the project could not be looked at.
        """
        try:
            project = self.upscaler.project(state.project_id)
        except NotFound:
            job = self.ledger.job(state.fingerprint)
            if job is None or job.state is not JobState.COMPLETE:
                raise
            # Deliver may still find the result where an earlier delivery put it.
            return state.model_copy(update={"status": ProjectStatus.COMPLETE})
        found = _with_findings(state, project)
        if project.status in FINAL_STATUSES:
            return found
        if project.status is ProjectStatus.RENDERING and state.status is not project.status:
            self._show_rendering(state)
        now = int(self.clock().timestamp())
        wait = next_wait(state.started_at, now, state.deadline, self.interval_cap)
        if wait < 1:
            raise DeadlinePassed(
                f"GET project {state.project_id}",
                project_id=state.project_id,
                message=f"still {project.status}",
            )
        return found.model_copy(update={"wait_seconds": wait})

    def _show_rendering(self, state: ExecutionState) -> None:
        def change(drop: Drop) -> Drop:
            rendition = drop.renditions.get(state.fingerprint)
            if rendition is None or rendition.state is not DropState.SUBMITTED:
                return drop
            return drop.with_rendition(rendition.moved(DropState.RENDERING), self.clock())

        drop = amend_drop(self.ledger, state.drop_id, change)
        if drop.due:
            self.project(drop)


def _with_findings(state: ExecutionState, project: Project) -> ExecutionState:
    failure = project.error and ProjectFailure(
        code=project.error.code, message=project.error.message
    )
    findings = {
        "status": project.status,
        "credits_charged": project.credits_charged,
        "project_error": failure,
    }
    return state.model_copy(update=findings)
