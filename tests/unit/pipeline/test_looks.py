"""How often a project is looked at, and who waits for that."""

from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from dropscale.ledger.states import DropState, JobState
from dropscale.magichour.models import Project
from dropscale.pipeline.parts.poll_schedule import PollSchedule
from dropscale.upscaler import ProjectStatus
from tests.chaos.simulated_stack import SimulatedStack
from tests.chaos.vendor import Plan, Vendor
from tests.fakes import Clock, png
from tests.world import World


@pytest.mark.parametrize("finishes", [False, True])
def test_check_waits_a_little_itself_until_a_result_is_there(finishes: bool) -> None:
    world = World(schedule=PollSchedule(30, patience=9))
    if finishes:
        world.sleep = lambda _: world.upscaler.finish()
        world.compose()
    world.drop("a.png", png())
    (state,) = world.running()
    begin = world.clock()

    found = world.check(state)

    assert found.status is (ProjectStatus.COMPLETE if finishes else ProjectStatus.QUEUED)
    assert world.clock() - begin == timedelta(seconds=0 if finishes else 9)


@pytest.mark.parametrize(
    ("cap", "patience", "pauses"), [(1, 0, [1, 3, 3]), (8, 0, [3, 3, 8]), (30, 9, [3, 9, 30])]
)
def test_where_looks_cost_nothing_they_come_often(
    cap: int, patience: int, pauses: list[int]
) -> None:
    schedule = PollSchedule.up_to(cap)

    assert schedule.patience == patience
    assert [schedule.next_wait(0, age, 3600) for age in (20, 60, 600)] == pauses


def two_jobs(**failures: Exception) -> World:
    """Return a world with one slot, in which the delivery of the first of two jobs fails."""
    world = World(slots=1)
    world.drop("a.png", png())
    world.drop("b.png", png(9, 9))
    world.upscaler.finish()
    world.clock.advance(seconds=22)
    for name, error in failures.items():
        setattr(world.upscaler, name, error)
    (state,) = world.running()
    with pytest.raises(OSError, match="no luck"):
        world.deliver(state)
    return world


def test_the_next_job_starts_before_the_download() -> None:
    world = two_jobs(fail_download=OSError("no luck"))

    assert len(world.upscaler.creates) == 2


def test_a_delivery_does_not_suffer_from_the_next_start() -> None:
    world = two_jobs(fail_create=OSError("no luck"))

    assert world.row("a.png").state is DropState.DELIVERED
    (second,) = world.row("b.png").renditions.values()
    assert world.ledger.jobs[second.fingerprint].state is JobState.SUBMITTING


class WatchedVendor(Vendor):
    """Notes when it is asked for a project."""

    def __post_init__(self) -> None:
        self.asked: list[datetime] = []

    def project(self, project_id: str) -> Project:
        self.asked.append(self.clock())
        return super().project(project_id)


def test_many_drops_of_one_job_look_once_in_three_seconds() -> None:
    vendor = WatchedVendor(Clock(), plans=iter([Plan(60.0)]))
    stack = SimulatedStack(vendor)
    for number in range(50):
        stack.put(f"{number}.png", png())

    assert stack.settle(timedelta(days=10))

    states = {drop.state for drop in stack.ledger.drops.values()}
    assert (len(vendor.book), states) == (1, {DropState.DELIVERED})
    pauses = [after - before for before, after in pairwise(vendor.asked)]
    # Begun three seconds apart, two looks may take less and more long to arrive.
    assert min(pauses) > timedelta(seconds=2.5)
