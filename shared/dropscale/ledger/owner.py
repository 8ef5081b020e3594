"""Which stack pays by a ledger: a table outlives its stack, and another may take it up."""

from datetime import datetime
from typing import Self

from dropscale.ledger.rows import Instant, Row


class Owner(Row):
    """The one stack that may pay by this ledger; its `schema_number` is of the version it ran."""

    stack_id: str
    """CloudFormation's: two stacks of one name have two."""
    since: Instant
    is_rebuilt: bool = True
    """False: the ledger is new, and the results bucket has manifests of another, not read yet."""

    def hand_over(self, stack_id: str, now: datetime) -> Self:
        """Let another stack pay from now on, and this one no more."""
        return self._take_step({"stack_id": stack_id, "since": now})

    def note_rebuilt(self) -> Self:
        """What the results bucket tells is in the ledger, or a person goes on without it."""
        return self._take_step({"is_rebuilt": True})
