"""Whether the vendor takes jobs from the account."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict

from dropscale.ledger.records import Instant
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

    def probed(self, until: datetime) -> Self:
        """One job is let through to see; nobody else tries before `until`."""
        return self.model_copy(update={"until": until, "seq": self.seq + 1})

    def closed(self, reason: WaitReason, until: datetime, is_asked: bool) -> Self:
        """The vendor has refused once more."""
        changes = {"is_open": False, "reason": reason, "until": until, "is_asked": is_asked}
        return self.model_copy(update={**changes, "strikes": self.strikes + 1, "seq": self.seq + 1})

    def opened(self) -> Self:
        """The vendor takes jobs again."""
        return self.model_copy(update={"is_open": True, "strikes": 0, "seq": self.seq + 1})
