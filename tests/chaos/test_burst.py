"""A burst of drops ends with all delivered, and nothing paid or read twice."""

from collections import defaultdict
from datetime import timedelta
from itertools import repeat

import pytest

from dropscale.ledger.states import DropState, JobState, WaitReason
from dropscale.ledger.store import Change, SaveJob
from dropscale.magichour.errors import Throttled
from dropscale.pipeline.parts.gate import GateKeeper, Waiting
from tests.bench.throttled import measure, shortfalls
from tests.chaos.burst import burst
from tests.chaos.invariants import violations
from tests.chaos.simulated_stack import Setting, SimulatedStack
from tests.chaos.vendor import Plan, Vendor
from tests.fakes import Clock, png

DROPS = 300
SEEDS = 7
TIER_DROPS = 500
HOUR = 3600.0


@pytest.mark.parametrize("slots", [3, 10])
def test_a_burst_is_delivered_whole_and_keeps_the_vendor_busy(slots: int) -> None:
    result = burst(DROPS, slots, seed=1)

    assert result.violations == []
    assert (result.delivered, result.most_reads) == (DROPS, 1)
    # What is missing is the time between a job's end and the look that finds it.
    assert result.utilisation >= 0.75


def test_refusals_now_and_then_cost_no_more_than_the_places_they_take() -> None:
    assert shortfalls(measure(SEEDS)) == []


def test_a_scheduler_where_all_wait_for_each_refusal_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def close(gate: GateKeeper, error: Throttled, _: object) -> Waiting:
        return gate.close(WaitReason.THROTTLED, error)

    due_probe = GateKeeper.due_probe
    monkeypatch.setattr(GateKeeper, "hold_back", close)
    monkeypatch.setattr(GateKeeper, "due_probe", lambda gate, **_: due_probe(gate))

    assert "at the median" in " ".join(shortfalls(measure(SEEDS)))


def test_a_tier_that_changes_while_jobs_run_is_kept_to_within_the_hour() -> None:
    tiers = [(0.0, "creator"), (HOUR / 2, "pro"), (HOUR * 1.5, "free"), (HOUR * 2.5, "creator")]
    vendor = Vendor(Clock(), plans=repeat(Plan(seconds=60.0)), tiers=tiers)
    stack = SimulatedStack(vendor, Setting(slots=None))
    running: dict[int, list[int]] = defaultdict(list)

    def note(change: Change) -> None:
        account = stack.ledger.account()
        if isinstance(change, SaveJob) and change.job.state is JobState.SUBMITTING and account:
            running[account.places].append(stack.ledger.taken + 1)

    stack.ledger.watch = note
    keys = [f"{number}.png" for number in range(TIER_DROPS)]
    for number, key in enumerate(keys):
        stack.put(key, png(8 + number // 250, 6, number % 250))

    assert stack.settle(timedelta(days=2))
    assert list(violations(stack, {key: {DropState.DELIVERED} for key in keys})) == []
    assert {places: max(counts) for places, counts in running.items()} == {1: 1, 3: 3, 5: 5}
