"""Deliver: from a complete project to the output in the results bucket."""

from dataclasses import dataclass
from datetime import datetime

from dropscale.errors import DropscaleError
from dropscale.ledger.records import Download, Drop, Job, Output, Rendition, Source
from dropscale.ledger.states import DropState, JobState
from dropscale.ledger.store import Ledger, LedgerConflict, amend_drop, amend_job
from dropscale.magichour.errors import NotFound, TransferFailed
from dropscale.magichour.models import Project
from dropscale.pipeline.execution import ExecutionState
from dropscale.pipeline.ports import Clock, RemainingTime, ResultsBucket, Upscaler
from dropscale.pipeline.projection import ProjectManifest
from dropscale.pipeline.publish import PublishOutput
from dropscale.pipeline.start import REVIEW, StartJob
from dropscale.upscaler import ProjectStatus


class ProjectNotComplete(DropscaleError):
    """The project is not complete, or has nothing to download."""


class ResultGone(DropscaleError):
    """Neither the vendor nor the results bucket has the result."""


@dataclass(frozen=True)
class Deliver:
    """Publishes a result once, however often it is called, and lets the next job start."""

    ledger: Ledger
    upscaler: Upscaler
    results: ResultsBucket
    publish: PublishOutput
    project: ProjectManifest
    start: StartJob
    clock: Clock

    def __call__(self, state: ExecutionState, remaining: RemainingTime) -> Drop:
        """Deliver the result of an execution's project; return the drop as it then is.

        Raises:
            ProjectNotComplete, ResultGone, OutputOccupied: as their names say.
            UnreadableResult: what came is no whole image.
            MagicHourError: the result could not be fetched.
            LedgerConflict: others changed the drop, or its spec, meanwhile; call again.
        """
        drop, job = self.ledger.drop(state.drop_id), self.ledger.job(state.fingerprint)
        if drop is None or job is None or state.fingerprint not in drop.renditions:
            raise KeyError(state.drop_id)
        rendition = drop.renditions[state.fingerprint]
        if rendition.wants_result or job.state is JobState.SUBMITTED:
            project = self._complete_project(state, job)
            due = self.clock() + REVIEW
            job = amend_job(self.ledger, job.fingerprint, lambda job: _complete(job, project, due))
            if rendition.wants_result:
                done = self._done(drop, rendition, project)
                done = done.model_copy(update={"credits_charged": job.credits_charged})
                drop = self._write_down(drop, done)
        if drop.due:
            self.project(drop)
        self.start.waiting(remaining)
        return drop

    def _complete_project(self, state: ExecutionState, job: Job) -> Project | None:
        """Return the project; None: the vendor has it no more, but it once was complete."""
        try:
            project = self.upscaler.project(state.project_id)
        except NotFound:
            if job.state is JobState.COMPLETE:
                return None
            raise
        if project.status is not ProjectStatus.COMPLETE or not project.downloads:
            raise ProjectNotComplete(
                f"project {project.id} is {project.status} with {len(project.downloads)} outputs",
                fix="Drop the image again (or `dropscale retry KEY`) to look once more.",
            )
        return project

    def _done(self, drop: Drop, rendition: Rendition, project: Project | None) -> Rendition:
        if project is not None and drop.spec is not None and not drop.spec.download_outputs:
            downloads = tuple(
                Download(url=download.url, expires_at=download.expires_at)
                for download in project.downloads
            )
            return rendition.moved(DropState.COMPLETE, downloads=downloads)
        output = self._published(drop, rendition, project)
        warnings = _warnings(drop.source, rendition.parameters.scale_factor, output)
        return rendition.moved(DropState.DELIVERED, output=output, warnings=warnings)

    def _published(self, drop: Drop, rendition: Rendition, project: Project | None) -> Output:
        """Publish what the vendor has; if it has it no more, what another drop got of it."""
        gone: DropscaleError | TransferFailed = ResultGone(
            f"the vendor no longer has the result of project {rendition.project_id}",
            fix="Set another `revision` in the spec to pay for a fresh try.",
        )
        if project is not None:
            url = project.downloads[0].url
            try:
                return self.publish(drop, rendition, lambda file: self.upscaler.download(url, file))
            except TransferFailed as error:
                if not error.expired:
                    raise
                gone = error
        earlier = self._earlier_output(rendition.fingerprint)
        if earlier is None:
            raise gone
        key = earlier.key
        return self.publish(drop, rendition, lambda file: self.results.read_output(key, file))

    def _earlier_output(self, fingerprint: str) -> Output | None:
        for drop_id in self.ledger.attached(fingerprint):
            drop = self.ledger.drop(drop_id)
            output = drop.renditions[fingerprint].output if drop else None
            if output and self.results.describe_output(output.key) is not None:
                return output
        return None

    def _write_down(self, drop: Drop, done: Rendition) -> Drop:
        def change(now: Drop) -> Drop:
            if not now.wants(done.fingerprint):
                return now
            if now.spec != drop.spec:
                raise LedgerConflict(f"the spec of {drop.id} changed during its delivery")
            # The sweeper may have replaced this execution; a generation must not come twice.
            generation = now.renditions[done.fingerprint].generation
            ended = done.model_copy(update={"generation": generation})
            return now.with_rendition(ended, self.clock())

        return amend_drop(self.ledger, drop.id, change)


def _complete(job: Job, project: Project | None, due: datetime) -> Job:
    if project is None or job.state is not JobState.SUBMITTED or job.project_id != project.id:
        return job
    return job.settled(JobState.COMPLETE, project.credits_charged, due)


def _warnings(source: Source, factor: int, output: Output) -> tuple[str, ...]:
    """Say so when the size is not the one that was paid for; never throw the result away."""
    if source.width is None or source.height is None:
        return ()
    expected = (source.width * factor, source.height * factor)
    # An EXIF orientation may have been applied, which swaps the sides.
    if (output.width, output.height) in {expected, expected[::-1]}:
        return ()
    return (
        f"{output.key} is {output.width} x {output.height} pixels; "
        f"{expected[0]} x {expected[1]} were expected",
    )
