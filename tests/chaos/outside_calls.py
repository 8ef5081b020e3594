"""Every call that a use case makes to the outside passes here: it takes time, and can go wrong.

Adapters are wrapped whole, whatever methods they have, so no call can be forgotten.
"""

import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from types import MappingProxyType
from typing import Any

from greenlet import getcurrent, greenlet

from dropscale.magichour import errors
from tests.chaos.virtual_time import Signal, VirtualTime

STALL_SECONDS = 17 * 60.0
"""Beyond the lease of an attempt (16 minutes) and the queue's visibility time-out (12)."""

SECONDS = MappingProxyType(
    {
        "ledger": 0.01,
        "bucket": 0.04,
        "results": 0.04,
        "executions": 0.03,
        "callbacks": 0.03,
        "queue": 0.02,
        "events": 0.02,
        "upscaler.upload": 1.0,
        "upscaler.create": 1.5,
        "upscaler.project": 0.3,
        "upscaler.delete": 0.3,
        "upscaler.download": 0.8,
        "upscaler.account": 0.3,
    }
)
"""Typical duration of a call, by adapter or by call; each one takes half to one and a half."""


class Killed(BaseException):
    """The function is gone at this point; no code can catch that."""


class Mishap(StrEnum):
    """What can befall a function at an outside call."""

    KILLED_BEFORE = "killed before"
    KILLED_AFTER = "killed after"
    KILLED_DURING = "killed during"
    """The call has its effect all the same, up to minutes later."""
    ANSWER_LOST = "answer lost"
    """The call has its effect, and an error comes back instead of its answer."""
    STALLED = "stalled before"
    """The function pauses for longer than any lease, then continues normally."""
    OVERTAKEN = "overtaken before"
    """Another instance handles the same event completely, then this one continues."""
    ANSWERED_LATE = "answered late"
    """The call takes effect immediately; its answer arrives after other things have happened."""


@dataclass(eq=False)
class Invocation:
    """One run of a function. `deadline` is when Lambda kills it; a stalled one escapes that."""

    function: str
    event: Any
    deadline: datetime
    ended: Signal
    answer: Any = None
    error: BaseException | None = None
    is_stalled: bool = False


class InvocationTask(greenlet):
    """The task that an invocation runs in."""

    def __init__(self, invocation: Invocation, work: Callable[[], None]) -> None:
        super().__init__(work)
        self.invocation = invocation


@dataclass
class OutsideCalls:
    """Makes the calls of all invocations.

    `mishaps` says what goes wrong at which call, counted from 1 over the whole run, `delays` how
    late, in seconds, which look at a project is answered; `twin` invokes once more what is invoked
    already. `made` names each call by function, adapter and method.
    """

    time: VirtualTime
    random: random.Random
    twin: Callable[[Invocation], Signal]
    mishaps: Mapping[int, Mishap] = field(default_factory=dict)
    delays: Mapping[int, float] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)
    _looks: int = 0

    def __post_init__(self) -> None:
        self.last_mishap_over = self.time.clock.now
        """When the effects of the last mishap so far are over."""

    def through(self, name: str, adapter: object) -> Any:
        """Return an adapter all of whose calls pass here."""
        return _Wrapped(self, name, adapter)

    def make(self, name: str, method: Callable[..., Any], *given: Any, **named: Any) -> Any:
        """Make one call of the running invocation; a test's own look inside is none."""
        task = getcurrent()
        if not isinstance(task, InvocationTask):
            return method(*given, **named)
        invocation = task.invocation
        if self.time.clock.now > invocation.deadline and not invocation.is_stalled:
            raise Killed
        self.made.append(f"{invocation.function}: {name}")
        mishap = self.mishaps.get(len(self.made))
        seconds = SECONDS.get(name) or SECONDS[name.partition(".")[0]]
        self.time.sleep(seconds * (0.25 + self.random.random() / 2))
        if mishap is not None:
            self._befall(mishap, invocation, partial(method, *given, **named))
        try:
            answer = method(*given, **named)
        finally:
            if mishap is Mishap.KILLED_AFTER:
                raise Killed
            if mishap is not None or name == "upscaler.project":
                self._delay(name, mishap, invocation)
        self.time.sleep(seconds * (0.25 + self.random.random() / 2))
        if mishap is Mishap.ANSWER_LOST:
            raise _lost(name)
        return answer

    def _delay(self, name: str, mishap: Mishap | None, invocation: Invocation) -> None:
        """Let an answer, or an error, that is on its way come late."""
        self._looks += name == "upscaler.project"
        seconds = self.delays.get(self._looks, 0.0) if name == "upscaler.project" else 0.0
        if mishap is Mishap.ANSWERED_LATE:
            seconds = STALL_SECONDS
        if seconds:
            invocation.is_stalled = True
            self._note(seconds)
            self.time.sleep(seconds)

    def _note(self, seconds: float) -> None:
        over = self.time.clock.now + timedelta(seconds=seconds)
        self.last_mishap_over = max(self.last_mishap_over, over)

    def _befall(self, mishap: Mishap, invocation: Invocation, method: Callable[[], Any]) -> None:
        self._note(STALL_SECONDS)
        match mishap:
            case Mishap.KILLED_BEFORE:
                raise Killed
            case Mishap.KILLED_DURING:
                # What a dead function sent still arrives; nobody is there for its error.
                self.time.after(self.random.choice((1, 90, 1100)), partial(_unheard, method))
                raise Killed
            case Mishap.STALLED:
                invocation.is_stalled = True
                self.time.sleep(STALL_SECONDS)
            case Mishap.OVERTAKEN:
                self.twin(invocation).wait(STALL_SECONDS)


class _Wrapped:
    def __init__(self, calls: OutsideCalls, name: str, adapter: object) -> None:
        self._calls = calls
        self._name = name
        self._adapter = adapter

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._adapter, attribute)
        if not callable(found):
            return found
        made = partial(self._calls.make, f"{self._name}.{attribute}", found)
        self.__dict__[attribute] = made
        return made


def _lost(name: str) -> Exception:
    if name == "upscaler.create":
        return errors.CreateOutcomeUnknown(name, cause_name="ConnectionLost")
    return errors.ConnectionLost(name) if name.startswith("upscaler.") else OSError(name)


def _unheard(method: Callable[[], Any]) -> None:
    with suppress(Exception):
        method()
