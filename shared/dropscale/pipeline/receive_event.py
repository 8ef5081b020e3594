"""Receive an event of the vendor's webhook."""

from collections.abc import Callable
from dataclasses import dataclass

from dropscale.ledger.store import Ledger
from dropscale.magichour.webhooks import EventKind, ProjectEvent
from dropscale.pipeline.parts.ports import Clock


@dataclass(frozen=True)
class ReceiveEvent:
    """Wakes the executions that wait for an event's project."""

    ledger: Ledger
    wake: Callable[[str, str, EventKind], int]
    clock: Clock

    def __call__(self, event: ProjectEvent) -> int:
        """Return how many executions were woken."""
        known = self.ledger.project(event.project_id)
        return self.wake(known.fingerprint, event.project_id, event.kind) if known else 0
