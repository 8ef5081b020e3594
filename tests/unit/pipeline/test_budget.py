"""No more is spent than the budget allows, and drops that wait for it continue automatically."""

import pytest

from dropscale.ledger.budget import Budget
from dropscale.ledger.states import DropState
from dropscale.magichour import errors
from dropscale.upscaler import ProjectStatus
from tests.fakes import png
from tests.world import World

DAY = "day#2026-11-23"


@pytest.fixture
def world() -> World:
    return World(budget=Budget(daily=100))


def drop_three(world: World) -> None:
    for shade, key in enumerate(("a.png", "b.png", "c.png")):
        world.drop(key, png(shade=shade))
        world.clock.advance(seconds=1)


def test_a_drop_over_budget_waits_until_the_window_ends_and_goes_on_by_itself(
    world: World,
) -> None:
    drop_three(world)

    manifest = world.manifest("c.png")
    assert (manifest["state"], manifest["waiting_for"]) == ("waiting", "budget")
    assert manifest["waiting_until"] == "2026-11-24T00:00:00.000+00:00"
    assert manifest["reason"]["message"] == (
        "DailyCreditLimit is 100 credits, of which 100 are spent; waiting upscales: 1"
    )
    assert "sam deploy --parameter-overrides DailyCreditLimit=" in manifest["reason"]["fix"]
    assert world.ledger.credits_spent(DAY) == 100
    world.sweep()
    assert len(world.upscaler.creates) == 2

    world.sweep(hours=12)

    assert world.row("c.png").state is DropState.SUBMITTED
    assert world.ledger.credits_spent("day#2026-11-24") == 50


def test_a_refund_goes_back_to_the_window_it_came_from(world: World) -> None:
    drop_three(world)
    world.upscaler.finish(ProjectStatus.ERROR, credits_charged=0)
    world.clock.advance(hours=13)

    world.fail(world.check(world.running()[0]))

    assert world.ledger.credits_spent(DAY) == 50
    assert world.ledger.credits_spent("month#2026-11") == 100
    assert world.row("c.png").state is DropState.SUBMITTED


def test_a_refusal_takes_nothing(world: World) -> None:
    world.upscaler.fail_create = errors.PlanRefused("POST", status=403)
    world.drop("a.png", png())

    assert world.ledger.credits_spent(DAY) == 0


def test_an_unknown_outcome_counts_as_spent(world: World) -> None:
    world.upscaler.fail_create = errors.CreateOutcomeUnknown("POST", cause_name="ConnectionLost")
    world.drop("a.png", png())

    assert world.ledger.credits_spent(DAY) == 50


def test_what_the_vendor_charged_counts_not_what_was_expected(world: World) -> None:
    world.put("a.png.yaml", "style: {mode: preserve}")
    world.drop("a.png", png())

    assert world.ledger.credits_spent(DAY) == 50


def test_a_price_that_no_window_can_ever_pay_is_refused(world: World) -> None:
    world.put("a.png.yaml", "scale_factor: 4")
    world.drop("a.png", png())

    assert world.manifest("a.png")["reason"]["code"] == "PriceAboveLimit"
    assert world.upscaler.uploads == []
