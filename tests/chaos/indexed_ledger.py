"""The ledger in memory with an index of what is due, as DynamoDB has one."""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime

from dropscale.ledger.drops import Drop
from dropscale.ledger.jobs import Job
from dropscale.ledger.store import AGENDA_BY_JOB_STATE, Agenda, Change, SaveDrop, SaveJob
from tests.fakes import MemoryLedger

_Entry = tuple[datetime, str]


class IndexedLedger(MemoryLedger):
    """Answers `due` without a look at every record."""

    def __init__(self) -> None:
        super().__init__()
        self.changes = 0
        self.watch: Callable[[Change], None] = lambda _: None
        """Told of each change."""
        self._index: dict[Agenda, list[_Entry]] = defaultdict(list)

    def list_due(self, agenda: Agenda, before: datetime, limit: int) -> list[str]:
        entries = self._index[agenda]
        end = bisect_left(entries, (before, ""))
        return [name for _, name in entries[: min(end, limit)]]

    def earliest_due(self) -> datetime | None:
        """Return when the sweeper next has something to do."""
        return min((entries[0][0] for entries in self._index.values() if entries), default=None)

    def note_manifest_written(self, drop: Drop) -> None:
        before = self.drops[drop.id]
        super().note_manifest_written(drop)
        self._move(Agenda.DROPS, before, Agenda.DROPS, self.drops[drop.id])

    def _make(self, change: Change) -> None:
        self.changes += isinstance(change, SaveDrop | SaveJob)
        self.watch(change)
        match change:
            case SaveDrop(drop):
                self._move(Agenda.DROPS, self.drops.get(drop.id), Agenda.DROPS, drop)
            case SaveJob(job):
                before = self.jobs.get(job.fingerprint)
                left = AGENDA_BY_JOB_STATE[(before or job).state]
                self._move(left, before, AGENDA_BY_JOB_STATE[job.state], job)
        super()._make(change)

    def _move(
        self, left: Agenda, before: Drop | Job | None, entered: Agenda, after: Drop | Job
    ) -> None:
        if before is not None and before.due:
            entries = self._index[left]
            del entries[bisect_left(entries, (before.due, _name(before)))]
        if after.due:
            insort(self._index[entered], (after.due, _name(after)))


def _name(record: Drop | Job) -> str:
    return record.id if isinstance(record, Drop) else record.fingerprint
