"""Whether the vendor currently accepts jobs from the account."""

from datetime import datetime
from typing import Self

from dropscale.ledger.drops import Reason
from dropscale.ledger.rows import Instant, Row
from dropscale.ledger.states import WaitReason


class Gate(Row):
    """Whether the vendor currently accepts jobs from this account; one row for the whole stack."""

    is_open: bool
    reason: WaitReason
    until: Instant
    """Closed: when one job may try. Open: when one more job than `places` may run."""
    is_asked: bool = False
    """Whether the vendor itself named that time."""
    strikes: int
    """Refusals in a row; each makes the next closing longer."""
    cause: Reason | None = None
    """What the vendor, or a proxy in its place, answered: the reason shown by waiting drops."""

    places: int | None = None
    """How many of our jobs ran when the vendor last refused another; None: no such limit."""
    passed: int = 0
    """Creates that the vendor has accepted since `places` last changed."""

    def limit(self, now: datetime) -> int | None:
        """Return how many of our jobs may run, judging by refusals; None: no limit is known."""
        return None if self.places is None else self.places + (now >= self.until)

    def narrow(self, running: int, until: datetime) -> Self:
        """Record that the vendor refused another job while `running` of ours run."""
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
        """Record an accepted create; after `places` of them, or some time, allow one more job."""
        places, passed = self.places or most, self.passed + 1
        if passed >= places or now >= self.until:
            places, passed = places + 1, 0
        return self._take_step({"places": places if places < most else None, "passed": passed})

    def probe(self, until: datetime, is_early: bool = False) -> Self:
        """Let one job through as a test; no other job tries before `until`.

        A refusal of an early probe does not make the next closing longer.
        """
        return self._take_step({"until": until, "strikes": max(0, self.strikes - is_early)})

    def close(
        self, reason: WaitReason, until: datetime, is_asked: bool, cause: Reason | None
    ) -> Self:
        """Record another refusal."""
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
        """Record that the vendor accepts jobs again."""
        return self._take_step({"is_open": True, "strikes": 0, "cause": None})
