"""Ownership: whether this stack may pay from its ledger.

A table outlives its stack. Two stacks with one ledger would start each other's jobs, and a new
ledger beside an old one's results would pay for them again. So a ledger has one owner.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from dropscale.errors import DropscaleError
from dropscale.ledger.owner import Owner
from dropscale.ledger.rows import SCHEMA
from dropscale.ledger.store import Ledger, LedgerConflict, RequireOwner, SaveSingleton
from dropscale.pipeline.parts.ports import Clock, ResultsBucket

_TRUSTED_FOR = timedelta(seconds=50)
"""How long the owner is not read again: each claim requires it, too. Sweeps run each minute."""


class MayNotPay(DropscaleError):
    """This stack may not pay from its ledger now; what waits continues once it may."""


class LedgerOwnedByAnother(MayNotPay):
    """Another stack owns this ledger."""

    @classmethod
    def of(cls, owner: Owner) -> "LedgerOwnedByAnother":
        """Return the error with the owner, and how this stack can take over."""
        return cls(
            f"the ledger belongs to stack {owner.stack_id}, so this one pays for nothing",
            fix=(
                "If that stack is deleted, or is to pay no longer: `dropscale doctor "
                "--take-over`. What waits then continues automatically."
            ),
        )


class LedgerOfNewerSchema(MayNotPay):
    """A newer version has written the ledger."""

    @classmethod
    def of(cls, owner: Owner) -> "LedgerOfNewerSchema":
        """Return the error with both schemas."""
        return cls(
            f"the ledger has schema {owner.schema_number}, and this version knows {SCHEMA}",
            fix="Deploy the version that wrote it, or a newer one.",
        )


class LedgerNotRebuilt(MayNotPay):
    """The ledger is new, and the results bucket has manifests of another."""

    @classmethod
    def beside_manifests(cls) -> "LedgerNotRebuilt":
        """Return the error, with how to read those manifests or to ignore them."""
        return cls(
            "the ledger is new, and the results bucket holds (or may hold) manifests of an earlier "
            "one, so it does not know what is already paid",
            fix=(
                "`dropscale ledger rebuild` reads them, free. To pay for everything again: "
                "`dropscale ledger rebuild --decline`. What waits then continues automatically."
            ),
        )


@dataclass
class Ownership:
    """Decides whether `stack_id` may pay from the ledger; one without an owner is taken."""

    ledger: Ledger
    results: ResultsBucket
    clock: Clock
    stack_id: str
    _sure_until: datetime | None = field(default=None, init=False)

    @property
    def condition(self) -> RequireOwner:
        """What each claim requires in its own transaction, whatever was read earlier."""
        return RequireOwner(self.stack_id)

    def require(self) -> None:
        """Raise unless this stack may pay.

        Raises:
            MayNotPay: another stack owns it, or it has a newer schema, or is not rebuilt.
        """
        now = self.clock()
        if self._sure_until is not None and now < self._sure_until:
            return
        if not self.require_own().is_rebuilt:
            raise LedgerNotRebuilt.beside_manifests()
        self._sure_until = now + _TRUSTED_FOR

    def owner(self) -> Owner:
        """Return the ledger's owner; if there is none, this stack becomes the owner.

        A used ledger without an owner is from an earlier version, which had none. Beside a new
        one, the results bucket may have manifests: these must be read first.
        """
        found = self.ledger.owner()
        if found is not None:
            return found
        is_rebuilt = not (self.ledger.is_new() and self.results.may_hold_manifests())
        ours = Owner(stack_id=self.stack_id, since=self.clock(), is_rebuilt=is_rebuilt)
        try:
            self.ledger.write(SaveSingleton(ours))
        except LedgerConflict:
            return self.owner()  # Somebody was faster.
        return ours

    def take_over(self) -> Owner:
        """Make this stack the ledger's owner, by a person's decision."""
        owner = self.owner()
        if owner.stack_id == self.stack_id:
            return owner
        ours = owner.hand_over(self.stack_id, self.clock())
        self.ledger.write(SaveSingleton(ours))
        return ours

    def require_own(self) -> Owner:
        """Return the owner if it is this stack, whether the ledger is rebuilt or not.

        Raises:
            LedgerOwnedByAnother, LedgerOfNewerSchema: the ledger is not this stack's to change.
        """
        owner = self.owner()
        if owner.schema_number > SCHEMA:
            raise LedgerOfNewerSchema.of(owner)
        if owner.stack_id != self.stack_id:
            raise LedgerOwnedByAnother.of(owner)
        return owner

    def note_rebuilt(self) -> None:
        """Let this stack pay: the manifests were read into the ledger, or a person skipped this.

        Raises:
            LedgerOwnedByAnother, LedgerOfNewerSchema: the ledger is not this stack's to change.
        """
        owner = self.require_own()
        if not owner.is_rebuilt:
            self.ledger.write(SaveSingleton(owner.note_rebuilt()))
