"""What `dropscale resolve` asks before it takes a project, and before it pays again."""

import sys
from typing import cast

import click
import pytest
from click.testing import CliRunner

from dropscale.ledger.states import DropState
from dropscale.magichour import errors
from dropscale.pipeline.parts.delivery_errors import ForeignProject, ProjectUnnamed
from dropscale_cli.errors import NotResolved
from dropscale_cli.files.state_folder import KeptLedger
from dropscale_cli.follow.by_hand import (
    Adoption,
    adopt_project,
    upscales_to_pay_again,
)
from dropscale_cli.follow.run import Agreement
from dropscale_cli.main import main
from dropscale_cli.stacks.aws_target import AwsTarget
from tests.fakes import png
from tests.world import World

ASKING = Agreement(is_agreed=False, as_json=False)
AGREED = Agreement(is_agreed=True, as_json=False)


@pytest.fixture
def world() -> World:
    world = World()
    world.upscaler.fail_create = errors.CreateOutcomeUnknown("POST")
    world.drop("cat.png", png())
    world.upscaler.create("api-assets/1.png", {}, "nameless")
    return world


def adopt(world: World, options: Agreement, *, anyway: bool = False) -> None:
    adopt_project(cast(AwsTarget, world), "cat.png", Adoption("project-1", anyway), options)


def answer(monkeypatch: pytest.MonkeyPatch, *, yes: bool) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(click, "confirm", lambda *_, **__: yes)


def test_a_project_without_a_name_is_taken_if_a_person_agrees(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, yes=False)
    with pytest.raises(NotResolved):
        adopt(world, ASKING)
    assert world.row("cat.png").state is DropState.UNKNOWN

    answer(monkeypatch, yes=True)
    adopt(world, ASKING)

    assert world.row("cat.png").state is DropState.SUBMITTED


def test_where_nobody_can_be_asked_yes_agrees(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    with pytest.raises(ProjectUnnamed) as refused:
        adopt(world, ASKING)
    assert "--yes" in refused.value.fix

    adopt(world, AGREED)

    assert world.row("cat.png").state is DropState.SUBMITTED


def test_yes_agrees_to_no_project_of_another_name(world: World) -> None:
    world.upscaler.finish(name="dog.png [0123abcd-1-00]")
    with pytest.raises(ForeignProject):
        adopt(world, AGREED)

    adopt(world, ASKING, anyway=True)

    assert world.row("cat.png").state is DropState.SUBMITTED


def test_anyway_needs_a_project() -> None:
    told = CliRunner().invoke(main, ["resolve", "cat.png", "--abandon", "--anyway"])

    assert (told.exit_code, "--anyway needs --adopt" in told.output) == (2, True)


def test_paying_again_for_several_upscales_names_them() -> None:
    world = World()
    world.upscaler.fail_create = errors.CreateOutcomeUnknown("POST")
    world.drop("cat.png", png())
    ledger = KeptLedger({"cat.png": world.row("cat.png")}, dict(world.ledger.jobs))
    assert upscales_to_pay_again("cat.png", ledger.jobs, ledger) == ""

    world.upscaler.fail_create = errors.CreateOutcomeUnknown("POST")
    world.drop("dog.png", png(shade=9))
    ledger = KeptLedger({"cat.png": world.row("cat.png")}, dict(world.ledger.jobs))
    told = upscales_to_pay_again("cat.png", ledger.jobs, ledger)

    assert told.startswith("2 upscales of cat.png have an unknown outcome")
    assert all(job.project_name in told for job in ledger.jobs.values())
