"""Closes and opens the gate: whether the vendor takes jobs from this account now."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from dropscale.ledger.drops import Reason
from dropscale.ledger.gate import Gate
from dropscale.ledger.states import WaitReason
from dropscale.ledger.store import Ledger, LedgerConflict, SaveGate
from dropscale.magichour.errors import MagicHourError, OutOfCredits, Unauthorized
from dropscale.pipeline.parts.ports import Clock, Upscaler

_ATTEMPTS = 5
_PROBE_SECONDS = 120.0
_FIRST_AND_LONGEST = MappingProxyType(
    {
        WaitReason.THROTTLED: (30.0, 900.0),
        WaitReason.ACCOUNT: (120.0, 3600.0),
        WaitReason.UNREADABLE: (30.0, 900.0),
    }
)


@dataclass(frozen=True)
class Waiting:
    """Why, and until when, a job is not started; `cause` says more where there is more to say."""

    reason: WaitReason
    until: datetime | None = None
    cause: Reason | None = None


@dataclass(frozen=True)
class GateKeeper:
    """Lets everyone wait together when the vendor refuses one.

    `jitter` returns a number in [0, 1).
    """

    ledger: Ledger
    upscaler: Upscaler
    clock: Clock
    jitter: Callable[[], float]

    def close(
        self, reason: WaitReason, error: MagicHourError, *, is_from_account: bool = False
    ) -> Waiting:
        """Close it for as long as the error asks, or for longer with each refusal in a row.

        What is closed as unreadable stays so until the account has answered, whatever else is
        refused meanwhile: nobody knows who refuses. Returns what everybody waits for now.
        """
        retry_after, cause = error.retry_after, cause_of(error)
        waiting = Waiting(reason, self.clock(), cause)
        for _ in range(_ATTEMPTS):
            gate = self.ledger.gate()
            if gate and not gate.is_open and gate.reason is WaitReason.UNREADABLE:
                reason = reason if is_from_account else gate.reason
            seconds = self._pause_seconds(reason, gate.strikes if gate else 0, retry_after)
            until = self.clock() + timedelta(seconds=seconds)
            first = Gate(is_open=True, reason=reason, until=until, strikes=0, seq=0)
            is_asked = retry_after is not None
            closed = (gate or first).close(reason, until, is_asked=is_asked, cause=cause)
            waiting = Waiting(reason, until, cause)
            if self._save(closed):
                break
        return waiting

    def open(self, probe: Gate | None = None) -> None:
        """Open it: the vendor has taken a job; the one that was let through by `probe`, if given.

        Whoever has closed it since that probe knows better.
        """
        for _ in range(_ATTEMPTS):
            gate = self.ledger.gate()
            if gate and probe and gate.seq != probe.seq:
                return
            if gate is None or gate.is_open or self._save(gate.open()):
                return

    def due_probe(self, *, place_is_free: bool = False) -> Gate | None:
        """Return the step that lets one job through a gate whose time is up, else None.

        If a place at the vendor has just become free, there is no point in waiting out a time
        that the vendor did not ask for: a 429 mostly says that all places are taken.
        """
        gate, now = self.ledger.gate(), self.clock()
        if gate is None or gate.is_open:
            return None
        is_guess = gate.reason is WaitReason.THROTTLED and not gate.is_asked
        if gate.until > now and not (place_is_free and is_guess):
            return None
        probe = gate.probe(now + timedelta(seconds=_PROBE_SECONDS))
        if gate.reason is WaitReason.UNREADABLE:
            return self._probe_account(probe)
        return probe

    def _probe_account(self, probe: Gate) -> Gate | None:
        """Ask for the account, free, before a create is sent where nobody knows who answers."""
        if not self._save(probe):
            return None
        try:
            self.upscaler.account()
        except MagicHourError as error:
            is_refused = isinstance(error, Unauthorized | OutOfCredits)
            reason = WaitReason.ACCOUNT if is_refused else WaitReason.UNREADABLE
            self.close(reason, error, is_from_account=True)
            return None
        return probe.probe(self.clock() + timedelta(seconds=_PROBE_SECONDS))

    def _pause_seconds(self, reason: WaitReason, strikes: int, retry_after: float | None) -> float:
        first, longest = _FIRST_AND_LONGEST[reason]
        if retry_after is not None:
            return min(max(retry_after, 1.0), longest) + self.jitter()
        grown: float = min(first * 2**strikes, longest)
        return grown * (0.75 + 0.5 * self.jitter())

    def _save(self, gate: Gate) -> bool:
        try:
            self.ledger.write(SaveGate(gate))
        except LedgerConflict:
            return False
        return True


def cause_of(error: MagicHourError) -> Reason:
    """Return what those who wait for the gate are told: the vendor's own words, if it has any."""
    says = f"The vendor says: {error.message}" if error.message else error.summary
    return Reason(code=error.code or type(error).__name__, message=says, fix=error.fix)
