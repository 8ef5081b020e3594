"""Deliver: from a complete project to the output in the results bucket."""

from collections.abc import Iterator
from dataclasses import dataclass

from dropscale.coded_warning import CodedWarning, WarningCode
from dropscale.ledger.drops import Download, Drop, Output, Rendition, Source
from dropscale.ledger.states import DropState, JobState
from dropscale.ledger.store import Ledger, LedgerConflict, NotInLedger, amend_drop, amend_job
from dropscale.magichour.errors import NotFound, TransferFailed
from dropscale.magichour.models import Project
from dropscale.pipeline.parts.delivery_errors import ProjectNotComplete, ResultGone
from dropscale.pipeline.parts.execution import ExecutionState
from dropscale.pipeline.parts.look import LookAtProject
from dropscale.pipeline.parts.manifest_writer import WriteManifest
from dropscale.pipeline.parts.poll_schedule import REVIEW
from dropscale.pipeline.parts.ports import Clock, RemainingTime, ResultsBucket, Upscaler
from dropscale.pipeline.parts.publish import Published, PublishOutput
from dropscale.pipeline.parts.start import StartJob
from dropscale.pipeline.parts.waiters import end_wait
from dropscale.upscaler import ProjectStatus

_Missing = NotFound | ProjectNotComplete
"""What a look raises if there is no result."""


@dataclass(frozen=True)
class Deliver:
    """Publishes a result once, however often it is called, and lets the next job start."""

    ledger: Ledger
    upscaler: Upscaler
    look: LookAtProject
    results: ResultsBucket
    publish: PublishOutput
    write_manifest: WriteManifest
    start: StartJob
    clock: Clock

    def __call__(self, state: ExecutionState, remaining: RemainingTime) -> Drop:
        """Deliver the result of an execution's project; return the updated drop.

        Raises:
            NotInLedger: the ledger does not have the drop or its job.
            ProjectNotComplete: the project has no result yet.
            ResultGone: neither the vendor nor the results bucket has the result.
            OutputOccupied: a foreign object is at the output's key.
            UnreadableResult: the download is not a complete image.
            MagicHourError: the result could not be fetched.
            LedgerConflict: the drop, or its spec, changed meanwhile; call again.
        """
        end_wait(self.ledger, state)
        drop, job = self.ledger.drop(state.drop_id), self.ledger.job(state.fingerprint)
        if drop is None or job is None:
            raise NotInLedger.of("drop", state.drop_id)
        # It has another id, and an execution of its own, since its output has other settings.
        rendition = drop.renditions.get(state.rendition_id)
        is_wanted = rendition and rendition.is_watched(state.project_id, state.generation)
        if not is_wanted and job.state is not JobState.SUBMITTED:
            self.write_manifest(drop)
            return drop
        seen = self._settle_project(state)
        # The slot is free: the next job need not wait for the download.
        problem = self._start_next(remaining) if isinstance(seen, Project) else None
        if is_wanted:
            delivered = self._deliver_rendition(drop, state, seen, remaining)
            drop = self._record_delivery(drop, state, delivered)
        elif not isinstance(seen, Project):
            raise seen
        self.write_manifest(drop)
        if problem is not None:
            raise problem
        if self.ledger.slots_taken() == 0:
            self.start.start_next(remaining)  # The one above was refused, and no job runs.
        return drop

    def _start_next(self, remaining: RemainingTime) -> Exception | None:
        """Start the next job; return its exception, so that this delivery completes first.

        The caller raises it when the delivery is done.
        """
        try:
            self.start.start_next(remaining)
        except Exception as error:
            return error
        return None

    def _settle_project(self, state: ExecutionState) -> Project | _Missing:
        """Settle the job and return its project, or return why there is no result."""
        try:
            project = self.look(state.fingerprint, state.project_id)
        except (NotFound, ProjectNotComplete) as error:
            return error
        if project.status is not ProjectStatus.COMPLETE:
            return ProjectNotComplete(
                f"project {project.id} is {project.status}",
                fix="It is checked again automatically.",
            )
        due = self.clock() + REVIEW
        amend_job(
            self.ledger,
            state.fingerprint,
            lambda job: job.settle(state.project_id, JobState.COMPLETE, project.final_price, due),
        )
        return project

    def _deliver_rendition(
        self, drop: Drop, state: ExecutionState, seen: Project | _Missing, remaining: RemainingTime
    ) -> Rendition:
        """Deliver the result; return the drop's updated rendition."""
        rendition = drop.renditions[state.rendition_id]
        wants_download = drop.spec is None or drop.spec.download_outputs
        if not wants_download and isinstance(seen, Project):
            downloads = tuple(
                Download(url=download.url, expires_at=download.expires_at)
                for download in seen.downloads
            )
            return rendition.move(DropState.COMPLETE, downloads=downloads)
        published = self._publish_result(drop, rendition, seen, remaining)
        output = published.output
        sizes = _warn_of_size(drop.source, rendition.parameters.scale_factor, output)
        warnings = (*sizes, *published.warnings)
        return rendition.move(DropState.DELIVERED, output=output, warnings=warnings)

    def _publish_result(
        self, drop: Drop, rendition: Rendition, seen: Project | _Missing, remaining: RemainingTime
    ) -> Published:
        """Publish the vendor's result or, if that is gone, the output of another drop."""
        gone: _Missing | TransferFailed
        if not isinstance(seen, Project):
            gone = seen
        else:
            url = seen.downloads[0].url
            try:
                return self.publish(
                    drop, rendition, lambda file: self.upscaler.download(url, file), remaining
                )
            except TransferFailed as error:
                if not error.expired:
                    raise
                gone = error
        key = self._find_earlier_output(rendition.fingerprint)
        if key is None:
            raise self._explain_loss(rendition, gone)
        return self.publish(
            drop, rendition, lambda file: self.results.read_output(key, file), remaining
        )

    def _explain_loss(
        self, rendition: Rendition, gone: _Missing | TransferFailed
    ) -> ResultGone | _Missing | TransferFailed:
        """Return the error for a missing result: one 404 alone does not mean `ResultGone`."""
        job = self.ledger.job(rendition.fingerprint)
        if job is not None and job.forgetting_since is not None and isinstance(gone, NotFound):
            return ResultGone(
                "its result was deleted at the vendor by `dropscale forget` at "
                f"{job.forgetting_since:%Y-%m-%d %H:%M} UTC, and no output of it is left",
                fix=(
                    "If you have its output, put it back (in a versioned bucket, restore it) and "
                    "run `dropscale retry KEY`. Another `revision` in the spec pays for a new "
                    "attempt."
                ),
            )
        if job is None or not job.is_gone(self.clock()):
            return gone  # It may be temporary.
        return ResultGone(
            f"the vendor has not had project {rendition.project_id} for a day or more",
            fix=(
                "`dropscale retry KEY` checks again, free. Another `revision` in the spec pays "
                "for a new attempt."
            ),
        )

    def _find_earlier_output(self, fingerprint: str) -> str | None:
        """Return the key of an output that still has the job's result."""
        for key in self._earlier_outputs(fingerprint):
            there = self.results.describe_output(key)
            if there is not None and there.labels.fingerprint == fingerprint:
                return key
        return None

    def _earlier_outputs(self, fingerprint: str) -> Iterator[str]:
        for drop_id in self.ledger.list_attached(fingerprint):
            drop = self.ledger.drop(drop_id)
            for rendition in drop.renditions_of(fingerprint) if drop else ():
                outputs = (rendition.output, rendition.earlier_output)
                yield from (output.key for output in outputs if output)
        job = self.ledger.job(fingerprint)
        if job is not None and job.kept_output is not None:
            yield job.kept_output

    def _record_delivery(self, drop: Drop, state: ExecutionState, done: Rendition) -> Drop:
        job = self.ledger.job(done.fingerprint)

        def change(now: Drop) -> Drop:
            rendition = now.renditions.get(done.id)
            if rendition is None or not rendition.is_watched(state.project_id, state.generation):
                return now
            if now.spec != drop.spec:
                raise LedgerConflict(f"the spec of {drop.id} changed during its delivery")
            ended = rendition.report(
                done.state,
                project_id=state.project_id,
                generation=state.generation,
                output=done.output,
                downloads=done.downloads,
                warnings=done.warnings,
                credits_charged=job.credits_charged if job else done.credits_charged,
            )
            if job is not None:
                ended = ended.model_copy(update={"forgotten_at": job.forgotten_at})
            return now.with_rendition(ended, self.clock())

        return amend_drop(self.ledger, drop.id, change)


def _warn_of_size(source: Source, factor: int, output: Output) -> tuple[CodedWarning, ...]:
    """Warn if the size is not the one that was paid for; the result is kept."""
    if source.width is None or source.height is None:
        return ()
    expected = (source.width * factor, source.height * factor)
    # An EXIF orientation may have been applied, which swaps the sides.
    if (output.width, output.height) in {expected, expected[::-1]}:
        return ()
    message = (
        f"{output.key} is {output.width} x {output.height} pixels; "
        f"{expected[0]} x {expected[1]} were expected"
    )
    return (CodedWarning(WarningCode.WRONG_SIZE, message),)
