"""Deliver: from a complete project to the output in the results bucket."""

import hashlib
import tempfile
from dataclasses import dataclass
from datetime import datetime
from typing import IO, BinaryIO, Protocol, cast

from dropscale.errors import DropscaleError
from dropscale.image.header import ImageHeader
from dropscale.image.verify import verify_result
from dropscale.ledger.records import Download, Drop, Job, Output, Rendition, Source
from dropscale.ledger.states import DropState, JobState
from dropscale.ledger.store import Ledger, LedgerConflict, amend_drop, amend_job
from dropscale.magichour.models import Project
from dropscale.pipeline.execution import ExecutionState
from dropscale.pipeline.ports import (
    Clock,
    OutputLabels,
    RemainingTime,
    ResultsBucket,
    Upscaler,
)
from dropscale.pipeline.projection import ProjectManifest
from dropscale.pipeline.start import REVIEW, StartJob
from dropscale.results.output_key import output_key
from dropscale.upscaler import ProjectStatus

_SPOOL_BYTES = 8 * 1024 * 1024
_PUT_ATTEMPTS = 3


class ProjectNotComplete(DropscaleError):
    """The project is not complete, or has nothing to download."""


class OutputOccupied(DropscaleError):
    """Something that dropscale did not write lies where the output belongs."""


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


@dataclass(frozen=True)
class Deliver:
    """Publishes a result once, however often it is called, and lets the next job start."""

    ledger: Ledger
    upscaler: Upscaler
    results: ResultsBucket
    project: ProjectManifest
    start: StartJob
    clock: Clock

    def __call__(self, state: ExecutionState, remaining: RemainingTime) -> Drop:
        """Deliver the result of an execution's project; return the drop as it then is.

        Raises:
            ProjectNotComplete, OutputOccupied: as their names say.
            UnreadableResult: what came is no whole image.
            MagicHourError: the result could not be fetched.
            LedgerConflict: others changed the drop, or its spec, meanwhile; call again.
        """
        drop = self.ledger.drop(state.drop_id)
        if drop is None or state.fingerprint not in drop.renditions:
            raise KeyError(state.drop_id)
        rendition = drop.renditions[state.fingerprint]
        job = self.ledger.job(state.fingerprint)
        if rendition.wants_result or (job and job.state is JobState.SUBMITTED):
            project = self._complete_project(state)
            due = self.clock() + REVIEW
            job = amend_job(
                self.ledger, state.fingerprint, lambda job: _complete(job, project, due)
            )
            if rendition.wants_result:
                done = self._done(drop, rendition, project)
                done = done.model_copy(update={"credits_charged": job.credits_charged})
                drop = self._write_down(drop, done)
        if drop.due:
            self.project(drop)
        self.start.waiting(remaining)
        return drop

    def _complete_project(self, state: ExecutionState) -> Project:
        project = self.upscaler.project(state.project_id)
        if project.status is not ProjectStatus.COMPLETE or not project.downloads:
            raise ProjectNotComplete(
                f"project {project.id} is {project.status} with {len(project.downloads)} outputs",
                fix="Ask the vendor about that project; drop the image again to look once more.",
            )
        return project

    def _done(self, drop: Drop, rendition: Rendition, project: Project) -> Rendition:
        if drop.spec is not None and not drop.spec.download_outputs:
            downloads = tuple(
                Download(url=download.url, expires_at=download.expires_at)
                for download in project.downloads
            )
            return rendition.moved(DropState.COMPLETE, downloads=downloads)
        output = self._publish(drop, rendition, project.downloads[0].url)
        return rendition.moved(DropState.DELIVERED, output=output)

    def _publish(self, drop: Drop, rendition: Rendition, url: str) -> Output:
        with tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES) as spooled:
            sink = _HashingSink(spooled, hashlib.sha256())
            size = self.upscaler.download(url, cast(BinaryIO, sink))
            file = cast(BinaryIO, spooled)
            header = verify_result(file, f"The result for {drop.source.key}")
            directory = drop.spec.download_directory if drop.spec else None
            key = output_key(drop.source.key, rendition.parameters, header.type, directory)
            output = Output(
                key=key,
                type=header.type,
                width=header.width,
                height=header.height,
                bytes=size,
                sha256=sink.hash.hexdigest(),
            )
            self._put_once(output, file, drop.id, rendition.fingerprint)
        return output

    def _put_once(self, output: Output, file: BinaryIO, drop_id: str, fingerprint: str) -> None:
        """Write the output; what this source's earlier result left there is replaced.

        An object that carries this drop's fingerprint already is the delivery, after a crash
        before the ledger knew.
        """
        labels = OutputLabels(fingerprint=fingerprint, drop_id=drop_id)
        for _ in range(_PUT_ATTEMPTS):
            there = self.results.describe_output(output.key)
            if there is not None and there.labels == labels:
                return
            # Asked after the look: a newer result that is there already is not replaced.
            drop = self.ledger.drop(drop_id)
            if drop is None or not drop.wants(fingerprint):
                return
            if there is not None and there.labels.drop_id != drop_id:
                break
            file.seek(0)
            over = there.etag if there else None
            if self.results.put_output(output.key, file, output.type, labels, over):
                return
        raise OutputOccupied(
            f"{output.key} exists in the results bucket and is not from this image",
            fix="Move it away and drop the image again: the paid result is collected, free.",
        )

    def _write_down(self, drop: Drop, done: Rendition) -> Drop:
        def change(now: Drop) -> Drop:
            if not now.wants(done.fingerprint):
                return now
            if now.spec != drop.spec:
                raise LedgerConflict(f"the spec of {drop.id} changed during its delivery")
            # The sweeper may have replaced this execution; a generation must not come twice.
            generation = now.renditions[done.fingerprint].generation
            ended = done.model_copy(update={"generation": generation})
            return now.with_rendition(ended, self.clock(), *_warnings(now.source, ended))

        return amend_drop(self.ledger, drop.id, change)


@dataclass
class _HashingSink:
    """A file to write to that hashes what passes."""

    file: IO[bytes]
    hash: _Hash

    def write(self, data: bytes) -> int:
        self.hash.update(data)
        return self.file.write(data)


def _complete(job: Job, project: Project, due: datetime) -> Job:
    if job.state is not JobState.SUBMITTED or job.project_id != project.id:
        return job
    return job.settled(JobState.COMPLETE, project.credits_charged, due)


def _warnings(source: Source, rendition: Rendition) -> list[str]:
    """Say so when the size is not the one that was paid for; never throw the result away."""
    output, factor = rendition.output, rendition.parameters.scale_factor
    if output is None or source.width is None or source.height is None:
        return []
    expected = (source.width * factor, source.height * factor)
    # An EXIF orientation may have been applied, which swaps the sides.
    if (output.width, output.height) in {expected, expected[::-1]}:
        return []
    found = ImageHeader(output.type, output.width, output.height)
    return [
        f"{output.key} is {found.width} x {found.height} pixels; "
        f"{expected[0]} x {expected[1]} were expected"
    ]
