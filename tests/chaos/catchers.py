"""Who can catch a mutant: the chaos scenarios, and every test of the rules; cheapest first."""

import random
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from tests.chaos.crash_points import Trial, single_mishaps
from tests.chaos.mutation import code_name
from tests.chaos.scenarios import SCENARIOS
from tests.chaos.stories import drawn

_SEED = 1
_CRASH_POINTS = 4
"""Of each scenario."""
_STORIES = 20
_PATIENCE = 3.0
"""Seconds of processor time after which a play that does not end is taken for caught."""


class Endless(BaseException):
    """A play took too long; no code can catch that."""


@dataclass(frozen=True)
class Catcher:
    """Something that is played; `is_broken` returns whether a promise was broken."""

    name: str
    kind: int
    """By this they are sorted: what says most about a person's drop comes first."""
    is_broken: Callable[[], bool]

    @property
    def is_late(self) -> bool:
        """Whether it takes long and seldom catches what no test of a rule does."""
        return self.kind > 1 or self.name.startswith("tests/chaos/")

    def catches(self) -> bool:
        """Play it; return whether it finds a fault."""
        try:
            with _patience():
                return self.is_broken()
        except (Exception, Endless):
            return True


@dataclass(frozen=True)
class Played:
    """What a catcher goes through where nothing is broken, and whether it says so."""

    functions: frozenset[tuple[str, str]]
    seconds: float
    is_broken: bool


def scenarios() -> Iterator[Catcher]:
    """Yield scenarios without mishaps."""
    for scenario in SCENARIOS:
        trial = Trial(scenario, _SEED, {})
        yield Catcher(f"scenario '{scenario.name}'", 0, partial(_is_broken, trial))


def stories() -> Iterator[Catcher]:
    """Yield stories of misbehaviour."""
    for number in range(_SEED, _SEED + _STORIES):
        yield Catcher(f"story {number}", 3, partial(_breaks, number))


def interrupted() -> Iterator[Catcher]:
    """Yield scenarios with one mishap; each is played to find out where there can be one."""
    for scenario in SCENARIOS:
        for trial in random.Random(_SEED).sample(single_mishaps(scenario, _SEED), _CRASH_POINTS):
            ((number, mishap),) = trial.mishaps.items()
            name = f"scenario '{scenario.name}', {mishap} call {number}"
            yield Catcher(name, 2, partial(_is_broken, trial))


def tested(items: Sequence[pytest.Item]) -> Iterator[Catcher]:
    """Yield tests, as pytest has collected them."""
    for item in items:
        yield Catcher(item.nodeid, 1, partial(_fails, item))


def play(catcher: Catcher) -> Played:
    """Play a catcher where nothing is broken."""
    seen: set[tuple[str, str]] = set()

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            seen.add(code_name(frame.f_code))

    begin = time.process_time()
    sys.setprofile(note)
    try:
        is_broken = catcher.catches()
    finally:
        sys.setprofile(None)
    return Played(frozenset(seen), time.process_time() - begin, is_broken)


def _is_broken(trial: Trial) -> bool:
    return bool(trial.play().violations)


def _breaks(story: int) -> bool:
    return bool(drawn(story).violations())


def _fails(item: pytest.Item) -> bool:
    return any(report.failed for report in runtestprotocol(item, log=False, nextitem=None))


@contextmanager
def _patience() -> Iterator[None]:
    def give_up(*_: Any) -> None:
        raise Endless

    before = signal.signal(signal.SIGPROF, give_up)
    signal.setitimer(signal.ITIMER_PROF, _PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
