"""As many jobs at once as the account's tier runs, for a stack without its own number."""

import pytest

from dropscale.magichour import errors
from tests.fakes import png
from tests.world import World

REFUSED = errors.Unauthorized("GET /v1/account", status=401)


@pytest.fixture
def world() -> World:
    return World(slots=None)


def drop(world: World, images: int) -> None:
    for shade in range(len(world.bucket.objects), len(world.bucket.objects) + images):
        world.drop(f"{shade}.png", png(shade=shade))


@pytest.mark.parametrize(
    ("tier", "places"), [("free", 1), ("creator", 3), ("pro", 5), ("business", 10), ("gold", 1)]
)
def test_a_tier_runs_so_many_jobs_at_once(world: World, tier: str, places: int) -> None:
    world.upscaler.tier = tier
    world.sweep()
    drop(world, 12)

    assert len(world.upscaler.creates) == places


def test_one_job_runs_until_the_account_has_answered(world: World) -> None:
    world.upscaler.fail_account = REFUSED
    world.sweep()
    drop(world, 3)
    assert len(world.upscaler.creates) == 1

    world.upscaler.fail_account = None
    world.sweep(minutes=1)

    assert len(world.upscaler.creates) == 3


@pytest.mark.parametrize("told", [None, "gold"])
def test_what_was_known_counts_until_the_account_tells_otherwise(
    world: World, told: str | None
) -> None:
    world.upscaler.tier = "pro"
    world.sweep()
    world.upscaler.fail_account = REFUSED if told is None else None
    world.upscaler.tier, world.upscaler.credits = told, None
    world.sweep(hours=2)
    drop(world, 6)

    assert len(world.upscaler.creates) == 5
    assert {value for name, _, value in world.sweep_once.backlog() if "left" in name} == {1000}


@pytest.mark.parametrize("told", [-(10**30), 10**30])
def test_a_number_of_credits_that_nobody_has_is_cut(world: World, told: int) -> None:
    world.upscaler.credits = told
    world.sweep()

    known = world.ledger.account()
    assert known is not None
    assert known.credits == (10**12 if told > 0 else -(10**12))


@pytest.mark.parametrize("later", [None, REFUSED], ids=["answers", "refuses"])
def test_the_account_is_asked_once_an_hour(
    world: World, later: errors.MagicHourError | None
) -> None:
    world.sweep()
    world.clock.advance(hours=1)
    world.upscaler.fail_account = later
    asked, account = [], world.upscaler.account
    world.upscaler.account = lambda: asked.append(world.clock()) or account()  # type: ignore[func-returns-value,method-assign]
    for _ in range(121):
        world.sweep(minutes=1)

    assert len(asked) == 3


def test_a_tier_that_falls_ends_no_job_and_adds_none_before_as_many_have_ended(
    world: World,
) -> None:
    world.upscaler.tier = "pro"
    world.sweep()
    world.clock.advance(minutes=50)
    drop(world, 7)
    world.upscaler.tier = "creator"
    world.sweep(minutes=10)
    assert world.ledger.taken == 5

    for state in world.running()[:3]:
        world.upscaler.answer(state.project_id, "complete")
        world.deliver(world.check(state))

    assert world.ledger.taken == 3
    assert len(world.upscaler.creates) == 6


def test_two_sweeps_that_ask_at_once_do_no_harm(world: World) -> None:
    account = world.upscaler.account

    def overtaken() -> object:
        world.upscaler.account = account  # type: ignore[method-assign]
        world.sweep()
        return account()

    world.upscaler.account = overtaken  # type: ignore[assignment,method-assign]
    world.sweep()

    known = world.ledger.account()
    assert known is not None
    assert (known.seq, known.tier) == (1, "business")
