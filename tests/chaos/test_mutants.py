"""Each rule has its mutants, each condition of the ledger is among them, and they die."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from dropscale.ledger.jobs import Job, Parameters
from dropscale.upscaler import Mode
from tests.chaos.money_rules import BREAKS, FUNCTIONS, RULES
from tests.chaos.mutants import EQUIVALENT, known_catchers, mutants
from tests.chaos.mutation import FALSE, NOTHING, Mutant, MutantLost, applied, shown
from tests.rows import NOW

SAMPLE = 50
"""`make chaos` breaks them all."""

ROOT = Path(__file__).parents[2]


def test_every_rule_about_money_has_its_mutants() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    section = page.partition("## The rules about money")[2].partition("\n## ")[0]

    told = re.findall(r"^(\d+)\. \*\*(.*?)\.?\*\*", section, re.MULTILINE)
    assert {number: title.rstrip(".") for number, title in told} == {
        str(number): title for number, title in RULES.items()
    }
    assert set(FUNCTIONS) | set(BREAKS) == set(RULES)


def test_every_mutant_is_known_to_be_caught() -> None:
    there, known = {str(mutant): mutant for mutant in mutants()}, known_catchers()

    assert there.keys() == known.keys(), "python -m tests.chaos.mutants --write"
    assert not there.keys() & EQUIVALENT.keys()
    assert all(map(shown, there.values()))


@pytest.mark.timeout(300)
def test_mutants_die() -> None:
    command = [sys.executable, "-m", "tests.chaos.mutants", "--sample", str(SAMPLE)]
    hunt = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert hunt.returncode == 0, hunt.stdout + hunt.stderr


def a_job() -> Job:
    parameters = Parameters(scale_factor=2, mode=Mode.BALANCED)
    return Job(fingerprint="f", parameters=parameters, label="cat", created_at=NOW)


def test_a_rule_is_broken_while_its_mutant_is_applied() -> None:
    slotless = Mutant("", "ledger.jobs.Job.holds_slot", "Compare(state)", FALSE)
    endless = Mutant("", "ledger.states.SLOT_STATES", "SUBMITTING", NOTHING)
    job = a_job().claim("a", NOW, [])

    for mutant in (slotless, endless):
        with applied(mutant):
            assert not job.holds_slot
        assert job.holds_slot
    assert shown(slotless) == "self.state in SLOT_STATES"


@pytest.mark.parametrize(
    ("where", "node"),
    [
        ("ledger.jobs.Job.holds_slots", "Compare(state)"),
        ("ledger.jobs.Job.holds_slot", "Compare(status)"),
        ("ledger.jobs.Job.settle", "Compare(verdict)"),
        ("ledger.jobs.Job.settle", "Compare(verdict)[9]"),
        ("ledger.states.SLOT_STATES", "READY"),
    ],
)
def test_a_mutant_of_what_is_not_there_or_is_there_twice_is_an_error(where: str, node: str) -> None:
    with pytest.raises(MutantLost), applied(Mutant("", where, node, FALSE)):
        pass
