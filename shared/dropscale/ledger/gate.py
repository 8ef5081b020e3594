"""Whether the vendor takes jobs from the account."""

from datetime import datetime
from typing import Self

from dropscale.ledger.drops import Reason
from dropscale.ledger.rows import Instant, Row
from dropscale.ledger.states import WaitReason


class Gate(Row):
    """Whether the vendor takes jobs from this account now; one for the whole stack."""

    is_open: bool
    reason: WaitReason
    until: Instant
    is_asked: bool = False
    """Whether the vendor itself said until when."""
    strikes: int
    """Refusals in a row, by which the next closing grows."""
    cause: Reason | None = None
    """What the vendor, or whoever answered in its place, said; for those who wait."""

    def probe(self, until: datetime) -> Self:
        """One job is let through to see; nobody else tries before `until`."""
        return self._take_step({"until": until})

    def close(
        self, reason: WaitReason, until: datetime, is_asked: bool, cause: Reason | None
    ) -> Self:
        """The vendor has refused once more."""
        return self._take_step(
            {
                "is_open": False,
                "reason": reason,
                "until": until,
                "is_asked": is_asked,
                "cause": cause,
                "strikes": self.strikes + 1,
            }
        )

    def open(self) -> Self:
        """The vendor takes jobs again."""
        return self._take_step({"is_open": True, "strikes": 0, "cause": None})
