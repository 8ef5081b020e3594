"""Decline: records that a drop is not upscaled, and withdraws it from unpaid jobs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from types import MappingProxyType

from dropscale.errors import DropscaleError
from dropscale.ledger.drops import Drop, Reason
from dropscale.ledger.jobs import Job
from dropscale.ledger.states import DropState, JobState, WaitReason
from dropscale.ledger.store import Change, Detach, Ledger, SaveDrop, SaveJob
from dropscale.pipeline.parts.batches import BatchOf, leaves_batch, stay
from dropscale.pipeline.parts.claim_names import releases_of
from dropscale.pipeline.parts.evaluate import Declined
from dropscale.pipeline.parts.ports import Clock

ACCESS_PAUSE = timedelta(hours=1)
"""How long a drop waits before access is tried again."""

_PAUSES = MappingProxyType({WaitReason.ACCESS: ACCESS_PAUSE, WaitReason.LEDGER: timedelta()})
"""A stack that may not pay does not sweep; once it may, it looks again at once."""

_WITHDRAWN = frozenset({DropState.SKIPPED, DropState.REJECTED})


class SourceGone(DropscaleError):
    """The image was deleted before it was read."""


@dataclass(frozen=True)
class DeclineDrop:
    """Sets the state of the drop itself; its renditions in paid jobs continue."""

    ledger: Ledger
    clock: Clock
    batch_of: BatchOf = stay

    def __call__(self, drop: Drop, declined: Declined) -> Drop:
        """Move a declined drop to its new state, in one transaction.

        A drop that is skipped or rejected leaves its unpaid jobs; one that waits keeps them.

        Raises:
            LedgerConflict: another process changed the drop, or one of the jobs.
        """
        fingerprints = drop.fingerprints if declined.state in _WITHDRAWN else ()
        unpaid = [job for job in self._jobs(fingerprints) if job.state is JobState.READY]
        return self._write(drop, declined, unpaid)

    def cancel(self, drop: Drop) -> Drop:
        """End the jobs that wait for the bytes of a deleted image; the drop's others continue.

        Raises:
            LedgerConflict: another process changed the drop, or one of the jobs.
        """
        now = self.clock()
        wanted = filter(drop.wants, drop.fingerprints)
        stuck = [job for job in self._jobs(wanted) if job.needs_upload(now)]
        if drop.renditions and not stuck:
            return drop
        error = SourceGone(f"{drop.source.key} was deleted", fix="Drop it again if you want it.")
        declined = Declined(DropState.CANCELED, drop.source, Reason.of(error))
        return self._write(drop, declined, stuck)

    def _jobs(self, fingerprints: Iterable[str]) -> list[Job]:
        return [job for name in fingerprints if (job := self.ledger.job(name))]

    def _write(self, drop: Drop, declined: Declined, leaving: Sequence[Job]) -> Drop:
        warnings = drop.warnings if declined.warnings is None else declined.warnings
        declined = replace(declined, warnings=warnings)
        batch = self.batch_of(drop)
        stands = (
            Declined(drop.state, drop.source, drop.reason, drop.wait, drop.warnings) == declined
        )
        if stands and drop.seq and not leaving and drop.batch == batch:
            return drop
        left = {job.fingerprint for job in leaving}
        now = self.clock()
        pause = _PAUSES.get(declined.wait) if declined.wait else None
        after = drop.set_state(
            declined.state,
            now,
            wait_until=None if pause is None else now + pause,
            source=declined.source,
            reason=declined.reason,
            wait=declined.wait,
            warnings=warnings,
            batch=batch,
            renditions={
                name: rendition
                for name, rendition in drop.renditions.items()
                if rendition.fingerprint not in left
            },
        )
        departures = [change for job in leaving for change in leave_job(drop.id, job)]
        departures += [*leaves_batch(drop, after), *releases_of(drop, after)]
        self.ledger.write(SaveDrop(after), *departures)
        return after


def leave_job(drop_id: str, job: Job) -> list[Change]:
    """Return the changes that withdraw a drop from an unpaid job, unless it is being paid now."""
    return [Detach(job.fingerprint, drop_id), SaveJob(job.look_again(job.due))]
