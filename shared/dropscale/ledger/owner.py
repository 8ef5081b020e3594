"""Which stack owns a ledger: a table outlives its stack, and another stack may take it over."""

from datetime import datetime
from typing import Self

from dropscale.ledger.rows import Instant, Row


class Owner(Row):
    """The one stack that may pay from this ledger; `schema_number` is of the version it ran."""

    stack_id: str
    """CloudFormation's stack id: two stacks with one name have different ids."""
    since: Instant
    is_rebuilt: bool = True
    """False: this ledger is new, and the results bucket has another's manifests, not read yet."""

    def hand_over(self, stack_id: str, now: datetime) -> Self:
        """Make another stack the owner; the previous one may no longer pay."""
        return self._take_step({"stack_id": stack_id, "since": now})

    def note_rebuilt(self) -> Self:
        """Record that the manifests were read into the ledger, or that a person skipped this."""
        return self._take_step({"is_rebuilt": True})
