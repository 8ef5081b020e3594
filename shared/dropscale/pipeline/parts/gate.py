"""Closes and opens the gate: whether the vendor takes jobs from this account now."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from dropscale.ledger.drops import Reason
from dropscale.ledger.gate import Gate
from dropscale.ledger.states import WaitReason
from dropscale.ledger.store import Ledger, LedgerConflict, SaveGate
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

    def hold_back(self, error: Throttled, probe: Gate | None) -> Waiting:
        """A create was answered 429: wait for a place of those of ours that run, if any do.

        If none does, or the vendor says how long to wait, or somebody else has closed the gate,
        it is closed for all.
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
        """The vendor has taken a job: of `most` places, more may be free than it seemed."""
        gate = self.ledger.gate()
        if gate and gate.is_open:
            self._save(gate.widen(self.clock(), most))  # Whoever was faster knows better.

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

    def end_probe(self, probe: Gate | None, seconds: float) -> None:
        """The job that was let through has brought no answer: another may try after a while."""
        if probe is not None:
            gate = self.ledger.gate()
            if gate and gate.seq == probe.seq:
                self._save(gate.probe(self.clock() + timedelta(seconds=seconds)))

    def due_probe(self, *, place_is_free: bool = False) -> Gate | None:
        """Return the step that lets one job through a gate whose time is up, else None.

        If a place at the vendor has just become free, there is no point in waiting out a time
        that the vendor did not ask for: a 429 mostly says that all places are taken.
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
