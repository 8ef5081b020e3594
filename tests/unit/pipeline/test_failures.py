"""The manifest when no result arrives, and what the sweeper still does."""

import json
from contextlib import suppress
from datetime import timedelta

import pytest

from dropscale.image.verify import UnreadableResult
from dropscale.ledger.jobs import Job
from dropscale.ledger.states import DropState, JobState
from dropscale.magichour import errors
from dropscale.pipeline.parts.delivery_errors import OutputOccupied, ProjectNotComplete
from dropscale.pipeline.parts.execution import ErrorReport, raise_reports
from dropscale.pipeline.parts.ports import OutputLabels
from dropscale.upscaler import ProjectStatus
from tests.fakes import png
from tests.world import World


def submitted(world: World) -> None:
    world.drop("cat.png", png())


def the_job(world: World) -> Job:
    (job,) = world.ledger.jobs.values()
    return job


def test_an_error_of_the_vendor_gives_slot_and_credits_back(world: World) -> None:
    submitted(world)
    vendor_error = {"code": "content_policy_violation", "message": "not this one"}
    world.finish_all(ProjectStatus.ERROR, credits_charged=0, error=vendor_error)

    manifest = world.manifest("cat.png")
    assert (manifest["state"], manifest["reason"]["code"]) == ("failed", vendor_error["code"])
    assert manifest["reason"]["message"] == "not this one"
    assert manifest["jobs"][0]["credits_charged"] == 0
    assert world.ledger.taken == 0


@pytest.mark.parametrize("charged", [0, 50])
@pytest.mark.parametrize(
    ("code", "words"), [("invalid_file_format", "xport it again"), ("file_too_large", "Scale")]
)
def test_what_the_vendor_cannot_read_is_not_to_be_dropped_as_it_is(
    world: World, code: str, words: str, charged: int
) -> None:
    submitted(world)
    world.upscaler.finish(
        ProjectStatus.ERROR, credits_charged=charged, error={"code": code, "message": "no"}
    )

    world.fail(world.check(world.running()[0]))

    fix = world.manifest("cat.png")["reason"]["fix"]
    assert (words in fix) is (charged == 0)
    assert ("has not returned" in fix) is (charged > 0)


def test_a_canceled_project_ends_canceled(world: World) -> None:
    submitted(world)
    world.finish_all(ProjectStatus.CANCELED)

    assert world.row("cat.png").state is DropState.CANCELED
    assert world.ledger.taken == 0


def test_a_draft_for_ever_ends_at_the_deadline(world: World) -> None:
    submitted(world)
    world.upscaler.finish(ProjectStatus.DRAFT)
    state = world.running()[0]
    looks = 0
    while world.clock.now.timestamp() + state.wait_seconds < state.deadline:
        world.clock.advance(seconds=state.wait_seconds)
        state = world.check(state)
        looks += 1
    world.clock.advance(seconds=state.wait_seconds)
    with pytest.raises(errors.DeadlinePassed):
        world.check(state)

    world.fail(state, "DeadlinePassed", '{"errorMessage": "too late"}')

    assert world.clock.now.timestamp() == state.deadline
    assert looks < 150
    manifest = world.manifest("cat.png")
    assert (manifest["state"], manifest["reason"]["message"]) == ("timed_out", "too late")


def test_a_result_after_the_deadline_is_still_collected(world: World) -> None:
    submitted(world)
    world.fail(world.running()[0], "DeadlinePassed")
    world.upscaler.finish()
    world.sweep(hours=5)
    (state,) = world.running()
    world.deliver(world.check(state))

    assert state.generation == 1
    assert world.row("cat.png").state is DropState.DELIVERED
    assert len(world.upscaler.creates) == 1
    assert world.ledger.taken == 0


def test_a_job_past_its_deadline_holds_nobody_up(world: World) -> None:
    world.set_slots(1)
    submitted(world)
    world.drop("dog.png", png(shade=9))
    world.clock.advance(hours=1)

    world.fail(world.running()[0], "DeadlinePassed")

    assert world.row("dog.png").state is DropState.SUBMITTED
    assert world.ledger.taken == 1
    world.upscaler.finish()
    world.sweep(hours=2)
    for state in world.running():
        world.deliver(world.check(state))
    assert world.row("cat.png").state is DropState.DELIVERED
    assert world.ledger.taken == 0


def test_a_job_holds_its_place_until_its_deadline_and_is_then_looked_at_less_often(
    world: World,
) -> None:
    submitted(world)
    world.executions.end_all()
    for _ in range(3):
        world.clock.advance(minutes=15)
        with suppress(ExceptionGroup):
            world.sweep()
        assert the_job(world).holds_slot
    for _ in range(3):
        world.clock.advance(hours=1)
        with suppress(ExceptionGroup):
            world.sweep()

    assert world.ledger.taken == 0
    due = the_job(world).due
    assert due is not None
    assert due > world.clock() + timedelta(minutes=30)


def test_a_project_that_was_deleted_at_the_vendor_is_given_up_after_a_day(world: World) -> None:
    submitted(world)
    world.upscaler.projects.clear()
    world.run_executions()
    world.pass_hours(23)
    assert the_job(world).state is JobState.SUBMITTED
    world.pass_hours(2)

    assert the_job(world).state is JobState.ABANDONED
    assert world.ledger.taken == 0
    reason = world.manifest("cat.png")["reason"]
    assert reason["code"] == "JobAbandoned"
    assert "dropscale retry KEY" in reason["fix"]


def test_one_record_that_cannot_be_seen_to_keeps_no_other_from_it(world: World) -> None:
    for shade, key in enumerate(("bad.png", "good.png")):
        world.put(f"{key}.yaml", "wait_for_completion: false")
        world.drop(key, png(shade=shade))
    world.upscaler.finish()
    world.upscaler.fail_project["project-1"] = errors.ServerFault("GET project", status=500)
    world.clock.advance(minutes=3)

    with pytest.raises(ExceptionGroup) as caught:
        world.sweep()

    assert [type(error) for error in caught.value.exceptions] == [errors.ServerFault]
    states = {job.project_id: job.state for job in world.ledger.jobs.values()}
    assert states == {"project-1": JobState.SUBMITTED, "project-2": JobState.COMPLETE}


def test_a_job_that_cannot_be_looked_at_is_given_up_in_the_end(world: World) -> None:
    submitted(world)
    world.fail(world.running()[0], "UnknownProjectStatus")
    world.upscaler.fail_project["project-1"] = errors.UnknownProjectStatus("GET project")
    problems = 0
    for _ in range(8 * 24):
        world.clock.advance(hours=1)
        try:
            world.sweep()
        except ExceptionGroup:
            problems += 1

    (job,) = world.ledger.jobs.values()
    assert job.state is JobState.ABANDONED
    assert world.ledger.taken == 0
    assert 0 < problems < 8 * 24


def test_an_error_tells_the_owner_of_a_drop_what_to_do_not_the_caller_of_a_library(
    world: World,
) -> None:
    submitted(world)
    late = errors.DeadlinePassed("GET project", project_id="project-1", message="still queued")
    cause = json.dumps({"errorMessage": ErrorReport.of(late).model_dump_json()})

    world.fail(world.running()[0], "DeadlinePassed", cause)

    reason = world.manifest("cat.png")["reason"]
    assert reason["message"].endswith("not finished in time: still queued")
    assert "check_result" not in reason["message"]


def test_an_error_of_dropscale_itself_keeps_its_own_advice(world: World) -> None:
    submitted(world)
    occupied = OutputOccupied("a.\nb@2x.png is in the way", fix="Move it.")
    cause = json.dumps({"errorMessage": ErrorReport.of(occupied).model_dump_json()})

    world.fail(world.running()[0], "OutputOccupied", cause)

    reason = world.manifest("cat.png")["reason"]
    assert reason["message"] == "a.\nb@2x.png is in the way (project project-1)"
    assert reason["fix"] == "Move it."


@pytest.mark.parametrize("text", ["it is in the way.\nMove it.", '"a"', '{"fix": "Move it."}', "{"])
def test_an_error_of_an_earlier_version_or_of_nobody_knows_whom_is_told_whole(
    world: World, text: str
) -> None:
    submitted(world)

    world.fail(world.running()[0], "OutputOccupied", json.dumps({"errorMessage": text}))

    reason = world.manifest("cat.png")["reason"]
    assert reason["message"] == f"{text} (project project-1)"
    assert "retry KEY" in reason["fix"]


@pytest.mark.parametrize(
    "error",
    [OutputOccupied("é.png is in the way", fix="Move it."), errors.NotFound("GET p", status=404)],
)
def test_what_a_task_raises_has_the_name_of_the_error_and_its_report(error: Exception) -> None:
    with pytest.raises(Exception, match="message") as raised, raise_reports():
        raise error

    assert type(raised.value).__name__ == type(error).__name__
    assert ErrorReport.model_validate_json(str(raised.value)) == ErrorReport.of(error)


def test_a_job_without_a_verdict_frees_its_slot_after_seven_days(world: World) -> None:
    submitted(world)
    world.fail(world.running()[0], "DeadlinePassed")
    for hours, state in ((7 * 24, JobState.SUBMITTED), (2, JobState.ABANDONED)):
        for _ in range(hours):
            world.clock.advance(hours=1)
            world.sweep()
        assert the_job(world).state is state

    assert world.ledger.taken == 0
    assert world.row("cat.png").state is DropState.TIMED_OUT
    world.pass_hours(31 * 24)
    assert the_job(world).due is None


def test_an_outage_while_polling_loses_nothing(world: World) -> None:
    submitted(world)
    world.fail(world.running()[0], "ServerFault", "the API failed")
    assert world.row("cat.png").state is DropState.TIMED_OUT
    world.upscaler.finish()
    world.sweep(minutes=30)
    world.deliver(world.check(world.running()[0]))

    assert world.row("cat.png").state is DropState.DELIVERED


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (ProjectStatus.COMPLETE, DropState.DELIVERED),
        (ProjectStatus.ERROR, DropState.FAILED),
        (ProjectStatus.CANCELED, DropState.CANCELED),
    ],
)
def test_an_execution_that_died_without_a_verdict_is_replaced(
    world: World, status: ProjectStatus, state: DropState
) -> None:
    submitted(world)
    world.executions.end_all()
    world.upscaler.finish(status)
    world.clock.advance(minutes=3)

    world.sweep()
    assert world.running()[0].wait_seconds == 1
    world.run_executions()

    assert world.row("cat.png").state is state


def test_an_execution_that_was_never_started_is_started(world: World) -> None:
    submitted(world)
    world.executions.started.clear()
    world.sweep(minutes=3)

    assert len(world.running()) == 1


def test_a_job_nobody_waits_for_is_settled(world: World) -> None:
    world.put("cat.png.yaml", "wait_for_completion: false")
    submitted(world)
    world.upscaler.finish()
    world.sweep(minutes=3)

    (job,) = world.ledger.jobs.values()
    assert job.state is JobState.COMPLETE
    assert world.ledger.taken == 0
    assert world.row("cat.png").state is DropState.SUBMITTED


@pytest.mark.parametrize(
    ("verdict", "state"),
    [
        (ProjectStatus.ERROR, DropState.FAILED),
        (ProjectStatus.CANCELED, DropState.CANCELED),
    ],
)
def test_a_drop_that_waits_for_nobody_learns_that_its_job_brings_nothing(
    world: World, verdict: ProjectStatus, state: DropState
) -> None:
    world.put("cat.png.yaml", "wait_for_completion: false")
    submitted(world)
    world.upscaler.finish(verdict, credits_charged=0)
    world.sweep(minutes=3)

    (ended,) = world.row("cat.png").renditions.values()
    assert (ended.state, ended.credits_charged) == (state, 0)
    assert ended.reason is not None
    before = the_job(world)
    if state is DropState.FAILED:
        world.drop("cat.png", png())
        told = world.row("cat.png")
        assert (told.state, len(world.upscaler.creates)) == (DropState.SUBMITTED, 2)
        world.ledger.job = lambda _: before  # type: ignore[method-assign, assignment]
        assert world.follow.update_drop(told.id, before) == told, "news of the attempt before"


def test_a_drop_that_waits_for_nobody_learns_that_its_job_was_submitted(world: World) -> None:
    world.put("cat.png.yaml", "wait_for_completion: false")
    world.set_slots(0)
    submitted(world)
    waiting = world.row("cat.png")
    world.set_slots(1)
    world.sweep(minutes=3)
    world.ledger.drops[waiting.id] = waiting
    world.sweep(minutes=3)

    assert world.row("cat.png").state is DropState.SUBMITTED


def test_what_is_no_image_is_not_published(world: World) -> None:
    submitted(world)
    world.upscaler.finish()
    state = world.check(world.running()[0])
    for body in (b"<html>gone</html>", b"", png(16, 12)[:-12]):
        world.upscaler.result = body
        with pytest.raises(UnreadableResult):
            world.deliver(state)

    assert world.results.outputs == {}


def test_a_foreign_object_in_the_outputs_place_is_not_overwritten(world: World) -> None:
    world.results.outputs["cat.png@2x.png"] = (b"mine", OutputLabels(None, None, None))
    submitted(world)
    world.upscaler.finish()
    with pytest.raises(OutputOccupied) as caught:
        world.deliver(world.check(world.running()[0]))

    assert "cat.png@2x.png" in str(caught.value)
    assert world.results.outputs["cat.png@2x.png"][0] == b"mine"


def test_the_sources_own_earlier_output_is_replaced(world: World) -> None:
    for shade in (1, 2):
        world.upscaler.result = png(16, 12, shade)
        world.drop("cat.png", png(shade=shade))
        world.finish_all()

    assert world.results.outputs["cat.png@2x.png"][0] == png(16, 12, 2)


def test_a_project_that_is_not_complete_is_not_delivered(world: World) -> None:
    submitted(world)
    with pytest.raises(ProjectNotComplete):
        world.deliver(world.running()[0])


def test_a_failed_delivery_is_collected_free_by_dropping_again(world: World) -> None:
    submitted(world)
    world.upscaler.finish()
    state = world.check(world.running()[0])
    world.fail(state, "OutputOccupied", '{"errorMessage": "in the way"}')
    assert world.row("cat.png").state is DropState.FAILED

    world.drop("copy.png", png())
    world.deliver(world.check(world.running()[0]))

    assert world.row("copy.png").state is DropState.DELIVERED
    assert len(world.upscaler.creates) == 1


def test_a_job_without_its_bytes_that_nobody_wants_is_left_alone(world: World) -> None:
    world.upscaler.fail_upload = errors.TransferFailed("PUT storage", status=500)
    submitted(world)
    world.drop("cat.png", png(shade=9))
    world.sweep(hours=1)

    unpaid, _ = world.ledger.jobs.values()
    assert (unpaid.state, unpaid.due) == (JobState.READY, None)


def test_an_image_deleted_before_its_bytes_were_sent_ends_with_a_reason(world: World) -> None:
    world.upscaler.fail_upload = errors.TransferFailed("PUT storage", status=500)
    submitted(world)
    world.bucket.objects.clear()
    world.sweep(hours=1)

    world.submit(world.queue.keys.pop())
    world.sweep(hours=1)

    manifest = world.manifest("cat.png")
    assert (manifest["state"], manifest["reason"]["code"]) == ("canceled", "SourceGone")
    assert manifest["jobs"] == []
    assert [job.due for job in world.ledger.jobs.values()] == [None]


def test_an_image_deleted_after_its_bytes_were_sent_goes_on(world: World) -> None:
    world.set_slots(0)
    submitted(world)
    world.bucket.objects.clear()

    world.submit("cat.png")

    assert world.row("cat.png").state is DropState.WAITING


def test_an_image_deleted_while_the_vendor_takes_longer_than_it_keeps_uploads_goes_on(
    world: World,
) -> None:
    submitted(world)
    world.clock.advance(days=8)
    world.bucket.delete("cat.png")
    world.submit("cat.png")
    world.upscaler.finish()
    world.run_executions()

    assert world.row("cat.png").state is DropState.DELIVERED


def test_a_manifest_that_was_not_written_is_written_by_the_sweeper(world: World) -> None:
    submitted(world)
    row = world.row("cat.png")
    world.results.manifests.clear()
    world.ledger.drops[row.id] = row.model_copy(update={"due": world.clock()})
    world.sweep(minutes=2)

    assert world.manifest("cat.png")["state"] == "submitted"
    assert world.row("cat.png").due is None


def test_an_older_state_never_replaces_a_newer_manifest(world: World) -> None:
    submitted(world)
    older = world.row("cat.png")
    world.fail(world.running()[0], "SomeBug", "boom")

    world.write_manifest(older)

    assert world.manifest("cat.png")["state"] == "failed"
