"""What the wheel asks for, what the layer ships and what the tests run on agree."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dropscale import __version__

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LAYER, DELIVER = ROOT / "shared/requirements.txt", ROOT / "functions/deliver/requirements.txt"


def pins(path: Path) -> dict[str, str]:
    lines = (line.partition("==") for line in path.read_text().splitlines())
    return {canonicalize_name(name): version for name, _, version in lines}


def asked_for(*extras: str) -> Iterator[Requirement]:
    lists = [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][name] for name in extras)]
    return (Requirement(text) for texts in lists for text in texts)


TESTED = pins(ROOT / "constraints.txt")


def test_what_ships_is_what_the_tests_run_on() -> None:
    assert (pins(LAYER) | pins(DELIVER)).items() <= TESTED.items()


def test_each_range_of_the_wheel_has_the_tested_version_in_it_and_an_end() -> None:
    for asked in asked_for("async", "specs", "local"):
        if asked.name == "dropscale":
            continue
        assert asked.specifier.contains(TESTED[canonicalize_name(asked.name)]), asked
        is_exact = any(one.operator == "==" for one in asked.specifier)
        # Of moto we use parts that its makers promise nothing about.
        assert is_exact == (asked.name == "moto"), asked


def test_what_ships_is_asked_for_by_the_wheel_too() -> None:
    asked = {canonicalize_name(one.name) for one in asked_for("specs", "local")}
    # pyvips[binary] brings the other.
    assert (pins(LAYER) | pins(DELIVER)).keys() - asked == {"pyvips-binary"}


def test_the_changelog_begins_with_this_version() -> None:
    headings = [line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if "## " in line]
    assert headings[0].split()[1] == __version__
