"""What becomes of work that was cut off with the whole stack, once the stack is back."""

import pytest

from dropscale.ledger.states import DropState, JobState
from dropscale.pipeline.resolve import Decision
from tests.fakes import png
from tests.world import World


class Killed(BaseException):
    """Nothing catches it, as nothing catches SIGKILL."""


@pytest.fixture
def cut_off(world: World) -> World:
    """A stack that was killed while it waited for the answer to a create."""

    def kill() -> None:
        raise Killed

    world.upscaler.before_answer = kill
    with pytest.raises(Killed):
        world.drop("cat.png", png())
    return world


def test_a_cut_off_attempt_is_unknown_at_once_and_says_how_to_settle_it(cut_off: World) -> None:
    assert cut_off.row("cat.png").state is DropState.WAITING

    cut_off.restart()
    cut_off.drop("cat.png")

    assert cut_off.row("cat.png").state is DropState.UNKNOWN
    assert "dropscale resolve" in cut_off.manifest("cat.png")["reason"]["fix"]
    assert len(cut_off.upscaler.creates) == 1


def test_a_cut_off_attempt_gives_its_slot_back(cut_off: World) -> None:
    assert cut_off.ledger.taken == 1
    cut_off.restart()
    assert cut_off.ledger.taken == 0
    cut_off.decide("cat.png", Decision.ABANDON)
    assert cut_off.ledger.taken == 0


def test_paid_jobs_are_watched_again_by_the_first_sweep(world: World) -> None:
    world.drop("cat.png", png())
    world.executions.started.clear()

    world.sweep()
    assert world.running() == []
    world.restart()
    world.sweep(seconds=1)

    assert [state.key for state in world.running()] == ["cat.png"]


def test_a_restart_leaves_alone_what_is_done(world: World) -> None:
    world.drop("cat.png", png())
    world.finish_all()
    before = world.row("cat.png")

    world.restart()
    world.sweep()

    assert world.row("cat.png") == before
    assert world.only_job.state is JobState.COMPLETE
