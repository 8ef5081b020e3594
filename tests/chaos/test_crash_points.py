"""Whatever befalls the functions, nothing is paid twice, lost, leaked or left in silence."""

import os
import random

import pytest

from tests.chaos.crash_points import Trial, many_mishaps, single_mishaps
from tests.chaos.outside_calls import Mishap
from tests.chaos.scenarios import SCENARIOS, Scenario, play

SEED = int(os.environ.get("CHAOS_SEED", "1"))
SINGLE_TRIALS = 15
"""Of each scenario; `make chaos` plays all."""
TRIALS_WITH_MANY = 75


def failures(trials: list[Trial]) -> list[str]:
    return [f"{trial}: {found}" for trial in trials for found in trial.play().violations]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_mishap_at_any_outside_call_breaks_no_promise(scenario: Scenario) -> None:
    trials = single_mishaps(scenario, SEED)
    sample = random.Random(SEED).sample(trials, SINGLE_TRIALS)

    assert failures([Trial(scenario, SEED, {}), *sample]) == []


def test_several_mishaps_break_no_promise() -> None:
    assert failures(list(many_mishaps(SEED, TRIALS_WITH_MANY))) == []


@pytest.mark.parametrize("name", ["one drop", "throttled twice"])
def test_an_outcome_is_unknown_only_if_the_paid_call_was_cut_off(name: str) -> None:
    (scenario,) = (scenario for scenario in SCENARIOS if scenario.name == name)
    calls = play(scenario, SEED, {}).calls
    unknown = {
        calls[number - 1].partition(": ")[2]
        for number in range(1, len(calls) + 1)
        if play(scenario, SEED, {number: Mishap.KILLED_BEFORE}).unknown
    }

    assert "upscaler.create" in unknown
    assert unknown <= {"upscaler.create", "ledger.job", "ledger.write"}
