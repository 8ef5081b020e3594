"""`make chaos`: every crash point, many random mishaps, stories of misbehaviour, the great burst.

    python -m tests.chaos [--seed N] [--trials N] [--stories N] [--drops N]

A failure prints its seed. `--seed N` plays the same again; of trials with several mishaps,
`CHAOS_SEED=N python -m pytest tests/chaos -k several` plays that one first. A story that breaks a
promise is printed without all that the breach does not need.
"""

import argparse
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable

from tests.chaos.burst import burst
from tests.chaos.crash_points import Trial, many_mishaps, single_mishaps
from tests.chaos.outside_calls import Mishap
from tests.chaos.scenarios import SCENARIOS
from tests.chaos.stories import drawn, shortest


def main() -> int:
    """Run all; return 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    seed = int(os.environ.get("CHAOS_SEED") or random.randrange(10**6))
    parser.add_argument("--seed", type=int, default=seed)
    parser.add_argument("--trials", type=int, default=20_000)
    parser.add_argument("--stories", type=int, default=1_000)
    parser.add_argument("--drops", type=int, default=10_000)
    options = parser.parse_args()
    _say(f"seed {options.seed}")
    singles = [trial for scenario in SCENARIOS for trial in single_mishaps(scenario, options.seed)]
    points = len(singles) // len(Mishap)
    _say(f"{len(SCENARIOS)} scenarios, {points} crash points, {len(Mishap)} mishaps at each:")
    broken = _play(singles)
    _say(f"{options.trials} trials with several mishaps at once:")
    broken += _play(many_mishaps(options.seed, options.trials))
    _say(f"{options.stories} stories of a vendor and a world that misbehave:")
    broken += _tell(options.seed, options.stories)
    for slots in (3, 10):
        broken += _burst(options.drops, slots, options.seed)
    return 1 if broken else 0


def _play(trials: Iterable[Trial]) -> int:
    begin, counts = time.monotonic(), Counter[str]()
    for trial in trials:
        run = trial.play()
        counts["runs"] += 1
        counts["calls"] += len(run.calls)
        counts["with an unknown outcome"] += run.unknown > 0
        for violation in run.violations:
            counts["broken promises"] += 1
            _say(f"  BROKEN {trial}: {violation}")
    told = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    _say(f"  {told}, {time.monotonic() - begin:.0f} s")
    return counts["broken promises"]


def _tell(seed: int, stories: int) -> int:
    """Play stories; story n of a seed is the first of seed + n."""
    begin, counts = time.monotonic(), Counter[str]()
    for number in range(seed, seed + stories):
        story = drawn(number)
        judge = story.judge()
        found = judge.verdict()
        counts["stories"] += 1
        counts["projects"] += len(judge.stack.vendor.book)
        counts["commands of a person"] += len(judge.commands)
        if found:
            counts["broken promises"] += 1
            story = shortest(story)
            _say(f"  BROKEN {story}")
            for violation in story.violations():
                _say(f"    {violation}")
    told = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    _say(f"  {told}, {time.monotonic() - begin:.0f} s")
    return counts["broken promises"]


def _burst(drops: int, slots: int, seed: int) -> int:
    begin = time.monotonic()
    result = burst(drops, slots, seed)
    for violation in result.violations:
        _say(f"  BROKEN {violation}")
    _say(
        f"burst of {drops:,} drops on {slots} slots: {result.delivered:,} delivered in "
        f"{result.hours:.1f} virtual hours, {result.refusals:,} creates refused, no image read "
        f"more than {result.most_reads} times, the vendor's places busy for "
        f"{result.utilisation:.1%} of the time that work waited ({result.calls:,} calls, "
        f"{time.monotonic() - begin:.0f} s)"
    )
    return len(result.violations)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
