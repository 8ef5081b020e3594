"""The same bytes are put at a key once more, in a bucket with versions or without."""

import pytest

from dropscale.ledger.drops import Drop
from dropscale.ledger.states import DropState, JobState
from dropscale.pipeline.reconcile import BEAT, GRACE
from dropscale.upscaler import ProjectStatus
from tests.fakes import FakeInputBucket, png
from tests.world import BUCKET, PLENTY, World


@pytest.fixture(params=[False, True], ids=["unversioned", "versioned"])
def world(request: pytest.FixtureRequest) -> World:
    return World(bucket=FakeInputBucket(is_versioned=request.param))


def drop_again(world: World) -> None:
    world.clock.advance(minutes=5)
    world.drop("a.png", png())


def end_in_error(world: World) -> None:
    world.drop("a.png", png())
    world.finish_all(ProjectStatus.ERROR, credits_charged=0)
    assert "Drop the image again" in world.manifest("a.png")["reason"]["fix"]


def test_what_ended_in_an_error_is_tried_once_more(world: World) -> None:
    end_in_error(world)

    world.submit("a.png")  # its event comes twice: that asks for nothing
    assert len(world.upscaler.creates) == 1
    drop_again(world)
    world.finish_all()

    assert world.row("a.png").state is DropState.DELIVERED
    assert len(world.upscaler.creates) == 2
    assert world.bucket.reads["a.png"] <= 2


def test_a_row_of_before_that_does_not_know_when_its_image_came_is_tried_once_more(
    world: World,
) -> None:
    end_in_error(world)
    drop_id = Drop.id_of(BUCKET, "a.png")
    row = world.ledger.drops[drop_id]
    source = row.source.model_copy(update={"modified": None})
    world.ledger.drops[drop_id] = row.model_copy(update={"source": source})

    drop_again(world)

    assert len(world.upscaler.creates) == 2


def test_an_abandoned_result_is_looked_at_at_once_and_nothing_is_paid(world: World) -> None:
    world.drop("a.png", png())
    world.upscaler.projects.clear()
    world.run_executions()
    world.pass_hours(30)
    assert world.only_job.state is JobState.ABANDONED
    world.upscaler.projects["project-1"] = None  # type: ignore[assignment] # it is back
    world.upscaler.finish()

    drop_again(world)
    world.run_executions()

    assert world.row("a.png").state is DropState.DELIVERED
    assert len(world.upscaler.creates) == 1


def test_what_is_delivered_stays_as_it_is(world: World) -> None:
    world.drop("a.png", png())
    world.finish_all()

    drop_again(world)

    assert world.row("a.png").state is DropState.DELIVERED
    assert len(world.upscaler.creates) == 1
    assert world.running() == []


def test_the_walk_sees_it_where_the_event_was_lost_and_only_once(world: World) -> None:
    world.sweep()
    world.clock.advance(seconds=(GRACE + BEAT).total_seconds())
    world.sweep()
    end_in_error(world)
    world.clock.advance(minutes=5)
    world.put("a.png", png())

    told = []
    for _ in range(3):
        world.clock.advance(seconds=(GRACE + BEAT).total_seconds())
        told.append(world.reconcile(lambda: PLENTY))
        for key in world.queue.keys:
            world.submit(key)

    assert told == [1, 0, 0]
    assert len(world.upscaler.creates) == 2
