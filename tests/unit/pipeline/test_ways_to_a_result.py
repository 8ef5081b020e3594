"""Schedules that once left a paid result without a way to it, or paid for it unasked."""

from contextlib import suppress
from typing import Any

import pytest

from dropscale.aws.magic_hour import MagicHourUpscaler
from dropscale.ledger.budget import Budget
from dropscale.ledger.states import DropState, JobState, WaitReason
from dropscale.ledger.store import amend_job
from dropscale.magichour import errors
from dropscale.magichour.models import CreatedProject
from dropscale.pipeline.parts.start import ProjectUnrecorded
from dropscale.pipeline.resolve import Decision
from dropscale.upscaler import ProjectStatus
from tests.fakes import png
from tests.world import World

CREATE = "POST /v1/ai-image-upscaler"


def refuse_creates(world: World, refused_factor: int = 2) -> list[str]:
    """Let the vendor refuse creates of a scale factor; return where it writes their names."""
    create, refused = world.upscaler.create, list[str]()

    def answer_create(image_path: str, parameters: dict[str, Any], name: str) -> CreatedProject:
        if parameters["scale_factor"] == refused_factor:
            refused.append(name)
            raise errors.PlanRefused(CREATE, status=403, message="not in your plan")
        return create(image_path, parameters, name)

    world.upscaler.create = answer_create  # type: ignore[method-assign]
    return refused


@pytest.mark.parametrize("days", [7, 10])
@pytest.mark.parametrize("trouble", ["lost execution", "a page"])
def test_a_result_that_comes_late_is_tried_as_long_as_any(
    world: World, days: int, trouble: str
) -> None:
    world.drop("a.png", png())
    world.pass_hours(24 * days - 1)
    world.upscaler.finish()
    good = world.upscaler.result
    if trouble == "a page":
        world.upscaler.result = b"<html>maintenance</html>"
    while world.only_job.state is not JobState.COMPLETE:
        world.sweep(hours=1)
        if trouble == "lost execution":
            world.executions.end_all()
        else:
            world.run_executions()
    world.upscaler.result = good
    world.pass_hours(5)

    assert world.row("a.png").state is DropState.DELIVERED


def test_what_could_not_be_delivered_in_seven_days_says_so_and_is_collected_free(
    world: World,
) -> None:
    world.drop("a.png", png())
    world.upscaler.finish()
    (state,) = world.running()
    world.check(state)
    world.executions.end_all()
    for _ in range(24 * 8):
        world.sweep(hours=1)
        world.executions.end_all()
    manifest = world.manifest("a.png")
    assert (manifest["state"], manifest["reason"]["code"]) == ("timed_out", "Undelivered")

    assert world.retry("a.png")
    world.run_executions()

    assert world.row("a.png").state is DropState.DELIVERED


@pytest.mark.parametrize("budget", [0, 50])
def test_an_answer_that_comes_after_a_person_paid_again_is_not_lost(budget: int) -> None:
    world = World(budget=Budget(daily=budget))

    def pay_again() -> None:
        world.sweep(minutes=20)
        world.decide("a.png", Decision.PAY_AGAIN)

    world.upscaler.before_answer = pay_again
    world.drop("a.png", png())

    assert "project-1" in {world.only_job.project_id, *world.only_job.orphans}
    assert len(world.upscaler.creates) == (1 if budget else 2)


@pytest.mark.parametrize("end", ["waits", "canceled", "error"])
def test_a_project_that_turns_up_after_it_was_paid_again_is_adopted(end: str) -> None:
    world = World(budget=Budget(daily=50 if end == "waits" else 0))
    world.upscaler.fail_create = errors.CreateOutcomeUnknown(CREATE)
    world.drop("a.png", png())
    name = world.only_job.project_name
    world.decide("a.png", Decision.PAY_AGAIN)
    world.upscaler.answer("lost", "complete", name=name)
    if end != "waits":
        world.upscaler.answer("project-1", end, credits_charged=50)
        world.run_executions()

    world.adopt("a.png", "lost")
    world.run_executions()

    assert world.row("a.png").state is DropState.DELIVERED
    assert len(world.upscaler.creates) == (0 if end == "waits" else 1)


def test_an_orphan_is_named_when_the_attempt_after_it_brings_nothing(world: World) -> None:
    world.drop("a.png", png())
    orphan = {"orphans": ("project-0",)}
    job = world.only_job
    world.ledger.jobs[job.fingerprint] = job.model_copy(update=orphan)
    world.upscaler.answer("project-1", "canceled")
    world.run_executions()

    assert "resolve KEY --adopt project-0" in world.manifest("a.png")["reason"]["fix"]


@pytest.mark.parametrize("price", ["50", {"amount": 50}, [], True])
def test_an_error_whose_price_cannot_be_read_gives_nothing_back(world: World, price: Any) -> None:
    world.drop("a.png", png())
    world.upscaler.answer("project-1", "error", credits_charged=price)
    world.run_executions()

    assert world.only_job.credits_charged == 50
    assert not world.only_job.is_refunded


def test_what_is_closed_as_unreadable_stays_so_whatever_an_upload_is_refused_for(
    world: World,
) -> None:
    unreadable = errors.CreateAnswerUnreadable(CREATE)
    unreadable.status = 403
    world.upscaler.fail_create = unreadable
    world.upscaler.fail_account = errors.ServerFault("GET /v1/account", status=403)
    world.drop("a.png", png())
    world.upscaler.fail_upload = errors.Throttled("POST /v1/files/upload-urls", status=429)
    world.drop("b.png", png(shade=3))
    world.drop("c.png", png(shade=4))
    for _ in range(60):
        world.sweep(minutes=1)

    assert world.upscaler.creates == []
    gate = world.ledger.gate()
    assert gate is not None
    assert gate.reason is WaitReason.UNREADABLE


def test_a_drop_that_waits_for_nobody_learns_that_nothing_comes_and_is_not_paid_for_again(
    world: World,
) -> None:
    world.put("a.png.yaml", "wait_for_completion: false")
    world.drop("a.png", png())
    world.upscaler.finish(ProjectStatus.ERROR, credits_charged=0)
    world.sweep(minutes=3)
    refused = refuse_creates(world)
    world.drop("b.png", png())
    for _ in range(60):
        world.sweep(minutes=1)

    assert len(refused) == 1
    assert world.row("a.png").state is DropState.FAILED
    assert world.row("b.png").state is DropState.REJECTED


def test_images_that_the_vendor_refuses_hold_up_no_neighbour_behind_a_gate() -> None:
    world = World(slots=50)
    world.upscaler.fail_create = errors.Throttled(CREATE, status=429)
    for number in range(20):
        world.put(f"{number:02}.png.yaml", "scale_factor: 4")
        world.drop(f"{number:02}.png", png(shade=number))
        world.clock.advance(seconds=1)
    world.drop("neighbour.png", png(shade=99))
    refuse_creates(world, refused_factor=4)
    for _ in range(3):
        world.sweep(minutes=1)

    assert world.row("neighbour.png").state is DropState.SUBMITTED


def test_a_decision_that_was_cut_off_is_refused_once(world: World) -> None:
    world.upscaler.fail_create = errors.CreateOutcomeUnknown(CREATE)
    world.drop("a.png", png())
    amend_job(world.ledger, world.only_job.fingerprint, lambda job: job.pay_again(world.clock()))
    refused = refuse_creates(world)
    for _ in range(60):
        world.sweep(minutes=1)

    assert len(refused) == 1
    assert world.row("a.png").state is DropState.REJECTED


def test_download_urls_that_have_expired_are_asked_for_anew(world: World) -> None:
    world.put("a.png.yaml", "download_outputs: false")
    world.drop("a.png", png())
    world.finish_all()
    assert not world.retry("a.png")
    world.clock.advance(hours=24)

    assert world.retry("a.png")
    world.upscaler.answer(
        "project-1", "complete", downloads=[{"url": "https://vendor.example/new.png"}]
    )
    world.run_executions()

    (job,) = world.manifest("a.png")["jobs"]
    assert [download["url"] for download in job["downloads"]] == ["https://vendor.example/new.png"]


@pytest.mark.parametrize("status", ["error", "canceled", "rendering"])
def test_an_earlier_delivery_serves_when_the_status_goes_back(world: World, status: str) -> None:
    world.drop("a.png", png())
    world.finish_all()
    world.upscaler.answer("project-1", status, credits_charged=0)
    world.drop("b.png", png())
    world.run_executions()

    assert world.row("b.png").state is DropState.DELIVERED
    assert len(world.upscaler.creates) == 1


DOWNLOAD = {"url": "https://vendor.example/output.png"}


@pytest.mark.parametrize(
    ("status", "downloads", "creates"),
    [("complete", [DOWNLOAD], 1), ("complete", [], 2), ("rendering", [DOWNLOAD], 2), (None, [], 2)],
)
def test_a_result_that_an_earlier_attempt_brought_after_all_is_taken_and_nothing_is_paid(
    world: World, status: str | None, downloads: list[dict[str, str]], creates: int
) -> None:
    world.drop("a.png", png())
    world.upscaler.answer("project-1", "error")
    world.run_executions()
    if status:
        world.upscaler.answer("project-1", status, downloads=downloads, credits_charged=50)
    else:
        world.upscaler.fail_project["project-1"] = errors.NotFound("GET", status=404)

    assert world.retry("a.png")
    world.run_executions()

    is_taken = creates == 1
    assert world.row("a.png").state is (DropState.DELIVERED if is_taken else DropState.SUBMITTED)
    assert len(world.upscaler.creates) == creates


@pytest.mark.parametrize("verdict", ["error", "canceled"])
def test_a_verdict_without_refund_stands_when_its_project_is_gone(
    world: World, verdict: str
) -> None:
    world.drop("a.png", png())
    world.upscaler.answer("project-1", verdict, credits_charged=50)
    world.run_executions()
    world.upscaler.fail_project["project-1"] = errors.NotFound("GET", status=404)
    world.clock.advance(days=9)
    world.drop("copy.png", png())
    world.run_executions()

    told = {world.row(key).state for key in ("a.png", "copy.png")}
    assert told == {DropState.FAILED if verdict == "error" else DropState.CANCELED}
    assert world.manifest("copy.png")["reason"]["fix"] == world.manifest("a.png")["reason"]["fix"]
    assert set(world.ledger.credits.values()) == {50}
    assert len(world.upscaler.creates) == 1


def test_a_verdict_that_the_vendor_takes_back_counts(world: World) -> None:
    world.drop("a.png", png())
    world.upscaler.answer("project-1", "canceled", credits_charged=50)
    world.run_executions()
    world.upscaler.answer("project-1", "error", credits_charged=0)
    assert world.retry("a.png")
    world.run_executions()

    assert "Nothing is charged" in world.manifest("a.png")["reason"]["fix"]
    assert set(world.ledger.credits.values()) == {0}


@pytest.mark.parametrize("waits", [True, False])
def test_who_failed_before_a_copys_attempt_was_lost_is_told_of_it(
    world: World, *, waits: bool
) -> None:
    if not waits:
        world.put("a.png.yaml", "wait_for_completion: false")
    world.drop("a.png", png())
    world.finish_all(ProjectStatus.ERROR, credits_charged=0)
    world.sweep(minutes=3)
    world.upscaler.fail_create = errors.CreateOutcomeUnknown(CREATE)
    world.drop("b.png", png())
    world.retry("a.png")

    manifest = world.manifest("a.png")
    assert manifest["state"] == "unknown"
    assert "resolve KEY --adopt" in manifest["reason"]["fix"]
    assert world.upscaler.fail_create is None
    assert len(world.upscaler.creates) == 1


def test_a_probe_that_fails_unforeseen_stops_no_other_work_of_the_sweeper(world: World) -> None:
    world.drop("done.png", png(shade=9))
    unreadable = errors.CreateAnswerUnreadable(CREATE)
    unreadable.status = 403
    world.upscaler.fail_create = unreadable
    world.upscaler.fail_account = RuntimeError("no secret to be had")
    world.drop("a.png", png())
    world.executions.end_all()
    world.upscaler.finish()
    with suppress(RuntimeError):  # deliver's, which probes, too: raised when it has delivered
        world.pass_hours(1)

    assert world.row("done.png").state is DropState.DELIVERED


def test_a_storage_that_is_not_safe_is_named(world: World) -> None:
    world.upscaler.fail_upload = errors.UnsafeUrl("PUT storage", message="http")
    world.drop("a.png", png())

    manifest = world.manifest("a.png")
    assert (manifest["state"], manifest["reason"]["code"]) == ("waiting", "UnsafeUrl")


def test_what_is_adopted_after_it_was_given_up_is_delivered_to_every_copy(world: World) -> None:
    world.upscaler.fail_create = errors.CreateOutcomeUnknown(CREATE)
    world.drop("a.png", png())
    world.drop("b.png", png())
    name = world.only_job.project_name
    world.decide("a.png", Decision.ABANDON)
    world.upscaler.answer("lost", "complete", name=name)

    world.adopt("a.png", "lost")
    world.run_executions()

    assert world.row("a.png").state is DropState.DELIVERED
    assert world.row("b.png").state is DropState.DELIVERED


def test_an_answer_that_comes_after_a_person_gave_up_is_delivered(world: World) -> None:
    def give_up() -> None:
        world.sweep(minutes=20)
        world.decide("a.png", Decision.ABANDON)

    world.upscaler.before_answer = give_up
    with suppress(ProjectUnrecorded):
        world.drop("a.png", png())
    world.finish_all()

    assert world.row("a.png").state is DropState.DELIVERED


def test_what_two_projects_cost_is_counted_for_both(world: World) -> None:
    world.budget = Budget(daily=1000)
    world.compose()
    world.drop("a.png", png())
    world.upscaler.projects.clear()
    world.run_executions()
    world.pass_hours(30)
    assert world.only_job.state is JobState.ABANDONED
    world.upscaler.answer("other", "complete", credits_charged=50)

    world.adopt("a.png", "other")

    assert set(world.ledger.credits.values()) == {100}


def test_a_key_that_cannot_be_read_is_no_unknown_outcome(world: World) -> None:
    def read_key() -> str:
        raise RuntimeError("the secret is scheduled for deletion")

    world.upscaler.create = MagicHourUpscaler(  # type: ignore[method-assign]
        read_key, "https://api.magichour.ai", 1.0
    ).create
    for shade in range(3):
        world.drop(f"{shade}.png", png(shade=shade))

    assert {job.state for job in world.ledger.jobs.values()} == {JobState.READY}
    reason = world.manifest("0.png")["reason"]
    assert (reason["code"], world.ledger.taken) == ("Misconfigured", 0)
