"""What happens when two functions work on the same rows at the same moment."""

from collections.abc import Callable
from typing import Any, BinaryIO

import pytest

from dropscale.ledger.states import DropState
from dropscale.ledger.store import Change, LedgerConflict
from dropscale.magichour.models import CreatedProject
from tests.fakes import png
from tests.world import World


def outcome_of(write: Callable[..., None], *changes: Change) -> Exception | None:
    try:
        write(*changes)
    except LedgerConflict as conflict:
        return conflict
    return None


def test_a_drop_that_leaves_a_job_while_it_is_about_to_start_is_no_error(world: World) -> None:
    world.set_slots(0)
    world.drop("a.png", png())
    (fingerprint,) = world.ledger.jobs
    attached = world.ledger.list_attached

    def attached_and_left(job: str, after: str | None, limit: int) -> list[str]:
        world.ledger.list_attached = attached  # type: ignore[method-assign]
        before = attached(job, after, limit)
        world.drop("a.png", png(shade=9))
        return before

    world.ledger.list_attached = attached_and_left  # type: ignore[method-assign, assignment]
    world.start(fingerprint, lambda: 900.0)

    assert world.upscaler.creates == []


def test_a_drop_does_not_leave_a_job_that_is_being_paid_at_that_moment(world: World) -> None:
    world.set_slots(0)
    world.drop("a.png", png())
    (fingerprint,) = world.ledger.jobs
    world.set_slots(3)
    write, create = world.ledger.write, world.upscaler.create

    def write_while_paying(*changes: Change) -> None:
        def create_and_write(*arguments: Any) -> CreatedProject:
            written.append(outcome_of(write, *changes))
            return create(*arguments)

        written: list[Exception | None] = []
        world.ledger.write = write  # type: ignore[method-assign]
        world.upscaler.create = create_and_write  # type: ignore[method-assign, assignment]
        world.start(fingerprint, lambda: 900.0)
        world.upscaler.create = create  # type: ignore[method-assign]
        if written[0]:
            raise written[0]

    world.ledger.write = write_while_paying  # type: ignore[method-assign]
    world.drop("a.png.yaml", "scale_factor: 4")

    assert len(world.upscaler.creates) == 2
    renditions = world.row("a.png").renditions.values()
    assert [rendition.state for rendition in renditions] == ["superseded", "submitted"]


def test_a_slow_delivery_does_not_replace_that_of_a_newer_image(world: World) -> None:
    world.drop("a.png", png())
    world.upscaler.finish()
    slow = world.running()[0]
    download = world.upscaler.download

    def download_and_deliver_newer(url: str, file: BinaryIO) -> int:
        size = download(url, file)
        world.upscaler.download = download  # type: ignore[method-assign]
        world.upscaler.result = png(16, 12, shade=9)
        world.drop("a.png", png(shade=9))
        world.upscaler.finish()
        world.deliver(world.check(world.running()[-1]))
        return size

    world.upscaler.download = download_and_deliver_newer  # type: ignore[method-assign]
    world.deliver(slow)

    assert world.row("a.png").state is DropState.DELIVERED
    assert world.results.outputs["a.png@2x.png"][0] == png(16, 12, shade=9)


def test_a_spec_that_changes_during_the_delivery_has_it_done_again(world: World) -> None:
    world.drop("a.png", png())
    world.upscaler.finish()
    (state,) = world.running()
    download = world.upscaler.download

    def download_and_change_spec(url: str, file: BinaryIO) -> int:
        world.upscaler.download = download  # type: ignore[method-assign]
        world.drop("a.png.yaml", "download_directory: best")
        return download(url, file)

    world.upscaler.download = download_and_change_spec  # type: ignore[method-assign]
    with pytest.raises(LedgerConflict):
        world.deliver(state)
    world.deliver(state)

    (rendition,) = world.row("a.png").renditions.values()
    assert rendition.output is not None
    assert rendition.output.key == "best/a.png@2x.png"


def test_a_delivery_of_a_replaced_execution_leaves_the_drop_to_the_newer_one(
    world: World,
) -> None:
    world.drop("a.png", png())
    world.upscaler.finish()
    (state,) = world.running()
    download = world.upscaler.download

    def download_and_replace(url: str, file: BinaryIO) -> int:
        world.executions.end_all()
        world.sweep(minutes=3)
        return download(url, file)

    world.upscaler.download = download_and_replace  # type: ignore[method-assign]
    world.deliver(state)
    world.upscaler.download = download  # type: ignore[method-assign]
    world.drop("a.png.yaml", "download_directory: best")
    world.deliver(world.running()[-1])

    assert world.row("a.png").state is DropState.DELIVERED
    assert "best/a.png@2x.png" in world.results.outputs
