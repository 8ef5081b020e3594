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
    """Closed: when one may try. Open: when one more than `places` may."""
    is_asked: bool = False
    """Whether the vendor itself said until when."""
    strikes: int
    """Refusals in a row, by which the next closing grows."""
    cause: Reason | None = None
    """What the vendor, or whoever answered in its place, said; for those who wait."""

    places: int | None = None
    """So many of ours ran when the vendor last refused one more; None: as many as may run."""
    passed: int = 0
    """Creates that the vendor has taken since `places` was last changed."""

    def limit(self, now: datetime) -> int | None:
        """Return how many of ours may run, as far as refusals tell; None: they tell nothing."""
        return None if self.places is None else self.places + (now >= self.until)

    def narrow(self, running: int, until: datetime) -> Self:
        """The vendor has refused one more than those that run: it has no place for it."""
        return self._take_step(
            {
                "is_open": True,
                "strikes": 0,
                "cause": None,
                "until": until,
                "places": running,
                "passed": 0,
            }
        )

    def widen(self, now: datetime, most: int) -> Self:
        """The vendor has taken one: of as many as it has places, or after a while, one more may."""
        places, passed = self.places or most, self.passed + 1
        if passed >= places or now >= self.until:
            places, passed = places + 1, 0
        return self._take_step({"places": places if places < most else None, "passed": passed})

    def probe(self, until: datetime, is_early: bool = False) -> Self:
        """One job is let through to see; nobody else tries before `until`.

        If it comes before its time, its refusal is none that lets the next closing grow.
        """
        return self._take_step({"until": until, "strikes": max(0, self.strikes - is_early)})

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
