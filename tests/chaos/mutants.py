"""Every rule of the ledger and about money, broken one at a time; each break must be caught.

    python -m tests.chaos.mutants [--sample N] [--only TEXT] [--write] [--seconds S]

It prints, by rule, each mutant and who caught it. Who did so last is in caught_by.json, and asked
first; else all are asked that go through the changed code, for as many seconds of processor time.
`--write` writes down who caught what.
"""

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from types import MappingProxyType

import pytest

from tests.chaos.catchers import Catcher, Played, interrupted, play, scenarios, stories, tested
from tests.chaos.conditions import mutants_in, mutants_of
from tests.chaos.money_rules import money_mutants, table_mutants
from tests.chaos.mutation import Mutant, applied, shown, summary, users_of

_ROOT = Path(__file__).parents[2]
_CAUGHT_BY = Path(__file__).with_name("caught_by.json")
_TESTS = (
    *("unit/ledger", "unit/pipeline", "unit/test_output_key.py", "chaos"),
    *("contract/test_ledger_storage.py", "contract/test_ledger_repeats.py"),
    *("unit/magichour/test_create.py", "unit/magichour/test_sent_or_not.py"),
    *("unit/magichour/test_status_to_error.py", "unit/magichour/test_arguments.py"),
)
_ABOUT_PICTURES = ("fidelity", "finish", "damaged_packets", "endless_files", "colours_by_tags")
_NOT_ABOUT_RULES = (
    *(f"unit/pipeline/test_{name}.py" for name in (*_ABOUT_PICTURES, "resolution", "edges")),
    *("chaos/test_burst.py", "chaos/test_places.py", "chaos/test_mutants.py"),
)
_LONGEST = 1.5
"""Seconds of processor time; what takes longer is not asked unless it is known to catch."""

_LEDGER = (
    "jobs",
    "drops",
    "gate",
    "budget",
    "store",
    "walk",
    "rows",
    "owner",
    "account",
    "batches",
)
_PUTS = (
    "_action",
    "_put",
    "_put_reference",
    "_hold_name",
    "_count_slot",
    "_spend",
    "write",
    "note_manifest_written",
    "note_project",
    "_update_hints",
)
_WRITES = (*(f"DynamoLedger.{name}" for name in _PUTS), "_may_pass", "_refusal")

_TYPES = "the check is for the type checker: "
_STAYS = f"{_TYPES}no row of a drop, of a job or of the gate is ever deleted"
EQUIVALENT: Mapping[str, str] = MappingProxyType(
    {
        "pipeline.sweep.Sweep._free_slot_of_overdue: Compare(project_id) -> false": (
            f"{_TYPES}a job that has a deadline has a project"
        ),
        "pipeline.sweep.Sweep._deadline: Compare(submitted_at) -> false": (
            f"{_TYPES}a job that is looked at and holds a slot was submitted"
        ),
        "pipeline.sweep.Sweep._expire: Compare(due)[0] -> true": (
            f"{_TYPES}whatever is being paid is due"
        ),
        "aws.ledger._refusal: Call(isinstance)[6] -> true": (
            f"{_TYPES}by then only a budget is left that can have refused"
        ),
        "ledger.store.listing_of: Attribute(wait_until)[0] -> true": (
            f"{_TYPES}who waits for access waits until a time"
        ),
        "magichour.base_transport.Transport.send: Attribute(query)[0] -> true": (
            "an empty query is none to HTTP"
        ),
        "pipeline.parts.adopt.AdoptProject.__call__: Compare(after) -> true": (
            "it saves updates of drops of which nothing is new"
        ),
        **dict.fromkeys(
            (
                "pipeline.parts.adopt.AdoptProject._take: Name(orphans)[1] -> true",
                "pipeline.parts.adopt.AdoptProject._take: Attribute(hints) -> true",
                "pipeline.parts.adopt.AdoptProject._take: Name(left)[0] -> true",
            ),
            "it saves a write that changes nothing",
        ),
        "aws.ledger.DynamoLedger._update_hints: Name(listing)[1] -> true": (
            f"{_TYPES}a job that gets a hint is due"
        ),
        "pipeline.parts.adopt._due_after_looks: Compare(state)[1] -> true": (
            "a job that is due too early is looked at once more"
        ),
        "pipeline.parts.adopt.AdoptProject.noted: BoolOp(job) -> "
        "self.ledger.job(job.fingerprint)": _STAYS,
        "pipeline.parts.start.StartJob.__call__: Compare(places) -> true": (
            "it saves a look at the gate: one that is as wide as can be is not widened"
        ),
        "pipeline.parts.publish.PublishOutput._put_once: Name(drop)[1] -> true": _STAYS,
        "pipeline.parts.gate.GateKeeper.open: Name(gate)[1] -> true": _STAYS,
        "pipeline.parts.accept.AcceptDrop._leave_others: Compare(job)[0] -> false": _STAYS,
        "pipeline.parts.accept.AcceptDrop._leave_others: Compare(job)[1] -> true": _STAYS,
        "pipeline.parts.follow.FollowJob._bring_up_to_date: BoolOp(job) -> "
        "self.ledger.job(job.fingerprint)": _STAYS,
        "pipeline.retry.Retry._can_be_tried: Compare(job) -> false": _STAYS,
        "pipeline.retry.Retry._can_be_tried: Compare(output) -> true": (
            f"{_TYPES}what is delivered has an output"
        ),
        "pipeline.retry.Retry._try_again: Compare(latest) -> true": _STAYS,
        "pipeline.parts.follow.FollowJob.update_drops: BoolOp(job) -> "
        "self.ledger.job(job.fingerprint)": _STAYS,
        "pipeline.parts.follow.FollowJob.continue_execution: Compare(rendition)[0] -> false": (
            f"{_TYPES}what was paid for is never withdrawn without a trace"
        ),
        "pipeline.parts.follow.FollowJob.continue_execution: Compare(rendition)[1] -> true": (
            f"{_TYPES}what was paid for is never withdrawn without a trace"
        ),
        "pipeline.parts.follow.FollowJob._first_state: BoolOp(submitted_at) -> "
        "job.submitted_at": f"{_TYPES}a job that has a project was submitted",
        "pipeline.parts.gate.GateKeeper.widen: Name(gate)[1] -> true": _STAYS,
        "pipeline.parts.gate.GateKeeper.end_probe: Name(gate)[1] -> true": _STAYS,
        "pipeline.parts.start.StartJob._is_wanted: Name(drop)[0] -> true": _STAYS,
        "pipeline.parts.advance.AdvanceDrop._advance_job: Compare(job) -> false": _STAYS,
        "pipeline.parts.advance.AdvanceDrop._advance_job: BoolOp(drop) -> "
        "self.ledger.drop(drop.id)": _STAYS,
    }
)
"""Mutants equivalent to the right code, and why."""


def mutants() -> Iterator[Mutant]:
    """Yield all mutants that must die, rule by rule."""
    told: set[str] = set(EQUIVALENT)
    for mutant in _all_mutants():
        if str(mutant) not in told:
            told.add(str(mutant))
            yield mutant


def known_catchers() -> dict[str, str]:
    """Return who caught which mutant when that was last written down, by their names."""
    found: dict[str, str] = json.loads(_CAUGHT_BY.read_text())
    return found


@dataclass
class Hunt:
    """Looks for who catches mutants; a pytest plugin, because most who can are tests."""

    mutants: Sequence[Mutant]
    known: dict[str, str]
    seconds: float
    caught: int = 0
    _catchers: dict[str, Catcher] = field(default_factory=dict)
    _played: dict[str, Played] = field(default_factory=dict)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Hunt, in place of running the tests."""
        items = [item for item in session.items if "async" not in item.name]
        self._catchers = {one.name: one for one in (*scenarios(), *tested(items), *stories())}
        for rule, group in groupby(self.mutants, key=lambda mutant: mutant.rule):
            _say(f"\n{rule}")
            for mutant in group:
                catcher = self._catch(mutant)
                self.caught += catcher is not None
                _say(f"  {mutant}\n    `{shown(mutant)}`: {catcher or 'NOBODY CAUGHT IT'}")
                if catcher is not None:
                    self.known[str(mutant)] = catcher
        return True

    def _catch(self, mutant: Mutant) -> str | None:
        """Return who catches a mutant: who did last, else the first one that does."""
        catcher = self._catchers.get(self.known.pop(str(mutant), ""))
        if catcher is not None and _is_caught(mutant, catcher):
            return catcher.name
        using, seconds = users_of(mutant), 0.0
        for catcher in self._by_cost():
            if using & self._played[catcher.name].functions:
                if seconds > self.seconds:
                    break
                begin = time.process_time()
                is_caught = _is_caught(mutant, catcher)
                seconds += time.process_time() - begin
                if is_caught:
                    return catcher.name
        return None

    def _by_cost(self) -> Iterator[Catcher]:
        """Yield who may catch a mutant; those that seldom do are played only if no other does."""
        for is_late in (False, True):
            if is_late:
                self._catchers |= {one.name: one for one in interrupted()}
            group = [one for one in self._catchers.values() if one.is_late is is_late]
            unknown = [one for one in group if one.name not in self._played]
            if unknown:
                _say("  (who goes through what is found out first)")
            self._played |= {one.name: play(one) for one in unknown}
            played = [(one.kind, self._played[one.name].seconds, one) for one in group]
            for _, seconds, one in sorted(played, key=lambda each: each[:2]):
                if seconds < _LONGEST and not self._played[one.name].is_broken:
                    yield one


def main() -> int:
    """Hunt, print the table; return 1 if a mutant lives."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.mutants")
    parser.add_argument("--sample", type=int)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("CHAOS_SEED", "1")))
    parser.add_argument("--only", default="")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    chosen = [one for one in mutants() if options.only in f"{one.rule}: {one}"]
    if options.sample is not None:
        chance = random.Random(options.seed)
        places = sorted(chance.sample(range(len(chosen)), min(options.sample, len(chosen))))
        chosen = [chosen[place] for place in places]
    hunt = Hunt(chosen, known_catchers(), options.seconds)
    paths = [str(_ROOT / "tests" / name) for name in _TESTS]
    paths += [f"--ignore={_ROOT / 'tests' / name}" for name in _NOT_ABOUT_RULES]
    quiet = ["-q", "-s", "-p", "no:cacheprovider", "--no-header", "--no-summary"]
    try:
        pytest.main([*paths, *quiet], plugins=[hunt])
    finally:
        if options.write:
            _write(hunt.known)
    _say(
        f"\n{len(chosen)} mutants, {len(chosen) - hunt.caught} not caught, "
        f"{time.process_time():.0f} s of processor time"
    )
    return 0 if hunt.caught == len(chosen) else 1


def _all_mutants() -> Iterator[Mutant]:
    yield from money_mutants()
    yield from table_mutants()
    for name in _LEDGER:
        yield from mutants_of(f"ledger.{name}")
    for name in ("batches", "settle_batches"):
        yield from mutants_of(f"pipeline.parts.{name}")
    for where in _WRITES:
        yield from mutants_in(f"aws.ledger.{where}", summary("aws.ledger.DynamoLedger.write"))


def _is_caught(mutant: Mutant, catcher: Catcher) -> bool:
    with applied(mutant):
        return catcher.catches()


def _write(known: Mapping[str, str]) -> None:
    """Write down who catches the mutants that there are."""
    left = {name: known[name] for name in map(str, mutants()) if name in known}
    _CAUGHT_BY.write_text(json.dumps(left, indent=0, ensure_ascii=False) + "\n")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
