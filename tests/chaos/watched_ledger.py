"""The ledger in memory, watched: what changes, and when there is something to do."""

from collections.abc import Callable
from datetime import datetime

from dropscale.ledger.store import LAID_ASIDE, Change, SaveDrop, SaveHints, SaveJob
from tests.fakes import MemoryLedger


class WatchedLedger(MemoryLedger):
    """Counts what is saved of drops and jobs, and knows what is due first."""

    def __init__(self) -> None:
        super().__init__()
        self.changes = 0
        self.watch: Callable[[Change], None] = lambda _: None
        """Receives each change."""

    def earliest_due(self) -> datetime | None:
        """Return when the sweeper next has something to do."""
        first = min((entries[0][0] for entries in self.due.values() if entries), default=None)
        return None if first == LAID_ASIDE else first

    def _make(self, change: Change) -> None:
        self.changes += isinstance(change, SaveDrop | SaveJob | SaveHints)
        self.watch(change)
        super()._make(change)
