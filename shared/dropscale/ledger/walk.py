"""How far the slow comparison of bucket and ledger has come."""

from datetime import datetime
from typing import Self

from dropscale.ledger.rows import Instant, Row


class Walk(Row):
    """The walk through the input bucket: pass after pass, key by key; one for the whole stack."""

    since: Instant
    """When the stack began: what lay there before is none of its business."""
    begun: Instant
    """When this pass began, or the last one if none is under way."""
    begun_before: Instant
    """When the pass before that one began."""
    cursor: str | None = None
    """The last key that this pass has seen; None: no pass is under way."""

    @classmethod
    def first(cls, now: datetime) -> Self:
        """Return the walk of a new stack, with nothing to look at yet."""
        return cls(since=now, begun=now, begun_before=now)

    def begin_pass(self, now: datetime) -> Self:
        """Begin a pass."""
        return self._take_step({"begun": now, "begun_before": self.begun, "cursor": ""})

    def move_to(self, cursor: str | None) -> Self:
        """Come to a key, or (None) to the end of the pass."""
        return self._take_step({"cursor": cursor})
