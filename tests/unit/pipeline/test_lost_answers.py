"""The ledger takes a write, and its answer is lost; or it takes none for a while."""

from collections.abc import Callable

import pytest

from dropscale.ledger.states import JobState
from dropscale.ledger.store import Change, LedgerConflict, NotInLedger, SaveJob
from dropscale.pipeline.parts.start import ProjectUnrecorded
from tests.fakes import png
from tests.world import World


class Throttled(Exception):
    """The ledger takes nothing now."""


def claims(changes: tuple[Change, ...]) -> bool:
    return any(
        isinstance(change, SaveJob) and change.job.state is JobState.SUBMITTING
        for change in changes
    )


def before_claim(world: World, act: Callable[[tuple[Change, ...]], None]) -> None:
    """Have `act` take the place of the first claim that is written."""
    write = world.ledger.write

    def write_or_act(*changes: Change) -> None:
        if not claims(changes):
            write(*changes)
            return
        world.ledger.write = write  # type: ignore[method-assign]
        act(changes)

    world.ledger.write = write_or_act  # type: ignore[method-assign]


@pytest.mark.parametrize(("minutes", "creates"), [(0, 1), (10, 1), (15.5, 0), (17, 0)])
def test_a_claim_that_was_ours_after_all_is_paid_once_while_its_lease_lasts(
    world: World, minutes: float, creates: int
) -> None:
    def commit_and_lose_answer(changes: tuple[Change, ...]) -> None:
        world.ledger.write(*changes)
        world.clock.advance(minutes=minutes)
        raise LedgerConflict

    before_claim(world, commit_and_lose_answer)
    world.drop("a.png", png())

    assert len(world.upscaler.creates) == creates
    if creates:
        assert world.only_job.state is JobState.SUBMITTED
    else:
        assert (world.only_job.state, world.ledger.taken) == (JobState.READY, 0)
        world.sweep(seconds=1)
        assert len(world.upscaler.creates) == 1


def test_a_claim_that_was_anothers_is_not_paid(world: World) -> None:
    def come_second(changes: tuple[Change, ...]) -> None:
        (claimed,) = (change.job for change in changes if isinstance(change, SaveJob))
        anothers = claimed.model_copy(update={"attempt_id": "another's"})
        world.ledger.write(SaveJob(anothers))
        raise LedgerConflict

    before_claim(world, come_second)
    world.drop("a.png", png())

    assert world.upscaler.creates == []
    assert world.only_job.attempt_id == "another's"


def test_a_function_whose_time_is_over_once_it_has_claimed_does_not_pay(world: World) -> None:
    left = [900.0]

    def commit_slowly(changes: tuple[Change, ...]) -> None:
        world.ledger.write(*changes)
        left[0] = 30.0

    world.set_slots(0)
    world.drop("a.png", png())
    world.set_slots(3)
    before_claim(world, commit_slowly)
    world.start(world.only_job.fingerprint, lambda: left[0])

    assert world.upscaler.creates == []
    assert (world.only_job.state, world.ledger.taken) == (JobState.READY, 0)


@pytest.mark.parametrize("seconds", [1, 20, 90])
def test_a_paid_project_is_recorded_once_the_ledger_takes_it(world: World, seconds: int) -> None:
    end = world.clock().timestamp() + 100
    throttle_after_create(world, seconds)

    world.put("a.png", png())
    world.submit_object("input", "a.png", lambda: end - world.clock().timestamp())

    assert (world.only_job.state, world.only_job.project_id) == (
        JobState.SUBMITTED,
        "project-1",
    )


def test_a_paid_project_that_cannot_be_recorded_is_told_before_the_time_is_over(
    world: World,
) -> None:
    end = world.clock().timestamp() + 100
    throttle_after_create(world, 1000)

    world.put("a.png", png())
    with pytest.raises(ProjectUnrecorded, match="project-1"):
        world.submit_object("input", "a.png", lambda: end - world.clock().timestamp())

    assert 90 < 100 - (end - world.clock().timestamp()) < 100


def throttle_after_create(world: World, seconds: int) -> None:
    """Have the ledger take no step of a job for so long from the next create on."""
    create, write = world.upscaler.create, world.ledger.write

    def create_and_throttle(*arguments):  # type: ignore[no-untyped-def]
        over = world.clock().timestamp() + seconds

        def write_later(*changes: Change) -> None:
            if world.clock().timestamp() < over:
                raise Throttled
            write(*changes)

        world.ledger.write = write_later  # type: ignore[method-assign]
        return create(*arguments)

    world.upscaler.create = create_and_throttle  # type: ignore[method-assign]


def refuse_after_create(world: World, error: Exception, seconds: float = 0.0) -> list[float]:
    """Have the ledger take no step of a job, after so many seconds each; return the pauses."""
    create, pauses = world.upscaler.create, list[float]()

    def refuse(*_: Change) -> None:
        world.clock.advance(seconds=seconds)
        raise error

    def create_and_refuse(*arguments):  # type: ignore[no-untyped-def]
        world.ledger.write = refuse  # type: ignore[method-assign]
        return create(*arguments)

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        assert len(pauses) < 1000, "it never gives up"

    world.upscaler.create = create_and_refuse  # type: ignore[method-assign]
    world.sleep = pause
    world.compose()
    world.put("a.png", png())
    return pauses


def test_whoever_waits_for_the_ledger_counts_its_pauses_itself(world: World) -> None:
    pauses = refuse_after_create(world, Throttled())

    with pytest.raises(ProjectUnrecorded, match="project-1"):
        world.submit_object("input", "a.png", lambda: 100.0)

    assert 90 < sum(pauses) < 100
    assert pauses[:6] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0]
    assert max(pauses) == 5.0


def test_whoever_waits_for_the_ledger_sees_that_its_answers_take_time(world: World) -> None:
    end = world.clock().timestamp() + 100
    pauses = refuse_after_create(world, Throttled(), seconds=30)

    with pytest.raises(ProjectUnrecorded, match="project-1"):
        world.submit_object("input", "a.png", lambda: end - world.clock().timestamp())

    assert len(pauses) < 4


def test_what_the_ledger_will_never_take_is_told_at_once(world: World) -> None:
    pauses = refuse_after_create(world, NotInLedger.of("job", "f"))

    with pytest.raises(ProjectUnrecorded, match="project-1"):
        world.submit_object("input", "a.png", lambda: 100.0)

    assert pauses == []
