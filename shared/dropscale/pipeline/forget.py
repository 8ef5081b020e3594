"""Forget: deletes the vendor's copies of a delivered drop's results, at a person's request."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from dropscale.errors import DropscaleError
from dropscale.ledger.drops import Drop, Rendition
from dropscale.ledger.jobs import Job
from dropscale.ledger.states import DropState, JobState
from dropscale.ledger.store import MOST_DROPS, Ledger, amend_drop, amend_job, is_named_by
from dropscale.magichour.errors import NotFound
from dropscale.pipeline.parts.delivery_errors import ForeignProject
from dropscale.pipeline.parts.manifest_writer import WriteManifest
from dropscale.pipeline.parts.ports import Clock, ResultsBucket, Upscaler


class StillNeeded(DropscaleError):
    """The vendor's copy of a result may be the only one."""


@dataclass(frozen=True)
class Forget:
    """Deletes projects whose results all of their drops have.

    The rules: no project is deleted before every drop that shares it has its output in the results
    bucket; that was decided in a transaction that fails if another drop asks for the result
    meanwhile; and a drop that asks later finds in the job's row that the vendor may have nothing
    left, and gets a copy of such an output.
    """

    ledger: Ledger
    upscaler: Upscaler
    results: ResultsBucket
    write_manifest: WriteManifest
    clock: Clock

    def __call__(self, drop: Drop) -> list[str]:
        """Delete the projects of a drop's jobs, and of their earlier attempts; return the ids.

        May be called again: for what was interrupted, or for projects that turned up since.

        Raises:
            StillNeeded: a drop that shares a job does not have its result. Nothing was deleted.
            ForeignProject: a project has the name of another job. Nothing was deleted.
            MagicHourError: the vendor refused, or did not answer; call again.
        """
        jobs = [self._begin(name) for name in drop.fingerprints if self._is_delivered(drop, name)]
        if not jobs:
            raise StillNeeded(
                f"{drop.source.key} is {drop.state}, so there is no result to forget",
                fix="`dropscale status` shows its state.",
            )
        deleted = []
        for job, project_ids in jobs:
            for project_id in project_ids:
                with suppress(NotFound):  # It was seen, or its deletion was asked for, before.
                    self.upscaler.delete(project_id)
                deleted.append(project_id)
            forgotten = amend_job(self.ledger, job.fingerprint, self._note_deletion)
            for each in self._drops_of(job):
                self._show(each, forgotten)
        return deleted

    def _note_deletion(self, job: Job) -> Job:
        return job.forget(self.clock())

    def _is_delivered(self, drop: Drop, fingerprint: str) -> bool:
        """Whether a drop has had the result of a job, even if its spec now asks for another."""
        return any(one.output is not None for one in drop.renditions_of(fingerprint))

    def _begin(self, fingerprint: str) -> tuple[Job, list[str]]:
        """Note in the job's row that its projects will be deleted; return it and their ids."""
        project_ids: list[str] = []

        def begin(job: Job) -> Job:
            # The job was read first: a drop that asks for its result later changes the row.
            self._require_delivered(job)
            project_ids[:] = self._own_projects(job)
            return job.begin_to_forget(self.clock())

        return amend_job(self.ledger, fingerprint, begin), project_ids

    def _require_delivered(self, job: Job) -> None:
        if job.state is not JobState.COMPLETE:
            raise StillNeeded(
                f"project {job.project_id} is {job.state}, not complete",
                fix="Only results that are delivered can be forgotten.",
            )
        outputs = 0
        for drop in self._drops_of(job):
            for rendition in drop.renditions_of(job.fingerprint):
                outputs += (has_output := self._has_output(rendition))
                if not has_output and rendition.state is not DropState.SUPERSEDED:
                    raise StillNeeded(
                        f"{drop.source.key} shares project {job.project_id}, is "
                        f"{rendition.state}, and does not have its output in the results bucket",
                        fix=f"`dropscale retry {drop.source.key}` fetches it, free. Then forget.",
                    )
        if not outputs:
            raise StillNeeded(
                f"no output of project {job.project_id} is in the results bucket",
                fix="It would be lost. Drop the image with that spec again to have it, free.",
            )

    def _has_output(self, rendition: Rendition) -> bool:
        """Whether the output of a rendition is in the results bucket, with all its bytes."""
        output = rendition.output
        if output is None or rendition.state not in {DropState.DELIVERED, DropState.SUPERSEDED}:
            return False
        there = self.results.describe_output(output.key)
        return (
            there is not None
            and there.labels.fingerprint == rendition.fingerprint
            and there.labels.sha256 == output.sha256
            and there.sha256 in {None, output.sha256}
        )

    def _own_projects(self, job: Job) -> list[str]:
        """Return the projects to delete: of the job, and of earlier attempts, if still there."""
        own = []
        for project_id in (job.project_id, *job.orphans):
            if project_id is None:
                continue
            try:
                name = self.upscaler.project(project_id).name
            except NotFound:
                # Without a deletion that was asked for, a 404 proves nothing.
                if project_id == job.project_id and job.forgetting_since is None:
                    raise
                continue
            is_trusted = project_id == job.trusted_project
            if is_trusted or is_named_by(self.ledger, job, name) is not False:
                own.append(project_id)
            elif project_id == job.project_id:
                raise ForeignProject.of(project_id)
        return own

    def _show(self, drop: Drop, job: Job) -> None:
        now, at = self.clock(), job.forgotten_at
        changed = amend_drop(
            self.ledger, drop.id, lambda drop: drop.note_forgotten(job.fingerprint, at, now)
        )
        # That it was delivered is announced already.
        replace(self.write_manifest, announce=lambda _: True)(changed)

    def _drops_of(self, job: Job) -> Iterator[Drop]:
        after, page = None, [""]
        while page:
            page = self.ledger.list_attached(job.fingerprint, after, MOST_DROPS)
            yield from (drop for name in page if (drop := self.ledger.drop(name)))
            after = page[-1] if page else None
