"""The slow comparison of bucket and ledger, on the fakes."""

import random
from datetime import timedelta

import pytest

from dropscale.ledger.states import DropState
from dropscale.pipeline.reconcile import BEAT, GRACE, OVERLAP, PAGE, PAGES_PER_RUN
from tests.fakes import png
from tests.world import BUCKET, PLENTY, World

SETTLED = GRACE + BEAT


def walk(world: World, **later: float) -> int:
    """Complete a pass; return how many objects were sent to submit."""
    world.clock.advance(**later) if later else world.clock.advance(seconds=SETTLED.total_seconds())
    return world.reconcile(lambda: PLENTY)


@pytest.fixture
def begun(world: World) -> World:
    """A world whose walk has begun."""
    assert walk(world) == 0
    return world


def test_an_object_whose_event_was_lost_is_submitted_once(begun: World) -> None:
    begun.put("cat.png", png())

    assert walk(begun) == 1
    assert begun.queue.keys == ["cat.png"]
    begun.submit("cat.png")
    assert begun.row("cat.png").state is DropState.SUBMITTED
    assert walk(begun) == 0


def test_what_lay_there_before_the_stack_is_none_of_its_business(world: World) -> None:
    for number in range(3):
        world.put(f"old/{number}.png", png())
    world.clock.advance(seconds=1)
    walk(world)

    assert [walk(world) for _ in range(3)] == [0, 0, 0]


def test_an_object_is_left_to_its_event_for_a_while(begun: World) -> None:
    begun.clock.advance(seconds=BEAT.total_seconds())
    begun.put("cat.png", png())
    begun.clock.advance(seconds=1)

    assert begun.reconcile(lambda: PLENTY) == 0
    assert walk(begun) == 1


def test_an_overwrite_whose_event_was_lost_is_noticed(begun: World) -> None:
    begun.drop("cat.png", png(8, 6))
    begun.put("cat.png", png(9, 6))

    assert walk(begun) == 1


def test_a_sidecar_whose_event_was_lost_is_submitted_once(begun: World) -> None:
    begun.drop("cat.png", png())
    begun.clock.advance(seconds=60)
    begun.put("cat.png.yaml", "scale_factor: 4")

    assert [walk(begun) for _ in range(3)] == [1, 0, 0]
    assert begun.queue.keys == ["cat.png.yaml"]


def test_an_upload_in_parts_bears_the_time_of_its_beginning(begun: World) -> None:
    walk(begun, hours=30)
    begun.put("large.png", png())
    begun.bucket.modified["large.png"] -= OVERLAP - timedelta(minutes=1)

    assert walk(begun) == 1


def test_what_was_given_up_is_left_to_a_person(begun: World) -> None:
    begun.put("cat.png", png())
    begun.submit_object.give_up(BUCKET, "cat.png", OSError("no luck"))

    assert begun.row("cat.png").state is DropState.FAILED
    assert walk(begun) == 0


@pytest.mark.parametrize("shade", [0, 9], ids=["the same bytes", "another image"])
def test_what_is_put_over_an_image_that_was_given_up_is_noticed(begun: World, shade: int) -> None:
    begun.put("cat.png", png())
    begun.submit_object.give_up(BUCKET, "cat.png", OSError("no luck"))
    begun.clock.advance(seconds=1)
    begun.put("cat.png", png(shade=shade))

    assert walk(begun) == 1


def test_an_image_that_cannot_be_looked_at_is_given_up_all_the_same(begun: World) -> None:
    begun.put("cat.png", png())
    head = begun.bucket.head
    begun.bucket.head = lambda *_: 1 / 0  # type: ignore[method-assign, assignment]
    begun.submit_object.give_up(BUCKET, "cat.png", OSError("no luck"))
    begun.bucket.head = head  # type: ignore[method-assign]

    assert begun.row("cat.png").state is DropState.FAILED
    assert walk(begun) == 1


def test_folder_specs_manifests_and_other_files_are_passed_over(begun: World) -> None:
    for key in ("dropscale.yaml", "cat.png.dropscale.json", "notes.txt"):
        begun.put(key, "x")

    assert walk(begun) == 0


def test_a_pass_goes_on_where_the_run_before_stopped(begun: World) -> None:
    keys = [f"{number:06}.png" for number in range(PAGE * PAGES_PER_RUN + 5)]
    for key in keys:
        begun.put(key, b"x")

    assert walk(begun) == PAGE * PAGES_PER_RUN
    assert begun.reconcile(lambda: PLENTY) == 5
    assert begun.queue.keys == keys
    assert begun.reconcile(lambda: PLENTY) == 0


def test_a_run_without_time_does_nothing(begun: World) -> None:
    begun.put("cat.png", png())
    begun.clock.advance(seconds=SETTLED.total_seconds())

    assert begun.reconcile(lambda: 80.0) == 0
    assert begun.reconcile(lambda: PLENTY) == 1


def test_of_two_runs_at_once_one_goes_on(begun: World, monkeypatch: pytest.MonkeyPatch) -> None:
    begun.put("cat.png", png())
    begun.clock.advance(seconds=SETTLED.total_seconds())
    stale = begun.ledger.walk_record
    assert begun.reconcile(lambda: PLENTY) == 1
    monkeypatch.setattr(begun.ledger, "walk", lambda: stale)

    assert begun.reconcile(lambda: PLENTY) == 0


def test_with_a_tenth_of_all_events_lost_everything_is_delivered() -> None:
    world, chance = World(slots=1000), random.Random(1)
    walk(world)
    wanted: dict[str, int] = {}
    lost = 0
    for number in range(200):
        key = f"{number:03}.png"
        sends = [(key, png(number + 1, 3))]
        wanted[key] = 2
        if number % 3 == 0:
            wanted[key] = 4
            sends.insert(number % 2, (f"{key}.yaml", b"scale_factor: 4"))
        for name, body in sends:
            world.put(name, body)
            world.clock.advance(seconds=5)
            if chance.random() < 0.1:
                lost += 1
            else:
                world.submit(name)
    assert lost > 10

    for _ in range(60):
        world.sweep(minutes=1)
        told, world.queue.keys = world.queue.keys, []
        for name in told:
            world.submit(name)
        world.upscaler.finish()
        for execution in world.running():
            world.deliver(world.check(execution))

    for key, factor in wanted.items():
        assert world.row(key).state is DropState.DELIVERED
        assert f"{key}@{factor}x.png" in world.results.outputs
