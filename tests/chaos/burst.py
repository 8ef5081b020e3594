"""A burst of drops against a vendor that runs few jobs at a time, in virtual time."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import repeat

from dropscale.ledger.states import DropState
from dropscale.pipeline.parts.follow import Timing
from dropscale.pipeline.parts.poll_schedule import PollSchedule
from tests.chaos.invariants import violations
from tests.chaos.misbehaviour import CREATES, LOST, THROTTLED, UNAVAILABLE, WELL, Fault
from tests.chaos.simulated_stack import Setting, SimulatedStack
from tests.chaos.vendor import Plan, Vendor
from tests.fakes import Clock, png

PLACES = 3
"""Jobs that the vendor runs at a time; it answers 429 to one more."""

_MEDIAN_SECONDS = 22.0
_SPREAD = 0.4
_ARRIVAL_SECONDS = 60.0
_REST = timedelta(days=10)
_OFTEN = 1
"""Seconds to the first look and between looks, as for an API on the same machine."""
_REFUSALS: Sequence[tuple[Fault, float]] = (
    (THROTTLED, 0.15),
    (LOST, 0.08),
    (UNAVAILABLE, 0.02),
    (CREATES["500, a project made"], 0.02),
    (WELL, 0.73),
)
"""Shares of the creates that are answered so."""


@dataclass(frozen=True)
class Burst:
    """What came of a burst.

    `utilisation` is the share of the vendor's places, as far as the slots allow, that were busy
    between the first create and the last: as long as work was waiting.
    """

    violations: list[str]
    delivered: int
    most_reads: int
    refusals: int
    hours: float
    utilisation: float
    calls: int


def burst(drops: int, slots: int, seed: int) -> Burst:
    """Drop this many different images within a minute and wait until everything is settled."""
    chance = random.Random(seed)
    vendor = Vendor(Clock(), plans=_plans(chance), places=PLACES)
    return _play(drops, vendor, Setting(slots=slots), seed, chance)


def throttled_burst(drops: int, seed: int) -> Burst:
    """The same with one-second jobs, looked at often, and a vendor that often refuses."""
    chance = random.Random(seed)
    vendor = Vendor(
        Clock(), replies=_refusals(chance), plans=repeat(Plan(seconds=1.0)), places=PLACES
    )
    timing = Timing(_OFTEN, 3600)
    setting = Setting(slots=PLACES, timing=timing, schedule=PollSchedule.up_to(_OFTEN))
    return _play(drops, vendor, setting, seed, chance)


def _play(drops: int, vendor: Vendor, setting: Setting, seed: int, chance: random.Random) -> Burst:
    stack = SimulatedStack(vendor, setting, seed)
    keys = [f"{number:05}.png" for number in range(drops)]
    for number, key in enumerate(keys):
        image = png(8 + number // 250, 6, number % 250)
        stack.time.after(chance.uniform(0, _ARRIVAL_SECONDS), partial(stack.put, key, image))
    begin = stack.clock.now
    found = [] if stack.settle(_REST) else ["it never comes to rest"]
    found += violations(stack, {key: {DropState.DELIVERED} for key in keys})
    states = [drop.state for drop in stack.ledger.drops.values()]
    return Burst(
        violations=found,
        delivered=states.count(DropState.DELIVERED),
        most_reads=max(stack.bucket.reads.values()),
        refusals=vendor.refusals,
        hours=(max(entry.ends_at for entry in vendor.book.values()) - begin) / timedelta(hours=1),
        utilisation=_utilisation(vendor, min(setting.slots or PLACES, PLACES)),
        calls=len(stack.calls.made),
    )


def _plans(chance: random.Random) -> Iterator[Plan]:
    while True:
        yield Plan(_MEDIAN_SECONDS * chance.lognormvariate(0, _SPREAD))


def _refusals(chance: random.Random) -> Iterator[Fault]:
    faults, shares = zip(*_REFUSALS, strict=True)
    while True:
        yield chance.choices(faults, shares)[0]


def _utilisation(vendor: Vendor, places: int) -> float:
    begins: list[datetime] = [entry.created_at for entry in vendor.book.values()]
    first, last = min(begins), max(begins)
    busy = sum(
        (min(entry.ends_at, last) - entry.created_at for entry in vendor.book.values()),
        timedelta(),
    )
    return busy / (places * (last - first))
