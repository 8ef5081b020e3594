"""Closes and opens the gate: whether the vendor currently accepts jobs from this account."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from dropscale.ledger.drops import Reason
from dropscale.ledger.gate import Gate
from dropscale.ledger.states import WaitReason
from dropscale.ledger.store import Ledger, LedgerConflict, SaveSingleton
from dropscale.magichour.errors import MagicHourError, OutOfCredits, Throttled, Unauthorized
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
    """Why, and until when, a job is not started; `cause` adds details if there are any."""

    reason: WaitReason
    until: datetime | None = None
    cause: Reason | None = None


@dataclass(frozen=True)
class GateKeeper:
    """Makes all jobs wait when the vendor refuses one.

    `jitter` returns a number in [0, 1).
    """

    ledger: Ledger
    upscaler: Upscaler
    clock: Clock
    jitter: Callable[[], float]

    def close(
        self, reason: WaitReason, error: MagicHourError, *, is_from_account: bool = False
    ) -> Waiting:
        """Close the gate for as long as the error asks, or for longer with each refusal in a row.

        A gate closed as unreadable stays so until `GET /v1/account` is answered, whatever else is
        refused meanwhile: a proxy may be answering. Returns what all jobs wait for now.
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

    def hold_back(self, error: Throttled, probe: Gate | None) -> Waiting:
        """Record a create that was answered with 429: wait until one of our running jobs ends.

        If none runs, or the vendor says how long to wait, or another process has closed the gate,
        the gate closes for all.
        """
        for _ in range(_ATTEMPTS):
            running, gate = self.ledger.slots_taken(), self.ledger.gate()
            is_ours = gate is None or gate.is_open or (probe is not None and gate.seq == probe.seq)
            if not running or error.retry_after is not None or not is_ours:
                break
            seconds = self._pause_seconds(WaitReason.THROTTLED, 0, None)
            until = self.clock() + timedelta(seconds=seconds)
            first = Gate(is_open=True, reason=WaitReason.THROTTLED, until=until, strikes=0, seq=0)
            if self._save((gate or first).narrow(running, until)):
                return Waiting(WaitReason.THROTTLED, until, cause_of(error))
        return self.close(WaitReason.THROTTLED, error)

    def widen(self, most: int) -> None:
        """Record an accepted create: more of the `most` places may be free than assumed."""
        gate = self.ledger.gate()
        if gate and gate.is_open:
            self._save(gate.widen(self.clock(), most))  # If another was faster, its row counts.

    def open(self, probe: Gate | None = None) -> None:
        """Open the gate, because the vendor accepted a job: that of `probe`, if given.

        If another process has closed it since that probe, it stays closed.
        """
        for _ in range(_ATTEMPTS):
            gate = self.ledger.gate()
            if gate and probe and gate.seq != probe.seq:
                return
            if gate is None or gate.is_open or self._save(gate.open()):
                return

    def end_probe(self, probe: Gate | None, seconds: float) -> None:
        """Record that the probe got no answer: another may try after `seconds`."""
        if probe is not None:
            gate = self.ledger.gate()
            if gate and gate.seq == probe.seq:
                self._save(gate.probe(self.clock() + timedelta(seconds=seconds)))

    def due_probe(self, *, place_is_free: bool = False) -> Gate | None:
        """Return the step that lets one job through a closed gate whose time is up, else None.

        If a place at the vendor has just become free, it does not wait for a time that the vendor
        did not ask for: a 429 mostly means that all places are taken.
        """
        gate, now = self.ledger.gate(), self.clock()
        if gate is None or gate.is_open:
            return None
        is_odd = gate.reason is WaitReason.UNREADABLE and gate.strikes == 1
        is_guess = (gate.reason is WaitReason.THROTTLED or is_odd) and not gate.is_asked
        if gate.until > now and not (place_is_free and is_guess):
            return None
        is_early = gate.until > now and not is_odd
        probe = gate.probe(now + timedelta(seconds=_PROBE_SECONDS), is_early=is_early)
        if gate.reason is WaitReason.UNREADABLE:
            return self._probe_account(probe)
        return probe

    def _probe_account(self, probe: Gate) -> Gate | None:
        """Ask for the account, free, before a create: a proxy may still be answering."""
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
            self.ledger.write(SaveSingleton(gate))
        except LedgerConflict:
            return False
        return True


def cause_of(error: MagicHourError) -> Reason:
    """Return the reason shown by jobs that wait: the vendor's own words, if there are any."""
    says = f"The vendor says: {error.message}" if error.message else error.summary
    return Reason(code=error.code or type(error).__name__, message=says, fix=error.fix)
