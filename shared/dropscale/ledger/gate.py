"""Whether the vendor takes jobs from the account."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict

from dropscale.ledger.records import Instant, Reason
from dropscale.ledger.states import WaitReason


class Gate(BaseModel):
    """Whether the vendor takes jobs from this account now; one for the whole stack."""

    model_config = ConfigDict(frozen=True)

    seq: int = 1
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
        return self.model_copy(update={"until": until, "seq": self.seq + 1})

    def close(
        self, reason: WaitReason, until: datetime, is_asked: bool, cause: Reason | None
    ) -> Self:
        """The vendor has refused once more."""
        return self.model_copy(
            update={
                "is_open": False,
                "reason": reason,
                "until": until,
                "is_asked": is_asked,
                "cause": cause,
                "strikes": self.strikes + 1,
                "seq": self.seq + 1,
            }
        )

    def open(self) -> Self:
        """The vendor takes jobs again."""
        return self.model_copy(
            update={"is_open": True, "strikes": 0, "cause": None, "seq": self.seq + 1}
        )
