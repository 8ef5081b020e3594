"""Forget: a project is deleted when all of its drops have its result, and no result is lost."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest import mock

import pytest

from dropscale.ledger.drops import Drop
from dropscale.ledger.states import DropState
from dropscale.ledger.store import MOST_DROPS
from dropscale.magichour import errors
from dropscale.pipeline.forget import StillNeeded
from dropscale.pipeline.parts.delivery_errors import ForeignProject
from dropscale.pipeline.rebuild import RebuildLedger
from tests.fakes import MemoryLedger, png
from tests.world import BUCKET, World

CAT, OUTPUT = png(), "cat.png@2x.png"


@pytest.fixture
def delivered(world: World) -> World:
    """A world whose cat.png is delivered."""
    world.drop("cat.png", CAT)
    world.finish_all()
    assert world.row("cat.png").state is DropState.DELIVERED
    return world


def told(world: World, key: str) -> list[str]:
    warnings = world.manifest(key)["warnings"]
    return [one["message"] for one in warnings if one["code"] == "Forgotten"]


def test_the_project_is_deleted_and_all_its_drops_say_so(delivered: World) -> None:
    delivered.drop("twin.png", CAT)
    delivered.run_executions()
    announced = len(delivered.announced)

    assert delivered.forget("cat.png") == ["project-1"]

    assert not delivered.upscaler.projects
    for key in ("cat.png", "twin.png"):
        (warning,) = told(delivered, key)
        assert warning.startswith("project-1 was deleted at Magic Hour at 2026-")
        assert "up to seven days" in warning
        assert delivered.manifest(key)["state"] == "delivered"
        assert delivered.manifest(key)["jobs"][0]["forgotten_at"]
    assert len(delivered.announced) == announced
    assert delivered.sweep(hours=1).get("projected", 0) == 0


def test_a_second_time_changes_nothing(delivered: World) -> None:
    delivered.forget("cat.png")
    job, row = delivered.only_job, delivered.row("cat.png")
    delivered.clock.advance(hours=1)

    assert delivered.forget("cat.png") == []

    now = delivered.only_job
    assert (now.forgetting_since, now.forgotten_at) == (job.forgetting_since, job.forgotten_at)
    assert delivered.row("cat.png") == row


def test_projects_of_earlier_attempts_are_deleted_too(world: World) -> None:
    world.drop("cat.png", CAT)
    world.upscaler.answer("project-1", "error", credits_charged=0)
    world.run_executions()
    world.retry("cat.png")
    world.finish_all()

    assert world.forget("cat.png") == ["project-2", "project-1"]
    assert not world.upscaler.projects


def join(world: World) -> None:
    world.drop("twin.png", CAT)


def lose(world: World) -> None:
    world.results.delete(OUTPUT)


def overwrite(world: World) -> None:
    world.results.put(OUTPUT, CAT)


def make_it_another_jobs(world: World) -> None:
    body, labels = world.results.outputs[OUTPUT]
    world.results.outputs[OUTPUT] = body, replace(labels, fingerprint="another")


def make_it_of_other_bytes(world: World) -> None:
    body, labels = world.results.outputs[OUTPUT]
    world.results.outputs[OUTPUT] = body, replace(labels, sha256="another")


def damage(world: World) -> None:
    body, labels = world.results.outputs[OUTPUT]
    world.results.outputs[OUTPUT] = body[:-1], labels


def want_no_file(world: World) -> None:
    world.put("twin.png.yaml", "download_outputs: false")
    world.drop("twin.png", CAT)
    world.run_executions()
    assert world.row("twin.png").state is DropState.COMPLETE


def want_no_result(world: World) -> None:
    world.put("twin.png.yaml", "wait_for_completion: false")
    world.drop("twin.png", CAT)


def be_many(world: World) -> None:
    for number in range(MOST_DROPS + 1):
        world.drop(f"{number}.png", CAT)
    world.run_executions()
    last = max(world.ledger.list_attached(world.only_job.fingerprint))
    world.results.delete(world.ledger.drops[last].source.key + "@2x.png")


@pytest.mark.parametrize(
    "change",
    [
        *(join, lose, overwrite, make_it_another_jobs, make_it_of_other_bytes, damage),
        *(want_no_file, want_no_result, be_many),
    ],
)
def test_nothing_is_deleted_while_a_drop_lacks_its_result(
    change: Callable[[World], None], delivered: World
) -> None:
    change(delivered)
    with pytest.raises(StillNeeded):
        delivered.forget("cat.png")
    assert delivered.upscaler.projects
    assert delivered.only_job.forgetting_since is None


def test_an_image_without_a_result_is_not_forgotten(world: World) -> None:
    world.drop("cat.png", CAT)
    with pytest.raises(StillNeeded, match=r"cat\.png is submitted"):
        world.forget("cat.png")


@contextmanager
def before(world: World, of: object, name: str, act: Callable[[], object]) -> Iterator[None]:
    """Let something else happen just before a call, the first time."""
    really, acts = getattr(of, name), [act]

    def called(*arguments: object, **named: object) -> object:
        if acts:
            acts.pop()()
        return really(*arguments, **named)

    with mock.patch.object(of, name, called):
        yield


def test_a_drop_that_joins_before_the_decision_prevents_it(delivered: World) -> None:
    def join_and_forget_again() -> None:
        delivered.drop("twin.png", CAT)

    with (
        before(delivered, delivered.ledger, "write", join_and_forget_again),
        pytest.raises(StillNeeded),
    ):
        delivered.forget("cat.png")
    delivered.run_executions()

    assert delivered.row("twin.png").state is DropState.DELIVERED
    assert delivered.forget("cat.png") == ["project-1"]


def test_a_drop_that_joins_after_it_gets_a_copy(delivered: World) -> None:
    with before(delivered, delivered.upscaler, "delete", lambda: delivered.drop("twin.png", CAT)):
        delivered.forget("cat.png")
    delivered.drop("late.png", CAT)
    for _ in range(2):  # Drops that share a project share their looks, too.
        delivered.run_executions()
        delivered.clock.advance(minutes=1)

    for key in ("twin.png", "late.png"):
        assert delivered.row(key).state is DropState.DELIVERED
        assert told(delivered, key)
    assert len(delivered.upscaler.creates) == 1


def test_a_result_wanted_again_without_any_output_is_told_at_once_and_not_paid_for(
    delivered: World,
) -> None:
    delivered.forget("cat.png")
    kept = delivered.results.outputs[OUTPUT]
    delivered.results.delete(OUTPUT)
    delivered.retry("cat.png")
    delivered.run_executions()

    row = delivered.row("cat.png")
    assert row.state is DropState.FAILED
    assert row.reason is not None
    assert row.reason.code == "ResultGone"
    assert "dropscale forget" in row.reason.message
    assert len(delivered.upscaler.creates) == 1

    delivered.results.outputs[OUTPUT] = kept
    delivered.retry("cat.png")
    delivered.run_executions()
    assert delivered.row("cat.png").state is DropState.DELIVERED


@pytest.mark.parametrize("is_done", [True, False])
def test_an_interrupted_deletion_is_completed_by_another_call(
    is_done: bool, delivered: World
) -> None:
    delete = delivered.upscaler.delete

    def lose_answer(project_id: str) -> None:
        if is_done:
            delete(project_id)
        raise errors.Unreachable("DELETE")

    with (
        mock.patch.object(delivered.upscaler, "delete", lose_answer),
        pytest.raises(errors.Unreachable),
    ):
        delivered.forget("cat.png")
    assert not told(delivered, "cat.png")

    delivered.forget("cat.png")

    assert not delivered.upscaler.projects
    assert told(delivered, "cat.png")


def test_a_404_without_a_deletion_proves_nothing(delivered: World) -> None:
    delivered.upscaler.fail_project["project-1"] = errors.NotFound("GET", status=404)
    with pytest.raises(errors.NotFound):
        delivered.forget("cat.png")
    assert delivered.only_job.forgetting_since is None


def test_a_project_named_by_another_job_is_not_deleted(delivered: World) -> None:
    delivered.upscaler.answer("project-1", "complete", name="dog.png [0123abcd-1-00]")
    with pytest.raises(ForeignProject):
        delivered.forget("cat.png")
    assert delivered.upscaler.projects


def test_a_rebuilt_ledger_knows_it(delivered: World) -> None:
    delivered.forget("cat.png")
    rebuilt = MemoryLedger()

    RebuildLedger(rebuilt, delivered.results, delivered.clock)()

    (job,) = rebuilt.jobs.values()
    assert job.forgotten_at == delivered.only_job.forgotten_at
    drop = rebuilt.drops[Drop.id_of(BUCKET, "cat.png")]
    assert [one.forgotten_at for one in drop.renditions.values()] == [job.forgotten_at]
    assert not drop.warnings
