"""Records the account: how many jobs its tier runs at once, and its credits."""

from contextlib import suppress
from dataclasses import dataclass

from dropscale.ledger.account import KnownAccount
from dropscale.ledger.store import Ledger, LedgerConflict, SaveSingleton
from dropscale.magichour.errors import MagicHourError
from dropscale.pipeline.parts.ports import Clock, Upscaler


@dataclass(frozen=True)
class AskForAccount:
    """Asks the vendor, free, once an hour; at each call until its first answer."""

    ledger: Ledger
    upscaler: Upscaler
    clock: Clock

    def __call__(self) -> None:
        """Ask if it is time; without an answer, what was known is kept."""
        now, known = self.clock(), self.ledger.account()
        if known and known.is_fresh(now):
            return
        try:
            account = self.upscaler.account()
        except MagicHourError:
            after = known and known.hear_nothing(now)
        else:
            before = known or KnownAccount(asked_at=now, seq=0)
            after = before.hear(account.tier, account.credits, now)
        if after:
            with suppress(LedgerConflict):  # Another sweep has asked at the same time.
                self.ledger.write(SaveSingleton(after))
