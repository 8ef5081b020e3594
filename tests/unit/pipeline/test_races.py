"""What happens when two functions work on the same rows at the same moment."""

from collections.abc import Callable
from typing import Any, BinaryIO

import pytest

from dropscale.ledger.states import DropState
from dropscale.ledger.store import Change, LedgerConflict
from dropscale.magichour.models import CreatedProject, Project
from tests.fakes import png
from tests.world import PLENTY, World


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


class Calls:
    """The outside calls of a world; before the n-th from now on, something happens."""

    def __init__(self, world: World) -> None:
        self.made: list[str] = []
        self._at = 0
        self._happen: Callable[[], None] = lambda: None
        for name in ("ledger", "results", "upscaler"):
            setattr(world, name, _Counted(self, getattr(world, name)))
        world.compose()

    def interrupt(self, at: int, happen: Callable[[], None]) -> None:
        self.made.clear()
        self._at, self._happen = at, happen

    def note(self, name: str) -> None:
        self.made.append(name)
        if len(self.made) == self._at:
            self._happen()


class _Counted:
    def __init__(self, calls: Calls, adapter: object) -> None:
        self._calls, self._adapter = calls, adapter

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._adapter, name)
        if not callable(found):
            return found

        def call(*given: Any) -> Any:
            self._calls.note(name)
            return found(*given)

        return call


def deliver_slowly(world: World, at: int) -> list[str]:
    """Deliver an image; before the n-th outside call of that, a newer image is delivered."""
    vendor = world.upscaler
    calls, images = Calls(world), [png(16, 12), png(16, 12, shade=9)]

    def download(url: str, file: BinaryIO) -> int:
        return file.write(images[int(url[-1]) - 1])

    def finish() -> None:
        for number, name in enumerate(world.upscaler.projects, 1):
            downloads = [{"url": f"https://vendor.example/{number}"}]
            told = {"id": name, "status": "complete", "downloads": downloads}
            world.upscaler.projects[name] = Project.model_validate(told)

    def deliver_newer() -> None:
        world.drop("a.png", png(shade=9))
        finish()
        world.deliver(world.check(world.running()[-1]))

    world.drop("a.png", png())
    finish()
    slow = world.running()[0]
    vendor.download = download  # type: ignore[method-assign]
    calls.interrupt(at, deliver_newer)
    world.deliver_result(slow, lambda: PLENTY)
    return calls.made


LAST_CALL_BEFORE_THE_OUTPUT = deliver_slowly(World(), 0).index("put_output") + 1


@pytest.mark.parametrize("at", range(1, LAST_CALL_BEFORE_THE_OUTPUT + 1))
def test_a_slow_delivery_does_not_replace_that_of_a_newer_image(world: World, at: int) -> None:
    deliver_slowly(world, at)

    assert world.row("a.png").state is DropState.DELIVERED
    assert world.results.outputs["a.png@2x.png"][0] == png(16, 12, shade=9)


def test_what_a_drop_has_no_more_is_not_delivered_to_it(world: World) -> None:
    world.drop("a.png", png())
    world.upscaler.finish()
    (state,) = world.running()
    download = world.upscaler.download

    def download_and_forget(url: str, file: BinaryIO) -> int:
        row = world.row("a.png")
        world.ledger.drops[row.id] = row.model_copy(update={"renditions": {}})
        return download(url, file)

    world.upscaler.download = download_and_forget  # type: ignore[method-assign]
    world.deliver_result(state, lambda: PLENTY)

    assert world.results.outputs == {}


def test_a_delivery_that_another_one_overtakes_finds_it_done(world: World) -> None:
    world.drop("a.png", png())
    world.upscaler.finish()
    (state,) = world.running()
    put = world.results.put_output

    def put_after_another(*given: Any) -> bool:
        world.results.put_output = put  # type: ignore[method-assign]
        world.deliver(state)
        return put(*given)

    world.results.put_output = put_after_another  # type: ignore[method-assign, assignment]
    world.deliver(state)

    assert world.row("a.png").state is DropState.DELIVERED


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
