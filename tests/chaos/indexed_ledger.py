"""The ledger in memory with an index of what is due, as DynamoDB has one."""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime

from dropscale.ledger.batches import Batch
from dropscale.ledger.drops import Drop
from dropscale.ledger.jobs import Job
from dropscale.ledger.store import (
    LAID_ASIDE,
    Agenda,
    Change,
    SaveBatch,
    SaveDrop,
    SaveHints,
    SaveJob,
    listing_of,
)
from tests.fakes import MemoryLedger

_Entry = tuple[datetime, str]
_Listed = Drop | Job | Batch


class IndexedLedger(MemoryLedger):
    """Answers `due` without a look at every record."""

    def __init__(self) -> None:
        super().__init__()
        self.changes = 0
        self.watch: Callable[[Change], None] = lambda _: None
        """Receives each change."""
        self._index: dict[Agenda, list[_Entry]] = defaultdict(list)

    def list_due(self, agenda: Agenda, before: datetime, limit: int) -> list[str]:
        entries = self._index[agenda]
        end = bisect_left(entries, (before, ""))
        return [name for _, name in entries[: min(end, limit)]]

    def earliest_due(self) -> datetime | None:
        """Return when the sweeper next has something to do."""
        first = min((entries[0][0] for entries in self._index.values() if entries), default=None)
        return None if first == LAID_ASIDE else first

    def note_manifest_written(self, drop: Drop) -> None:
        before = self.drops[drop.id]
        super().note_manifest_written(drop)
        self._move(before, self.drops[drop.id])

    def _make(self, change: Change) -> None:
        self.changes += isinstance(change, SaveDrop | SaveJob | SaveHints)
        self.watch(change)
        match change:
            case SaveDrop(drop):
                self._move(self.drops.get(drop.id), drop)
            case SaveJob(job) | SaveHints(job):
                self._move(self.jobs.get(job.fingerprint), job)
            case SaveBatch(batch):
                self._move(self.batches.get(batch.id), batch)
        super()._make(change)

    def _move(self, before: _Listed | None, after: _Listed) -> None:
        if before is not None and (left := _entry(before)):
            entries = self._index[left[0]]
            del entries[bisect_left(entries, left[1])]
        if entered := _entry(after):
            insort(self._index[entered[0]], entered[1])


def _entry(record: _Listed) -> tuple[Agenda, _Entry] | None:
    """Return where a record is listed, and as what."""
    listing = listing_of(record)
    name = record.fingerprint if isinstance(record, Job) else record.id
    return (listing[0], (listing[1], name)) if listing else None
