"""The progress of the slow comparison of bucket and ledger."""

from datetime import datetime
from typing import Self

from dropscale.ledger.rows import Instant, Row


class Walk(Row):
    """The walk through the input bucket, in passes, key by key; one row for the whole stack."""

    since: Instant
    """When the stack was created: older objects are not its concern."""
    begun: Instant
    """When this pass began, or the last one if none is running."""
    begun_before: Instant
    """When the pass before that one began."""
    cursor: str | None = None
    """The last key that this pass has seen; None: no pass is running."""

    @classmethod
    def first(cls, now: datetime) -> Self:
        """Return the walk of a new stack."""
        return cls(since=now, begun=now, begun_before=now)

    def begin_pass(self, now: datetime) -> Self:
        """Begin a pass."""
        return self._take_step({"begun": now, "begun_before": self.begun, "cursor": ""})

    def move_to(self, cursor: str | None) -> Self:
        """Record that the pass has reached a key, or (None) its end."""
        return self._take_step({"cursor": cursor})
