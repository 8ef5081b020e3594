"""How busy the vendor's places are kept, and how soon a result is there after it is done.

Plays the template's defaults in virtual time, with the use cases, the state machine and the sweeper
themselves: a burst on three places, and drops that come one at a time and so wait for no place.
Calls take as long as the chaos tests have it (`tests/chaos/outside_calls.py`), an event of S3 half
a second. Then the same with webhooks, whose events the vendor sends at once: what it takes to send
them would be the vendor's time. Exits with 1 if it is worse than `Limits` allow.

    python -m tests.bench.places [--drops N] [--seed N] [--curve]

`--curve` prints the same for other first looks and pauses, and for a check that waits itself.
"""

import argparse
import random
import statistics
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from dropscale.ledger.states import DropState, JobState
from dropscale.ledger.store import Change, SaveDrop, SaveJob
from dropscale.magichour.webhooks import EventKind, ProjectEvent
from dropscale.pipeline.parts.follow import Timing
from dropscale.pipeline.parts.poll_schedule import PollSchedule
from tests.bench.costs import PRICES, memories
from tests.chaos.deployment import parameter
from tests.chaos.outside_calls import SECONDS
from tests.chaos.simulated_stack import Setting, SimulatedStack
from tests.chaos.vendor import Plan, Vendor
from tests.fakes import Clock, png

PLACES = 3
MANY_PLACES = 10
"""Those of the largest plan."""
QUOTA = 10
"""Functions that may run at once in a new AWS account.

https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""
MEDIAN_SECONDS, SPREAD = 22.0, 0.4
EVENT_SECONDS = 0.5
ARRIVAL_SECONDS = 60.0
APART_SECONDS = 300.0
"""Between drops that come one at a time."""
_REST = timedelta(days=10)


@dataclass(frozen=True)
class Limits:
    """What must be kept: at least, at most, at most in seconds beyond the settle time."""

    busy: float = 0.84
    transitions: float = 8.0
    added_seconds: float = 7.0
    crowded: float = 0.001


LIMITS_WITH_WEBHOOKS = Limits(busy=0.94, transitions=5.0, added_seconds=4.0)


@dataclass(frozen=True)
class Figures:
    """What came of one setting.

    busy: share of the places' time, between the first claim and the last, in which a job was there
        or its create in flight; work waited all that time.
    added: seconds from drop to delivery without the vendor's and without waiting for a place.
    transitions, looks, requests: per image; requests are those of Lambda.
    dollars: for state machine and functions, per 1,000 images.
    crowded: share of the time in which more functions ran at once than a new account may.
    """

    delivered: int
    busy: float
    transitions: float
    looks: float
    requests: float
    dollars: float
    added: list[float]
    crowded: float

    def __str__(self) -> str:
        return (
            f"places {self.busy:5.1%}  transitions {self.transitions:5.2f}  "
            f"looks {self.looks:5.2f}  requests {self.requests:5.2f}  "
            f"${self.dollars:.3f} per 1,000"
        )


class Watch:
    """Notes when jobs were claimed and drops delivered.

    With webhooks, it has the vendor send the event that a project is complete.
    """

    def __init__(self, stack: SimulatedStack) -> None:
        self.claims: dict[str, datetime] = {}
        self.ready: dict[str, datetime] = {}
        self.delivered: dict[str, datetime] = {}
        self._told, self._stack, self._clock = set[str](), stack, stack.clock
        stack.ledger.watch = self._note

    def _note(self, change: Change) -> None:
        now = self._clock.now
        match change:
            case SaveJob(job) if job.state is JobState.SUBMITTED and job.project_id:
                self._tell(job.project_id)
            case SaveJob(job) if job.state is JobState.SUBMITTING:
                self.claims[job.fingerprint] = now
            case SaveJob(job) if job.upload is not None:
                self.ready.setdefault(job.fingerprint, now)
            case SaveDrop(drop) if drop.state is DropState.DELIVERED:
                self.delivered.setdefault(drop.source.key, now)

    def _tell(self, project_id: str) -> None:
        if not self._stack.setting.timing.webhooks or project_id in self._told:
            return
        self._told.add(project_id)
        entry = self._stack.vendor.book[project_id]
        event = ProjectEvent(EventKind.COMPLETED, project_id, entry.name)
        left = (entry.ends_at - self._clock.now).total_seconds()
        self._stack.send_event(event, max(0.0, left))


def play(drops: int, seed: int, setting: Setting, pause: float) -> Figures:
    """Drop so many images, `pause` seconds apart (0: all within a minute), until all is at rest."""
    chance = random.Random(seed)
    vendor = Vendor(Clock(), plans=_plans(chance), places=setting.slots)
    stack = SimulatedStack(vendor, setting, seed)
    watch, dropped = Watch(stack), dict[str, datetime]()
    for number in range(drops):
        key, image = f"{number:05}.png", png(8 + number // 250, 6, number % 250)
        seconds = number * pause or chance.uniform(0, ARRIVAL_SECONDS)
        dropped[key] = stack.clock.now + timedelta(seconds=seconds)
        stack.time.after(seconds, partial(stack.put, key, image))
    stack.settle(_REST)
    return _figures(stack, watch, dropped)


def _figures(stack: SimulatedStack, watch: Watch, dropped: dict[str, datetime]) -> Figures:
    images = len(dropped)
    entries = {entry.fingerprint: entry for entry in stack.vendor.book.values()}
    added, busy = list[float](), timedelta()
    first, last = min(watch.claims.values()), max(watch.claims.values())
    for drop in stack.ledger.drops.values():
        key = drop.source.key
        (fingerprint,) = (rendition.fingerprint for rendition in drop.renditions.values())
        claimed, entry = watch.claims[fingerprint], entries[fingerprint[:8]]
        busy += max(min(entry.ends_at, last) - claimed, timedelta())
        if key in watch.delivered:
            took = watch.delivered[key] - dropped[key] - (claimed - watch.ready[fingerprint])
            added.append(took.total_seconds() - entry.plan.seconds)
    invoked = Counter(stack.invoked)
    del invoked["sweep"]
    seconds = sum(
        memories()[f"{name.capitalize()}Function"] / 1024 * spent
        for name, spent in stack.seconds.items()
        if name != "sweep"
    )
    dollars = (
        stack.transitions * PRICES["Step Functions transitions"]
        + invoked.total() * PRICES["Lambda requests"]
        + seconds * PRICES["Lambda GB-seconds (arm64)"]
    )
    return Figures(
        delivered=len(watch.delivered),
        busy=busy / ((stack.setting.slots or PLACES) * (last - first)),
        transitions=stack.transitions / images,
        looks=stack.calls.made.count("check: upscaler.project") / images,
        requests=invoked.total() / images,
        dollars=dollars / images * 1000,
        added=added,
        crowded=sum(seconds for many, seconds in stack.at_once.items() if many > QUOTA)
        / sum(seconds for many, seconds in stack.at_once.items() if many),
    )


def _plans(chance: random.Random) -> Iterator[Plan]:
    while True:
        yield Plan(MEDIAN_SECONDS * chance.lognormvariate(0, SPREAD))


def percentile(values: list[float], share: int) -> float:
    """Return the value below which so many percent of all are."""
    return statistics.quantiles(values, n=100)[share - 1]


def measure(drops: int, seed: int, **changed: Any) -> tuple[Figures, Figures]:
    """Return what a burst brings, and a fifth as many drops that come one at a time."""
    setting = _setting(**changed)
    return play(drops, seed, setting, 0), play(drops // 5, seed, setting, APART_SECONDS)


def curve(drops: int, seed: int) -> Iterator[str]:
    """Yield what other first looks and pauses bring."""
    for patience in (0, 9, 15):
        for first in (12, 16, 20):
            for share in (0.15, 0.2, 0.4):
                cap = parameter("PollIntervalCapSeconds")
                schedule = PollSchedule(cap, share, patience=patience)
                timing = Timing(first, parameter("JobDeadlineSeconds"))
                figures = play(drops, seed, _setting(timing=timing, schedule=schedule), 0)
                yield f"patience {patience:2} s, first look {first} s, then {share:3.0%}: {figures}"


def crowd(drops: int, seed: int, **changed: Any) -> Figures:
    """Return what a burst brings on the places of the largest plan."""
    return play(drops, seed, _setting(slots=MANY_PLACES, **changed), 0)


def _setting(slots: int = PLACES, **changed: Any) -> Setting:
    return Setting(slots=slots, event_seconds=(EVENT_SECONDS, EVENT_SECONDS), **changed)


def shortfalls(
    burst: Figures, single: Figures, many: Figures, limits: Limits, drops: int
) -> Iterator[str]:
    """Yield the figures that exceed their limits."""
    if many.crowded > limits.crowded:
        yield f"more functions than a new account may for {many.crowded:.2%} of the time"
    settle = parameter("SettleSeconds")
    if burst.delivered != drops:
        yield f"{burst.delivered} of {drops} delivered"
    if burst.busy < limits.busy:
        yield f"places busy for {burst.busy:.1%}, must be {limits.busy:.0%}"
    for figures in (burst, single):
        if figures.transitions > limits.transitions:
            yield f"{figures.transitions:.2f} transitions, may be {limits.transitions}"
    added = percentile(single.added, 50) - settle
    if added > limits.added_seconds:
        yield f"{added:.1f} s added beyond the settle time, may be {limits.added_seconds}"


def webhooks() -> dict[str, Any]:
    """Return what a stack with webhooks has in place of the defaults."""
    pause = parameter("PollIntervalCapSeconds")
    return {"timing": Timing(pause, parameter("JobDeadlineSeconds"), webhooks=True)}


def report(name: str, drops: int, seed: int, limits: Limits, **changed: Any) -> list[str]:
    """Print the figures of a setting; return those that exceed their limits."""
    burst, single = measure(drops, seed, **changed)
    _say(f"{name}, in a burst: {burst}")
    median, late = (percentile(single.added, share) for share in (50, 95))
    _say(f"{name}, one at a time: {single}; added {median:.1f} s, 95th percentile {late:.1f} s")
    many = crowd(drops, seed, **changed)
    _say(
        f"{name}, in a burst, {MANY_PLACES} places: {many}; more than {QUOTA} functions at once: "
        f"{many.crowded:.2%} of the time"
    )
    return [f"{name}: {line}" for line in shortfalls(burst, single, many, limits, drops)]


def main() -> int:
    """Run, print the figures, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.places")
    parser.add_argument("--drops", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--curve", action="store_true")
    options = parser.parse_args()
    _say(
        f"{options.drops:,} drops, {PLACES} places, jobs lognormal around {MEDIAN_SECONDS:.0f} s "
        f"(sigma {SPREAD}), {parameter('SettleSeconds')} s to settle"
    )
    _say(
        "seconds a call, half to one and a half of: "
        + ", ".join(
            f"{name.removeprefix('upscaler.')} {seconds}" for name, seconds in SECONDS.items()
        )
        + f"; an event {EVENT_SECONDS}"
    )
    missed = [
        *report("polling", options.drops, options.seed, Limits()),
        *report("with webhooks", options.drops, options.seed, LIMITS_WITH_WEBHOOKS, **webhooks()),
    ]
    if options.curve:
        for line in curve(options.drops // 3, options.seed):
            _say(line)
    for line in missed:
        _say(f"MISSED: {line}")
    return 1 if missed else 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
