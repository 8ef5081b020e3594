"""The vendor's webhooks, as one more actor: what it sends of its projects, and what comes of it."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from dropscale.magichour.webhooks import EventKind, ProjectEvent
from dropscale.upscaler import ProjectStatus
from tests.chaos.vendor import Entry, Vendor

FUNCTION_SECONDS = 10.0
"""How long the vendor waits for an answer, before it sends the event again."""
_LAST_RETRY = timedelta(hours=24)

_ENDS = {
    ProjectStatus.COMPLETE: EventKind.COMPLETED,
    ProjectStatus.ERROR: EventKind.ERRORED,
}
"""There is no event for a project that was canceled."""


@dataclass(frozen=True)
class Webhooks:
    """How events come: the shares of those that are lost, late (in seconds), repeated or skipped.

    `forged`: of how many projects somebody sends events with other names, or names with other ids.
    """

    lost: float = 0.0
    late: float = 0.0
    latest: float = 3600.0
    repeated: float = 0.0
    skipped: float = 0.0
    """Of `image.started` only, which the vendor may skip."""
    forged: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.lost:.0%} lost, {self.late:.0%} late by up to {self.latest:.0f} s, "
            f"{self.repeated:.0%} repeated, {self.skipped:.0%} skipped, {self.forged:.0%} forged"
        )


Receive = Callable[[ProjectEvent, Callable[[bool], None]], None]
"""Hands an event over, and says later whether it was taken."""
Later = Callable[[float, Callable[[], object]], None]


@dataclass(frozen=True)
class EventSender:
    """Sends the events of a vendor's projects: `happen` lets something happen later."""

    vendor: Vendor
    webhooks: Webhooks
    chance: random.Random
    happen: Later
    receive: Receive

    def follow(self, entry: Entry) -> None:
        """Plan the events of a new project."""
        for kind, after in self._events(entry):
            if self._draw(self.webhooks.lost):
                continue
            event = ProjectEvent(kind, entry.id, entry.name)
            self._send_after(after, event)
            while self._draw(self.webhooks.repeated):
                self._send_after(after + self.chance.choice((0.0, 5.0, 600.0, 86_000.0)), event)
        if self._draw(self.webhooks.forged):
            for event in self._forgeries(entry):
                self._send_after(self.chance.choice((0.0, 1.0, 30.0, 4000.0)), event)

    def _events(self, entry: Entry) -> Iterator[tuple[EventKind, float]]:
        if not self._draw(self.webhooks.skipped):
            yield EventKind.STARTED, 0.5
        if (kind := _ENDS.get(entry.plan.verdict)) is not None:
            yield kind, entry.plan.seconds

    def _forgeries(self, entry: Entry) -> Iterator[ProjectEvent]:
        """Yield events that say of a project what is not true, or of none at all."""
        kind = self.chance.choice(list(EventKind))
        another = self.chance.choice(list(self.vendor.book.values()))
        yield ProjectEvent(kind, entry.id, another.name)
        yield ProjectEvent(kind, another.id, entry.name)
        yield ProjectEvent(kind, f"{entry.id}-of-none", entry.name)
        yield ProjectEvent(kind, "face-swap-1", "A face swap")
        yield ProjectEvent(kind, entry.id, None)

    def _send_after(self, seconds: float, event: ProjectEvent) -> None:
        delay = self.chance.uniform(0.1, 2.0)
        if self._draw(self.webhooks.late):
            delay = self.chance.uniform(0.0, self.webhooks.latest)
        self.happen(seconds + delay, partial(self._send, event, self.vendor.clock(), 1.0))

    def _send(self, event: ProjectEvent, since: datetime, pause: float) -> None:
        def answered(is_taken: bool) -> None:
            if not is_taken and self.vendor.clock() - since < _LAST_RETRY:
                self.happen(pause, partial(self._send, event, since, 2 * pause))

        self.receive(event, answered)

    def _draw(self, share: float) -> bool:
        return self.chance.random() < share


def named_by_events(vendor: Vendor, webhooks: Webhooks | None, now: datetime) -> list[Entry]:
    """Return the projects that the stack knows from events for certain, and can look at."""
    if webhooks is None or webhooks.lost:
        return []
    return [
        entry
        for entry in vendor.book.values()
        if entry.plan.verdict in _ENDS and entry.ends_at <= now and entry.plan.gone is None
    ]
