"""A wanted result's job is on the sweeper's agenda, whatever happened to it before."""

import pytest

from dropscale.ledger.states import DropState, JobState
from dropscale.ledger.store import Attach, Change, SaveDrop, SaveJob
from dropscale.magichour import errors
from dropscale.pipeline.parts.refusals import AccessDenied
from dropscale.pipeline.resolve import Decision
from dropscale.upscaler import ProjectStatus
from tests.fakes import png
from tests.world import PLENTY, World

LOST = errors.CreateOutcomeUnknown("POST /v1/ai-image-upscaler")


class Killed(BaseException):
    """The function is killed."""


def bring_to(world: World, state: JobState) -> None:
    """Bring the job of a drop to a state, and have it laid aside there."""
    if state in {JobState.UNKNOWN, JobState.ABANDONED}:
        world.upscaler.fail_create = LOST
    if state in {JobState.READY, JobState.SUBMITTING}:
        world.set_slots(0)
    world.drop("a.png", png())
    if state is JobState.ABANDONED:
        world.decide("a.png", Decision.ABANDON)
    endings = {
        JobState.COMPLETE: ProjectStatus.COMPLETE,
        JobState.ERROR: ProjectStatus.ERROR,
        JobState.CANCELED: ProjectStatus.CANCELED,
    }
    if state in endings:
        world.finish_all(endings[state], credits_charged=50)
    job = world.only_job
    if state is JobState.SUBMITTING:
        claimed = job.claim("00", world.clock(), [])
        world.ledger.write(SaveJob(claimed))
        job = claimed
    assert job.state is state
    if state is not JobState.SUBMITTING:
        world.ledger.write(SaveJob(job.look_again(None)))


def die_after(world: World, kind: type[Change]) -> None:
    """Have the function that writes such a change killed right after it."""
    write = world.ledger.write

    def write_and_die(*changes: Change) -> None:
        write(*changes)
        if any(isinstance(change, kind) for change in changes):
            world.ledger.write = write  # type: ignore[method-assign]
            raise Killed

    world.ledger.write = write_and_die  # type: ignore[method-assign]


@pytest.mark.parametrize("state", JobState)
def test_a_drop_that_comes_to_a_job_laid_aside_puts_it_back_on_the_agenda(
    world: World, state: JobState
) -> None:
    bring_to(world, state)
    before = world.only_job

    die_after(world, Attach)
    with pytest.raises(Killed):
        world.drop("copy.png", png())

    after = world.only_job
    assert after.seq > before.seq, "whoever was about to lay it aside does not see the drop"
    assert after.due is not None
    if state is JobState.SUBMITTING:
        assert after.due == before.due
    world.set_slots(3)
    world.sweep(minutes=20)
    assert world.row("copy.png").state is not DropState.WAITING


@pytest.mark.parametrize("status", [ProjectStatus.COMPLETE, ProjectStatus.ERROR])
def test_a_retry_that_is_cut_off_is_taken_up_by_the_sweeper(
    world: World, status: ProjectStatus
) -> None:
    world.drop("a.png", png())
    world.upscaler.finish(status, credits_charged=0)
    world.fail(world.running()[0].model_copy(update={"status": ProjectStatus.ERROR}))
    world.sweep(minutes=3)
    world.ledger.write(SaveJob(world.only_job.look_again(None)))

    die_after(world, SaveDrop)
    with pytest.raises(Killed):
        world.retry("a.png")
    world.upscaler.finish()
    world.pass_hours(2)
    world.upscaler.finish()
    world.pass_hours(2)

    assert world.row("a.png").state is DropState.DELIVERED


def test_of_drops_that_share_bytes_all_are_asked_up_to_the_first_that_is_there(
    world: World,
) -> None:
    world.set_slots(0)
    for name in "abcd":
        world.drop(f"{name}.png", png())
    keys = sorted((f"{name}.png" for name in "abcd"), key=lambda key: world.row(key).id)
    world.bucket.delete(keys[0])
    world.bucket.refusals[keys[1]] = AccessDenied("denied", fix="Allow it.")
    world.clock.advance(days=7)

    send = world.queue.send

    def send_and_change(bucket: str, key: str) -> None:
        send(bucket, key)
        world.ledger.write(SaveJob(world.only_job.look_again(world.clock())))

    world.queue.send = send_and_change  # type: ignore[method-assign]
    world.sweep(seconds=1)

    assert world.queue.keys == keys[:3]


def ways_to_start(world: World, way: str) -> None:
    """Start the job of a.png on each of the ways there are."""
    if way == "another job's end":
        world.start.start_next(lambda: PLENTY)
    if way == "by itself":
        world.start(world.only_job.fingerprint, lambda: PLENTY)
    if way == "pay again":
        world.decide("a.png", Decision.PAY_AGAIN)


@pytest.mark.parametrize(
    ("way", "is_laid_aside"),
    [
        ("another job's end", False),
        ("by itself", False),
        ("by itself", True),
        ("pay again", True),
        ("sweep", False),
    ],
)
def test_an_upload_past_its_days_is_not_paid_for_but_sent_again(
    world: World, way: str, is_laid_aside: bool
) -> None:
    if way == "pay again":
        world.upscaler.fail_create = LOST
    else:
        world.set_slots(0)
    world.drop("a.png", png())
    world.set_slots(3)
    if is_laid_aside:
        world.ledger.write(SaveJob(world.only_job.look_again(None)))
    world.clock.advance(days=7)

    ways_to_start(world, way)
    assert world.upscaler.creates == []
    world.sweep(seconds=1)
    assert world.queue.keys
    for key in world.queue.keys:
        world.submit(key)

    assert [path for path, *_ in world.upscaler.creates] == ["api-assets/2.png"]
