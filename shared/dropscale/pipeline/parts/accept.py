"""Accept: writes down what a drop is to get: its renditions, and a share in each one's job."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from dropscale.ledger.records import Drop, Job, Rendition
from dropscale.ledger.states import OPEN_STATES, DropState, JobState
from dropscale.ledger.store import Attach, Change, Ledger, SaveDrop, SaveJob
from dropscale.pipeline.parts.decline import leave_job
from dropscale.pipeline.parts.evaluate import UpscaleRequest
from dropscale.pipeline.parts.poll_schedule import REVIEW
from dropscale.pipeline.parts.ports import Clock
from dropscale.results.output_key import output_key

_LABEL_LENGTH = 120


@dataclass(frozen=True)
class AcceptDrop:
    """Writes an evaluated drop and its jobs in one transaction."""

    ledger: Ledger
    clock: Clock

    def __call__(self, drop: Drop, request: UpscaleRequest) -> Drop:
        """Write down what a drop is to get; nothing is written if it stands there already.

        Raises:
            LedgerConflict: somebody else changed the drop, or one of the jobs.
        """
        if request.renditions is None:
            return drop
        now, spec = self.clock(), request.spec
        kept, changes = self._leave_other_jobs(drop, request.renditions.keys())
        wanted = {
            name: renew_rendition(drop, rendition) for name, rendition in request.renditions.items()
        }
        accepted = drop.evaluate(
            kept | wanted, now, source=request.source, spec=spec, warnings=request.warnings
        )
        changes.append(SaveDrop(accepted))
        labels = [one.name or request.source.key for one in spec.wanted_renditions]
        for rendition, label in zip(wanted.values(), labels, strict=True):
            changes.append(Attach(rendition.fingerprint, drop.id))
            changes += self._prepare_job(rendition, label, now)
        self.ledger.write(*changes)
        return accepted

    def _leave_other_jobs(
        self, drop: Drop, fingerprints: Collection[str]
    ) -> tuple[dict[str, Rendition], list[Change]]:
        """Withdraw the drop from all other jobs: from unpaid ones without a trace."""
        kept: dict[str, Rendition] = {}
        changes: list[Change] = []
        for other, rendition in drop.renditions.items():
            if other in fingerprints:
                continue
            job = self.ledger.job(other)
            if job is not None and job.state is JobState.READY:
                changes += leave_job(drop.id, job)
            else:
                kept[other] = rendition.move(DropState.SUPERSEDED)
        return kept, changes

    def _prepare_job(self, rendition: Rendition, label: str, now: datetime) -> list[Change]:
        """Return what gives a rendition a job that will be paid, if it is to be paid at all."""
        job = self.ledger.job(rendition.fingerprint)
        if job is None:
            return [SaveJob(_make_job(rendition, label, now))]
        if job.state is JobState.ERROR and rendition.wants_result:
            return [SaveJob(job.renew(now))]
        if job.state is JobState.READY:
            # Whoever is about to lay the job aside as unwanted must see that it is wanted now.
            return [SaveJob(job.look_again(job.due or now))]
        if job.has_project and rendition.wants_result:
            # Nor may the sweeper lay aside a job whose result is wanted once more.
            return [SaveJob(job.watch_anew(now, now + REVIEW))]
        return []


def renew_rendition(drop: Drop, planned: Rendition) -> Rendition:
    """Return a planned rendition as the drop has it, if that still serves, else to be made."""
    before = drop.renditions.get(planned.fingerprint)
    if before is None:
        return planned
    moved = before.with_destination(planned.directory, planned.output_settings)
    if before.state in OPEN_STATES:
        return moved
    if before.output is not None and before.state is not DropState.SUPERSEDED:
        image_type = before.output.type
        key = output_key(drop.source.key, planned.parameters, image_type, planned.directory)
        if key == before.output.key and before.output_settings == planned.output_settings:
            return before
    return moved.want_again()


def _make_job(rendition: Rendition, label: str, now: datetime) -> Job:
    return Job(
        fingerprint=rendition.fingerprint,
        parameters=rendition.parameters,
        label=label[:_LABEL_LENGTH],
        created_at=now,
        # By then its bytes are at the vendor, or whoever was to send them is gone.
        due=now + REVIEW,
    )
