"""What the vendor last said about the account: its tier, and the credits it has left."""

from datetime import datetime, timedelta
from typing import Self

from dropscale.ledger.rows import Instant, Row
from dropscale.upscaler import PLACES

_FRESH = timedelta(hours=1)
_MOST_CREDITS = 10**12
"""An upper bound, because a DynamoDB number is limited; no account has more."""


class KnownAccount(Row):
    """The account, as the vendor last described it; one row for the whole stack."""

    asked_at: Instant
    tier: str | None = None
    """A tier whose number of concurrent jobs is known; None: the vendor has named none yet."""
    credits: int | None = None

    @property
    def places(self) -> int:
        """How many jobs the account may run at once."""
        return PLACES[self.tier] if self.tier else 1

    def is_fresh(self, now: datetime) -> bool:
        """Whether the vendor need not be asked yet."""
        return now - self.asked_at < _FRESH

    def hear(self, tier: str | None, left: int | None, now: datetime) -> Self:
        """Record the vendor's answer; a missing or unknown value leaves the earlier one."""
        known = tier if tier in PLACES else self.tier
        left = self.credits if left is None else max(-_MOST_CREDITS, min(left, _MOST_CREDITS))
        return self._take_step({"asked_at": now, "tier": known, "credits": left})

    def hear_nothing(self, now: datetime) -> Self:
        """Record that the vendor was asked but did not answer."""
        return self._take_step({"asked_at": now})
