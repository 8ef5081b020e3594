"""Virtual time: tasks take turns, and time jumps to whatever comes next.

A task is a greenlet: the use cases, which know nothing of this, are switched away from in the
middle of an outside call. One task runs at a time and ties go to who came first, so a run is
repeatable to the last step.
"""

import heapq
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count

from greenlet import getcurrent, greenlet

from tests.fakes import Clock


class VirtualTime:
    """A clock and scheduled events."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._agenda: list[tuple[datetime, int, Callable[[], object]]] = []
        self._order = count()
        self._hub = getcurrent()
        self._until = clock.now

    def after(self, seconds: float, action: Callable[[], object]) -> None:
        """Let something happen later."""
        at = self.clock.now + timedelta(seconds=seconds)
        heapq.heappush(self._agenda, (at, next(self._order), action))

    def spawn(self, task: greenlet) -> None:
        """Let a task begin, now, beside whatever else runs."""
        task.parent = self._hub
        self.after(0, task.switch)

    def sleep(self, seconds: float) -> None:
        """Let others run while the current task waits."""
        clock, agenda = self.clock, self._agenda
        wakes_at = clock.now + timedelta(0, seconds)
        if wakes_at <= self._until and (not agenda or wakes_at < agenda[0][0]):
            clock.now = wakes_at  # Nobody else has anything to do meanwhile.
            return
        self.after(seconds, getcurrent().switch)
        self.pause()

    def pause(self) -> None:
        """Let others run until somebody switches back to the current task."""
        self._hub.switch()

    def next_at(self) -> datetime | None:
        """Return when the next thing happens, None if nothing does."""
        return self._agenda[0][0] if self._agenda else None

    def run(self, until: datetime) -> bool:
        """Run all events in order; return whether none is left."""
        self._until = until
        while self._agenda and self._agenda[0][0] <= until:
            self.clock.now, _, action = heapq.heappop(self._agenda)
            action()
        return not self._agenda


class Signal:
    """Something that one task waits for and another brings about."""

    def __init__(self, time: VirtualTime) -> None:
        self.is_set = False
        self._time = time
        self._wake: Callable[[], object] = lambda: None

    def set(self) -> None:
        """Let the waiting one continue."""
        self.is_set = True
        self._time.after(0, self._wake)

    def wait(self, seconds: float) -> bool:
        """Wait at most this long; return whether it came."""
        if not self.is_set:
            self._wake = _once(getcurrent().switch)
            self._time.after(seconds, self._wake)
            self._time.pause()
        return self.is_set


def _once(action: Callable[[], object]) -> Callable[[], object]:
    actions = [action]
    return lambda: actions.pop()() if actions else None
