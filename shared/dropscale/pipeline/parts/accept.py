"""Accept: writes a drop's renditions, and attaches it to their jobs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from dropscale.ledger.drops import Drop, Rendition
from dropscale.ledger.jobs import Job
from dropscale.ledger.states import OPEN_STATES, DropState, JobState
from dropscale.ledger.store import (
    Attach,
    Change,
    Ledger,
    LedgerConflict,
    NameTaken,
    SaveDrop,
    SaveJob,
    job_changes,
)
from dropscale.pipeline.parts.batches import leaves_batch
from dropscale.pipeline.parts.claim_names import (
    OutputNameTaken,
    claims_of,
    origin_of_name,
    releases_of,
)
from dropscale.pipeline.parts.decline import leave_job
from dropscale.pipeline.parts.evaluate import UpscaleRequest
from dropscale.pipeline.parts.poll_schedule import REVIEW
from dropscale.pipeline.parts.ports import Clock
from dropscale.results.output_key import claimed_name, output_key
from dropscale.specs.effective import EffectiveSpec

_LABEL_LENGTH = 120

_Match = tuple[Rendition, Rendition | None]
"""A planned rendition, and the drop's existing one that it replaces."""


@dataclass(frozen=True)
class AcceptDrop:
    """Writes an evaluated drop and its jobs in one transaction."""

    ledger: Ledger
    clock: Clock

    def __call__(self, drop: Drop, request: UpscaleRequest) -> Drop:
        """Write a drop's planned renditions; writes nothing if the drop already has them.

        Raises:
            OutputNameTaken: another drop has claimed the name of one of its outputs.
            LedgerConflict: another process changed the drop, or one of the jobs.
        """
        if request.renditions is None:
            return drop
        now, spec = self.clock(), request.spec
        matches = _match_renditions(drop, list(request.renditions.values()))
        kept, changes = self._leave_others(drop, matches)
        wanted = [renew_rendition(drop, before, planned) for planned, before in matches]
        accepted = drop.evaluate(
            kept | {rendition.id: rendition for rendition in wanted},
            now,
            source=request.source,
            spec=spec,
            warnings=request.warnings,
            batch=spec.batch,
        )
        changes += [SaveDrop(accepted), *leaves_batch(drop, accepted)]
        changes += [*claims_of(drop, wanted), *releases_of(drop, accepted)]
        labels = [one.name or request.source.key for one in spec.wanted_renditions]
        by_job = {one.fingerprint: (one, label) for one, label in zip(wanted, labels, strict=True)}
        for fingerprint, (rendition, label) in by_job.items():
            changes.append(Attach(fingerprint, drop.id))
            is_wanted = accepted.wants(fingerprint)
            changes += self._prepare_job(rendition, label, now, is_wanted=is_wanted)
        try:
            self.ledger.write(*changes)
        except NameTaken as taken:
            raise self._name_clash(drop.source.key, spec, wanted, taken.name) from taken
        return accepted

    def _name_clash(
        self, key: str, spec: EffectiveSpec, wanted: Sequence[Rendition], name: str
    ) -> Exception:
        """Return the error for a name that belongs to another drop than that at `key`."""
        taken = self.ledger.name_claim(name)
        if taken is None:
            return LedgerConflict(f"the name {name} was released meanwhile")
        index = next(at for at, one in enumerate(wanted) if claimed_name(key, one) == name)
        return OutputNameTaken.of(key, taken.key, wanted[index], origin_of_name(spec, index))

    def _leave_others(
        self, drop: Drop, matches: Sequence[_Match]
    ) -> tuple[dict[str, Rendition], list[Change]]:
        """Withdraw the drop's other renditions; those of unpaid jobs are removed entirely."""
        taken = {before.id for _, before in matches if before}
        done = {planned.fingerprint for planned, _ in matches}  # These it does not leave.
        kept: dict[str, Rendition] = {}
        changes: list[Change] = []
        for other in drop.renditions.values():
            if other.id in taken:
                continue
            job = self.ledger.job(other.fingerprint)
            if job is None or job.state is not JobState.READY:
                is_unknown = job is not None and job.state is JobState.UNKNOWN
                reason = other.reason if is_unknown else None
                kept[other.id] = other.move(DropState.SUPERSEDED, reason=reason)
            elif job.fingerprint not in done:
                changes += leave_job(drop.id, job)
                done.add(job.fingerprint)  # Others of this job leave it with this one.
        return kept, changes

    def _prepare_job(
        self, rendition: Rendition, label: str, now: datetime, *, is_wanted: bool
    ) -> list[Change]:
        """Return the changes that create a rendition's job, or make an existing one due."""
        job = self.ledger.job(rendition.fingerprint)
        if job is None:
            return [SaveJob(_make_job(rendition, label, now))]
        # The step also conflicts with a sweep that is about to end the job's rounds.
        return job_changes(job, job.take_drop(now, now + REVIEW)) if is_wanted else []


def _match_renditions(drop: Drop, planned: Sequence[Rendition]) -> list[_Match]:
    """Pair planned renditions with existing ones: the same, else one of the same job."""
    free = dict(drop.renditions)
    same = {one.id: free.pop(one.id) for one in planned if one.id in free}
    matches: list[_Match] = []
    for one in planned:
        before = same.get(one.id)
        if before is None:
            others = [r for r in free.values() if r.fingerprint == one.fingerprint]
            before = free.pop(others[0].id) if others else None
        matches.append((one, before))
    return matches


def renew_rendition(drop: Drop, before: Rendition | None, planned: Rendition) -> Rendition:
    """Return the drop's existing rendition if it fits the planned one, else one to be made."""
    if before is None:
        return planned
    before = before.model_copy(update={"id": planned.id})
    moved = before.with_destination(planned.directory, planned.output_settings)
    if before.state in OPEN_STATES:
        return moved
    if before.output is not None and before.state is not DropState.SUPERSEDED:
        image_type = before.output.type
        key = output_key(drop.source.key, planned, image_type)
        if key == before.output.key and before.output_settings == planned.output_settings:
            return before
    return moved.want_again()


def _make_job(rendition: Rendition, label: str, now: datetime) -> Job:
    return Job(
        fingerprint=rendition.fingerprint,
        parameters=rendition.parameters,
        label=label[:_LABEL_LENGTH],
        created_at=now,
        # By then its bytes are at the vendor, or the function that uploads them has failed.
        due=now + REVIEW,
    )
