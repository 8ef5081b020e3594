"""What was last heard of the account at the vendor: its tier, and the credits that it has left."""

from datetime import datetime, timedelta
from typing import Self

from dropscale.ledger.rows import Instant, Row
from dropscale.upscaler import PLACES

_FRESH = timedelta(hours=1)
_MOST_CREDITS = 10**12
"""A row holds no number of any size; nobody has more."""


class KnownAccount(Row):
    """The account, as the vendor last told of it; one for the whole stack."""

    asked_at: Instant
    tier: str | None = None
    """A tier whose number of jobs is known; None: none was told so far."""
    credits: int | None = None

    @property
    def places(self) -> int:
        """How many jobs it may run at once."""
        return PLACES[self.tier] if self.tier else 1

    def is_fresh(self, now: datetime) -> bool:
        """Whether there is no need to ask yet."""
        return now - self.asked_at < _FRESH

    def hear(self, tier: str | None, left: int | None, now: datetime) -> Self:
        """The vendor has told; what it has not, or in unknown words, is as it was."""
        known = tier if tier in PLACES else self.tier
        left = self.credits if left is None else max(-_MOST_CREDITS, min(left, _MOST_CREDITS))
        return self._take_step({"asked_at": now, "tier": known, "credits": left})

    def hear_nothing(self, now: datetime) -> Self:
        """The vendor was asked in vain."""
        return self._take_step({"asked_at": now})
