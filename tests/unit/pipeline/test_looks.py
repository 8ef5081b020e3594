"""How often a project is looked at, by whom, and what that keeps waiting."""

from datetime import timedelta

import pytest

from dropscale.ledger.states import DropState, JobState
from dropscale.pipeline.parts.poll_schedule import PollSchedule
from dropscale.upscaler import ProjectStatus
from tests.fakes import png
from tests.world import World


def test_check_waits_a_little_itself() -> None:
    world = World(schedule=PollSchedule(30, patience=9))
    world.drop("a.png", png())
    (state,) = world.running()
    begin = world.clock()

    found = world.check(state)

    assert found.status is ProjectStatus.QUEUED
    assert world.clock() - begin == timedelta(seconds=9)


def test_a_result_is_found_while_check_waits() -> None:
    world = World(schedule=PollSchedule(30, patience=9))
    world.sleep = lambda _: world.upscaler.finish()
    world.compose()
    world.drop("a.png", png())
    (state,) = world.running()

    assert world.check(state).status is ProjectStatus.COMPLETE


def test_where_looks_are_wanted_every_second_the_state_machine_waits() -> None:
    assert PollSchedule.up_to(1).patience == 0
    assert PollSchedule.up_to(30).patience == 9


def test_the_next_job_starts_before_the_download() -> None:
    world = World(slots=1)
    world.drop("a.png", png())
    world.drop("b.png", png(9, 9))
    world.upscaler.finish()
    world.clock.advance(seconds=22)
    world.upscaler.fail_download = OSError("on its way")
    (state,) = world.running()

    with pytest.raises(OSError, match="on its way"):
        world.deliver(state)

    assert len(world.upscaler.creates) == 2


def test_a_delivery_does_not_suffer_from_the_next_start() -> None:
    world = World(slots=1)
    world.drop("a.png", png())
    world.drop("b.png", png(9, 9))
    world.upscaler.finish()
    world.clock.advance(seconds=22)
    world.upscaler.fail_create = OSError("no such thing")
    (state,) = world.running()

    with pytest.raises(OSError, match="no such thing"):
        world.deliver(state)

    assert world.row("a.png").state is DropState.DELIVERED
    (second,) = world.row("b.png").renditions.values()
    assert world.ledger.jobs[second.fingerprint].state is JobState.SUBMITTING
