"""Ends the waits of executions when an event of their project comes.

A waiter's row is written when the wait begins, and removed when the execution continues. A row that
is left behind does no harm: its token is dead, and a later wait has the same row.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from dropscale.ledger.store import END_OF_TIME, Ledger
from dropscale.ledger.waiters import Waiter
from dropscale.magichour.webhooks import EventKind
from dropscale.pipeline.parts.execution import ExecutionState
from dropscale.pipeline.parts.ports import TaskCallbacks

MOST_WOKEN = 25
"""The most executions that one event wakes; the others look when their pause is over."""


@dataclass(frozen=True)
class WakeWaiters:
    """Ends the waits of the executions that wait for a project."""

    ledger: Ledger
    callbacks: TaskCallbacks

    def __call__(self, fingerprint: str, project_id: str, kind: EventKind) -> int:
        """Wake at most `MOST_WOKEN` of a project's waiters; return how many.

        An event is a hint: after `completed` deliver looks itself, after `errored` check looks.
        `started` wakes nobody.
        """
        if kind is EventKind.STARTED:
            return 0
        waiting = self.ledger.list_waiters(fingerprint, project_id, MOST_WOKEN)
        return sum(self.wake(waiter, kind) for waiter in waiting)

    def wake(self, waiter: Waiter, kind: EventKind) -> bool:
        """End one wait; return False if it was over."""
        is_complete = kind is EventKind.COMPLETED
        return (self.callbacks.deliver if is_complete else self.callbacks.look)(waiter.token)


def waiter_of(state: ExecutionState, token: str, entered: datetime) -> Waiter:
    """Return the waiter that an execution becomes when it enters its wait."""
    return Waiter(
        fingerprint=state.fingerprint,
        drop_id=state.drop_id,
        rendition_id=state.rendition_id,
        generation=state.generation,
        entered=entered,
        project_id=state.project_id,
        token=token,
    )


def end_wait(ledger: Ledger, state: ExecutionState) -> None:
    """Remove the row of an execution that waits no longer, unless a newer one waits.

    Where that fails, or is not allowed any more because webhooks were turned off, the row stays.
    """
    if not state.webhooks:
        return
    with suppress(Exception):
        ledger.remove_waiter(waiter_of(state, "", END_OF_TIME))
