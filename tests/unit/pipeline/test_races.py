"""What happens when two functions work on the same rows at the same moment."""

from tests.fakes import png
from tests.world import World


def test_a_drop_that_leaves_a_job_while_it_is_about_to_start_is_no_error(world: World) -> None:
    world.slots = 0
    world.__post_init__()
    world.drop("a.png", png())
    (fingerprint,) = world.ledger.jobs
    attached = world.ledger.attached

    def attached_and_left(job: str) -> list[str]:
        world.ledger.attached = attached  # type: ignore[method-assign]
        before = attached(job)
        world.drop("a.png", png(shade=9))
        return before

    world.ledger.attached = attached_and_left  # type: ignore[method-assign]
    world.start(fingerprint, lambda: 900.0)

    assert world.ledger.jobs[fingerprint].due is None
    assert world.upscaler.creates == []
