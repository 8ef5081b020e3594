"""One job shared by thousands of drops: each run of the sweeper handles a bounded part of them."""

from collections import Counter
from unittest import mock

import pytest

from dropscale.ledger.drops import Drop
from dropscale.ledger.jobs import Job
from dropscale.ledger.states import DropState, JobState
from dropscale.ledger.store import MOST_DROPS, SaveDrop, SaveJob
from dropscale.magichour import errors
from dropscale.pipeline import resolve
from dropscale.pipeline.resolve import Decision
from dropscale.upscaler import ProjectStatus
from tests.fakes import png
from tests.world import BUCKET, World


class Killed(Exception):
    """A function's end, at any moment."""


def copy_drop(world: World, key: str, copies: int, state: DropState | None = None) -> list[str]:
    """Let this many more drops share the job of one, as if they had just arrived."""
    drop = world.row(key)
    (rendition,) = drop.renditions.values()
    waiting = rendition.model_copy(
        update={"state": state or DropState.WAITING, "project_id": None, "attempt": 0}
    )
    names = []
    for number in range(copies):
        copied = f"copy-{number:05}.png"
        names.append(copied)
        drop_id = Drop.id_of(BUCKET, copied)
        world.ledger.drops[drop_id] = drop.model_copy(
            update={
                "id": drop_id,
                "source": drop.source.model_copy(update={"key": copied}),
                "renditions": {waiting.id: waiting},
                "due": None,
            }
        )
        world.ledger.attachments[rendition.fingerprint].append(drop_id)
    return names


def supersede(world: World, key: str) -> None:
    """Let a drop want nothing any more."""
    row = world.row(key)
    (rendition,) = row.renditions.values()
    gone = {rendition.id: rendition.model_copy(update={"state": DropState.SUPERSEDED})}
    world.ledger.drops[row.id] = row.model_copy(update={"renditions": gone})


def have_waiting(world: World, copies: int, state: DropState | None = None) -> list[str]:
    """Let a.png and so many drops more wait for one job; return the keys of the others."""
    world.set_slots(0)
    world.drop("a.png", png())
    names = copy_drop(world, "a.png", copies, state)
    world.set_slots(3)
    return names


def job_of(world: World, key: str) -> Job:
    (fingerprint,) = world.row(key).fingerprints
    return world.ledger.jobs[fingerprint]


def states(world: World, names: list[str]) -> Counter[str]:
    return Counter(str(world.row(name).state) for name in names)


def sweep_and_count(world: World) -> int:
    """Let the sweeper run once; return how many of the copies it has looked at."""
    seen: set[str] = set()
    read = world.ledger.drop

    def read_and_note(drop_id: str) -> Drop | None:
        drop = read(drop_id)
        if drop is not None and drop.source.key.startswith("copy-"):
            seen.add(drop_id)
        return drop

    world.ledger.drop = read_and_note  # type: ignore[method-assign]
    world.clock.advance(minutes=1)
    try:
        world.sweep()
    finally:
        world.ledger.drop = read  # type: ignore[method-assign]
    return len(seen)


def sweep_times(world: World, times: int) -> None:
    """Let the sweeper run each minute."""
    for _ in range(times):
        world.sweep(minutes=1)


def test_a_run_sees_to_some_of_ten_thousand_drops_and_to_everything_else(world: World) -> None:
    world.set_slots(2)
    world.sweep()
    world.drop("a.png", png())
    names = copy_drop(world, "a.png", 10_000)
    world.clock.advance(minutes=3)
    world.drop("lost.png", png(shade=1))
    world.drop("ready.png", png(shade=2))
    assert job_of(world, "ready.png").state is JobState.READY
    world.listens = False
    world.drop("untold.png", "no image")
    assert world.row("untold.png").due is not None
    world.listens = True
    world.executions.end_all()
    world.upscaler.projects["project-2"] = world.upscaler.projects["project-2"].model_copy(
        update={"status": ProjectStatus.ERROR}
    )
    world.put("missed.png", png(shade=3))

    seen = [sweep_and_count(world) for _ in range(40)]

    assert max(seen) <= MOST_DROPS
    assert sum(seen) > 25 * MOST_DROPS
    assert job_of(world, "lost.png").state is JobState.ERROR
    assert job_of(world, "ready.png").state is JobState.SUBMITTED
    assert set(world.queue.keys) == {"missed.png"}
    assert world.row("untold.png").due is None
    assert states(world, names)["submitted"] > 20 * MOST_DROPS


@pytest.mark.parametrize("copies", [MOST_DROPS - 1, MOST_DROPS, MOST_DROPS + 1, 700])
def test_every_one_of_many_drops_is_delivered(world: World, copies: int) -> None:
    world.drop("a.png", png())
    names = copy_drop(world, "a.png", copies)
    world.upscaler.finish()

    for _ in range(20):
        assert sweep_and_count(world) <= MOST_DROPS
        for state in world.running():
            world.deliver(world.check(state))

    assert states(world, names) == {"delivered": copies}
    world.clock.advance(hours=1)
    while job_of(world, "a.png").due is not None:
        assert world.clock().year == 2026, "the job is never laid aside"
        world.sweep(hours=1)
    assert len(world.upscaler.creates) == 1


def test_every_one_of_many_drops_is_told_that_the_vendor_refuses(world: World) -> None:
    names = have_waiting(world, 700)
    refused = 0
    for _ in range(60):
        if world.upscaler.fail_create is None:
            refused += 1
            world.upscaler.fail_create = errors.InvalidRequest("POST", status=400)
        sweep_and_count(world)

    assert states(world, names) == {"rejected": 700}
    assert (job_of(world, "a.png").due, world.upscaler.creates) == (None, [])
    assert refused < 10


def test_every_one_of_many_drops_is_told_what_is_unknown_and_given_up(world: World) -> None:
    names = have_waiting(world, 700)
    world.upscaler.fail_create = errors.CreateOutcomeUnknown("POST")
    sweep_times(world, 20)
    assert states(world, names) == {"unknown": 700}

    world.decide("a.png", Decision.ABANDON)
    sweep_times(world, 20)

    assert states(world, names) == {"failed": 700}
    assert job_of(world, "a.png").due is None


@pytest.mark.parametrize("copies", [3, 2 * MOST_DROPS])
def test_every_one_of_many_that_were_given_up_gets_a_result_that_turns_up(
    world: World, copies: int
) -> None:
    world.upscaler.fail_create = errors.CreateOutcomeUnknown("POST", cause_name="ConnectionLost")
    world.drop("a.png", png())
    names = copy_drop(world, "a.png", copies)
    world.decide("a.png", Decision.ABANDON)
    for _ in range(5):
        world.clock.advance(minutes=3)
        world.sweep()
    assert states(world, names) == {"failed": copies}
    world.upscaler.create("api-assets/1.png", {}, job_of(world, "a.png").project_name)
    world.upscaler.finish()
    with mock.patch.object(resolve, "amend_drop", side_effect=Killed), pytest.raises(Killed):
        world.adopt("a.png", "project-1")

    for _ in range(3):
        world.clock.advance(minutes=3)
        world.sweep()
    world.executions.end_all()  # all are lost
    world.pass_hours(6)

    assert states(world, names) == {"delivered": copies}


def test_a_drop_that_waits_is_told_why_by_its_own_event_alone(world: World) -> None:
    world.set_slots(0)
    world.drop("a.png", png())
    copy_drop(world, "a.png", 3000)
    read, seen = world.ledger.drop, set[str]()

    def read_and_note(drop_id: str) -> Drop | None:
        seen.add(drop_id)
        return read(drop_id)

    world.ledger.drop = read_and_note  # type: ignore[method-assign]
    world.drop("last.png", png())

    assert world.row("last.png").wait == "slot"
    assert len(seen) <= 2


def test_of_thousands_that_want_nothing_the_one_that_does_is_found(world: World) -> None:
    names = have_waiting(world, 1000, DropState.SUPERSEDED)
    supersede(world, "a.png")
    wanting = max(names, key=lambda name: Drop.id_of(BUCKET, name))
    row = world.row(wanting)
    (rendition,) = row.renditions.values()
    waits = {rendition.id: rendition.model_copy(update={"state": DropState.WAITING})}
    world.ledger.drops[row.id] = row.model_copy(update={"renditions": waits})

    seen = [sweep_and_count(world) for _ in range(8)]

    assert max(seen) <= MOST_DROPS
    assert len(world.upscaler.creates) == 1


def test_what_thousands_want_no_more_is_laid_aside_unpaid(world: World) -> None:
    have_waiting(world, 1000, DropState.SUPERSEDED)
    supersede(world, "a.png")

    sweep_times(world, 15)

    assert (job_of(world, "a.png").due, world.upscaler.creates) == (None, [])


def test_a_drop_that_comes_while_the_vendor_is_asked_keeps_its_job_on_the_agenda(
    world: World,
) -> None:
    world.put("a.png.yaml", "wait_for_completion: false")
    world.drop("a.png", png())
    world.upscaler.finish()
    look = world.upscaler.project

    def look_slowly(project_id: str):  # type: ignore[no-untyped-def]
        world.upscaler.project = look  # type: ignore[method-assign]
        world.drop("b.png", png())
        world.executions.end_all()  # and its execution is lost
        return look(project_id)

    world.upscaler.project = look_slowly  # type: ignore[method-assign]
    world.sweep(minutes=3)
    world.pass_hours(3)

    assert world.row("b.png").state is DropState.DELIVERED


def test_no_agenda_takes_all_the_time(world: World) -> None:
    for shade in range(4):
        world.drop(f"{shade}.png", png(shade=shade))
    world.executions.end_all()
    left = [300.0]
    look = world.upscaler.project
    world.upscaler.finish(ProjectStatus.CANCELED)

    def look_slowly(project_id: str):  # type: ignore[no-untyped-def]
        left[0] -= 100
        return look(project_id)

    world.upscaler.project = look_slowly  # type: ignore[method-assign]
    world.listens = False
    world.drop("stale.png", "x")
    world.listens = True
    world.clock.advance(minutes=3)

    done = world.sweep_once(lambda: left[0])

    assert done["looked_at"] == 2
    assert left[0] > 60


def test_a_verdict_is_news_also_for_those_whom_the_round_has_passed(world: World) -> None:
    world.put("a.png.yaml", "wait_for_completion: false")
    world.drop("a.png", png())
    names = copy_drop(world, "a.png", 500)
    world.clock.advance(minutes=3)
    sweep_and_count(world)
    assert job_of(world, "a.png").cursor is not None
    world.upscaler.finish(ProjectStatus.ERROR)

    sweep_times(world, 15)

    assert states(world, names) == {"failed": 500}


def test_a_drop_that_comes_behind_the_round_gets_a_round_of_its_own(world: World) -> None:
    names = have_waiting(world, 500, DropState.SUPERSEDED)
    world.set_slots(0)
    supersede(world, "a.png")
    sweep_and_count(world)
    sweep_and_count(world)
    job = job_of(world, "a.png")
    assert job.cursor is not None
    passed = min(names, key=lambda name: Drop.id_of(BUCKET, name))
    assert Drop.id_of(BUCKET, passed) < job.cursor
    came = world.row(passed)
    wanting = {one.id: one.want_again() for one in came.renditions.values()}
    world.ledger.write(
        SaveDrop(came.evaluate(wanting, world.clock())),
        SaveJob(job.take_drop(world.clock(), world.clock())),
    )
    world.set_slots(3)

    sweep_times(world, 10)

    assert world.row(passed).state is DropState.SUBMITTED
    assert len(world.upscaler.creates) == 1


def test_every_one_of_many_drops_is_told_that_it_could_not_be_delivered(world: World) -> None:
    world.drop("a.png", png())
    names = copy_drop(world, "a.png", 300)
    world.upscaler.finish()
    for _ in range(12):
        world.sweep(minutes=1)
        world.executions.end_all()
    assert job_of(world, "a.png").state is JobState.COMPLETE
    world.clock.advance(days=8)

    sweep_times(world, 4)

    assert states(world, names) == {"timed_out": 300}
    reasons = [world.row(name).reason for name in names]
    assert {reason and reason.code for reason in reasons} == {"Undelivered"}
