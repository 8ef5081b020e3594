from datetime import timedelta

from dropscale.ledger.drops import TimelineEntry
from dropscale.ledger.states import DropState, WaitReason
from dropscale.pipeline.parts.measurements import measurements_of
from dropscale.results.announcement import DETAIL_TYPES, announcement_of
from tests.fakes import png
from tests.world import World


def told(world: World) -> list[str]:
    """The detail-types, without those of states that nobody is told of."""
    states = [drop.state for drop in world.announced]
    return [DETAIL_TYPES[state] for state in states if state in DETAIL_TYPES]


def test_a_delivery_is_announced_once_with_its_output(world: World) -> None:
    world.drop("cat.png", png())
    world.upscaler.finish()
    (execution,) = world.running()
    world.deliver(execution)

    assert told(world) == ["Upscale Delivered"]
    detail = announcement_of(world.announced[-1], "results")
    assert detail.source.key == "cat.png"
    assert detail.manifest.key == "cat.png.dropscale.json"
    assert [output.key for output in detail.outputs] == ["cat.png@2x.png"]
    assert detail.credits_charged == 50


def test_an_announcement_that_fails_fails_nothing_and_is_made_up_for(world: World) -> None:
    world.listens = False
    world.drop("text.png", b"not an image")
    assert world.manifest("text.png")["state"] == DropState.REJECTED
    assert told(world) == []

    world.listens = True
    world.sweep(minutes=2)

    assert told(world) == ["Upscale Failed"]
    assert world.announced[-1].reason is not None
    assert world.observed == [DropState.REJECTED]
    world.sweep(minutes=2)
    assert len(world.announced) == 1


def test_a_delivery_measures_its_stages(world: World) -> None:
    drop = world.drop("cat.png", png()).drop
    assert drop is not None
    now = world.clock()
    stages = (
        (DropState.WAITING, 0),
        (DropState.DELIVERED, 2),
        (DropState.WAITING, 10),
        (DropState.SUBMITTED, 13),
        (DropState.RENDERING, 20),
        (DropState.DELIVERED, 33),
    )
    timeline = tuple(
        TimelineEntry(state=state, at=now + timedelta(seconds=seconds)) for state, seconds in stages
    )
    delivered = drop.model_copy(update={"state": DropState.DELIVERED, "timeline": timeline})

    assert {name: value for name, _, value in measurements_of(delivered)} == {
        "drops_delivered": 1,
        "seconds_to_submit": 3,
        "seconds_to_deliver": 20,
        "seconds_in_all": 23,
    }


def test_a_wait_is_counted_with_its_reason(world: World) -> None:
    world.drop("cat.png", png())
    waiting = world.row("cat.png").model_copy(
        update={"state": DropState.WAITING, "wait": WaitReason.BUDGET}
    )

    assert [name for name, _, _ in measurements_of(waiting)] == [
        "drops_waiting",
        "drops_waiting_budget",
    ]


def test_the_backlog_tells_gate_jobs_and_credits(world: World) -> None:
    world.set_slots(1)
    world.drop("first.png", png(1, 1))
    world.drop("second.png", png(2, 1))
    world.clock.advance(seconds=90)

    assert {name: value for name, _, value in world.sweep_once.backlog()} == {
        "gate_closed": 0,
        "jobs_unknown": 0,
        "jobs_waiting": 1,
        "oldest_job_waiting": 90,
        "credits_this_day": 50,
        "credits_this_month": 50,
    }
