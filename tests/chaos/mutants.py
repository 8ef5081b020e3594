"""Every rule of the ledger and about money, broken one at a time; each break must be caught.

    python -m tests.chaos.mutants [--known] [--write] [--only TEXT]

It prints, by rule, each mutant and who caught it. Who did so last is remembered in caught_by.json
and asked first; `--write` writes that anew.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import pytest

from tests.chaos.catchers import Catcher, Played, play, simulated, tested
from tests.chaos.conditions import mutants_of
from tests.chaos.money_rules import money_mutants
from tests.chaos.mutation import Mutant, applied, shown, users_of

_ROOT = Path(__file__).parents[2]
_CAUGHT_BY = Path(__file__).with_name("caught_by.json")
TESTS = (
    "tests/unit/pipeline",
    "tests/unit/test_records.py",
    "tests/contract/test_ledger_storage.py",
    "tests/chaos/test_outside_judge.py",
)
_NOT_ABOUT_RULES = ("test_fidelity.py", "test_finish.py")
_LONGEST = 0.15
"""Seconds of processor time; what takes longer catches only what it is known to catch."""

LEDGER = ("jobs", "drops", "gate", "budget", "store", "walk", "rows")


def mutants() -> Iterator[Mutant]:
    """Yield all mutants, by rule."""
    for name in LEDGER:
        yield from mutants_of(f"ledger.{name}")
    yield from money_mutants()


@dataclass
class Hunt:
    """Looks for who catches mutants; a pytest plugin, because most of them are tests."""

    mutants: Sequence[Mutant]
    known: Mapping[str, str]
    longest: float = _LONGEST
    budget: float = 1.5
    caught_by: dict[Mutant, str | None] = field(default_factory=dict)
    _played: dict[str, Played | None] = field(default_factory=dict)
    _catchers: dict[str, Catcher] = field(default_factory=dict)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Hunt, in place of running the tests."""
        items = [i for i in session.items if i.path.name not in _NOT_ABOUT_RULES and "dynamo" not in i.name]
        self._catchers = {one.name: one for one in (*simulated(), *tested(items))}
        for mutant in self.mutants:
            self.caught_by[mutant] = self._catch(mutant)
            if self.caught_by[mutant] is None:
                print("ALIVE", mutant, "   ", shown(mutant), file=sys.stderr, flush=True)
            if len(self.caught_by) % 50 == 0:
                print(len(self.caught_by), time.process_time(), file=sys.stderr, flush=True)
        return True

    def _catch(self, mutant: Mutant) -> str | None:
        """Return who catches a mutant: who did last, else the first one that does."""
        known = self._catchers.get(self.known.get(str(mutant), ""))
        for catcher in ([known] if known else []):
            with applied(mutant):
                if catcher.catches():
                    return catcher.name
        using, order = users_of(mutant), self._sorted()
        begin = time.process_time()
        for catcher in order:
            played = self._played[catcher.name]
            if time.process_time() - begin > self.budget:
                return None
            if played and played.seconds < self.longest and using & played.functions:
                with applied(mutant):
                    is_caught = catcher.catches()
                if is_caught:
                    return catcher.name
        return None

    def _sorted(self) -> list[Catcher]:
        t = time.process_time()
        for catcher in self._catchers.values():
            if catcher.name not in self._played:
                self._played[catcher.name] = play(catcher)
                if self._played[catcher.name] is None:
                    _say(f"  {catcher.name} finds something where nothing is broken")

        if time.process_time() - t > 1:
            print("played", time.process_time() - t, sorted([(p.seconds, n) for n, p in self._played.items() if p and p.seconds > 1], reverse=True)[:40], file=sys.stderr, flush=True)

        def cost(catcher: Catcher) -> tuple[int, float]:
            played = self._played[catcher.name]
            return catcher.kind, played.seconds if played else 0.0

        return sorted(self._catchers.values(), key=cost)


def hunt(mutants: Iterable[Mutant], known: Mapping[str, str]) -> Mapping[Mutant, str | None]:
    """Return who catches each mutant, None if nobody does."""
    hunter = Hunt(list(mutants), known)
    import os
    hunter.longest = float(os.environ.get("LONGEST", "0.15"))
    hunter.budget = float(os.environ.get("BUDGET", "1.5"))
    paths = [str(_ROOT / test) for test in TESTS]
    pytest.main([*paths, "-q", "-s", "-p", "no:cacheprovider", "--no-header"], plugins=[hunter])
    return hunter.caught_by


def known() -> dict[str, str]:
    """Return who caught what, when that was last written down."""
    found: dict[str, str] = json.loads(_CAUGHT_BY.read_text()) if _CAUGHT_BY.exists() else {}
    return found


def main() -> int:
    """Hunt, print the table; return 1 if a mutant lives."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.mutants")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    begin = time.process_time()
    chosen = [mutant for mutant in mutants() if options.only in str(mutant)]
    caught = hunt(chosen, known())
    for rule, group in groupby(caught.items(), key=lambda one: (one[0].where, one[0].rule)):
        _say(f"{rule[0]}: {rule[1]}")
        for mutant, catcher in group:
            _say(
                f"  {mutant.node or 'it'} -> {mutant.becomes}   `{shown(mutant)}`\n"
                f"      {catcher or 'NOBODY CAUGHT IT'}"
            )
    survivors = sum(catcher is None for catcher in caught.values())
    _say(
        f"{len(caught)} mutants, {survivors} survived, {time.process_time() - begin:.0f} s of "
        "processor time"
    )
    if options.write:
        told = known() | {str(mutant): by for mutant, by in caught.items() if by}
        names = {str(mutant) for mutant in mutants()}
        left = {name: by for name, by in told.items() if name in names}
        _CAUGHT_BY.write_text(json.dumps(left, indent=0) + "\n")
    return 1 if survivors else 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
