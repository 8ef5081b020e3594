"""Finds every outside call of a scenario, and plays it again with a mishap at each of them."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.chaos.outside_calls import Mishap
from tests.chaos.scenarios import SCENARIOS, Run, Scenario, play

_MOST_MISHAPS = 4
_MISHAP_REACH = 300
"""Calls within which mishaps are drawn: later ones are looks at a job that takes its time."""


@dataclass(frozen=True)
class Trial:
    """A scenario to be played with these mishaps, by the number of the outside call."""

    scenario: Scenario
    seed: int
    mishaps: Mapping[int, Mishap]

    def play(self) -> Run:
        """Play it."""
        return play(self.scenario, self.seed, self.mishaps)

    def __str__(self) -> str:
        befallen = ", ".join(f"{mishap} call {number}" for number, mishap in self.mishaps.items())
        return f"{self.scenario.name!r}, seed {self.seed}: {befallen or 'no mishap'}"


def single_mishaps(scenario: Scenario, seed: int) -> list[Trial]:
    """Return a trial for every outside call of a scenario and every mishap."""
    return [
        Trial(scenario, seed, {number: mishap})
        for number in range(1, len(play(scenario, seed, {}).calls) + 1)
        for mishap in Mishap
    ]


def many_mishaps(seed: int, trials: int) -> Iterator[Trial]:
    """Yield trials with several mishaps each; trial n of a seed is the first of seed + n."""
    calls = {scenario.name: len(play(scenario, 1, {}).calls) for scenario in SCENARIOS}
    for number in range(seed, seed + trials):
        chance = random.Random(number)
        scenario = chance.choice(SCENARIOS)
        reach = min(calls[scenario.name], _MISHAP_REACH)
        mishaps = {
            chance.randint(1, reach): chance.choice(list(Mishap))
            for _ in range(chance.randint(1, _MOST_MISHAPS))
        }
        yield Trial(scenario, number, mishaps)
