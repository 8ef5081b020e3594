"""While the vendor has a paid result there is a free way to it; a verdict hits its project only."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from dropscale.ledger.jobs import Job
from dropscale.ledger.states import COLLECTABLE_STATES, DropState, JobState, WaitReason
from dropscale.magichour import errors
from dropscale.magichour.models import CreatedProject, Project
from dropscale.pipeline.parts.delivery_errors import ForeignProject
from dropscale.pipeline.parts.follow import Timing, Undelivered, rendition_after
from dropscale.pipeline.parts.gate import Waiting
from dropscale.upscaler import ProjectStatus
from tests.fakes import png
from tests.world import World

LOOK = "GET /v1/image-projects/project-1"
PASSING: dict[str, Exception | dict[str, Any]] = {
    "a page": errors.ServerFault(LOOK, status=200, message="body: json_invalid"),
    "a refusal": errors.Unauthorized(LOOK, status=401),
    "an unknown status": errors.UnknownProjectStatus(LOOK, project_status="paused"),
    "no connection": errors.Unreachable(LOOK),
    "complete without downloads": {"status": "complete", "downloads": []},
    "404": errors.NotFound(LOOK, status=404),
    "deleted": {"status": "complete", "enabled": False},
}


def the_job(world: World) -> Job:
    return next(iter(world.ledger.jobs.values()))


def misbehave(world: World, project_id: str, answer: Exception | dict[str, Any]) -> None:
    if isinstance(answer, Exception):
        world.upscaler.fail_project[project_id] = answer
    else:
        found = Project.model_validate({"id": project_id, **answer})
        world.upscaler.projects[project_id] = found


def recover(world: World) -> None:
    world.upscaler.fail_project.clear()
    world.upscaler.finish()


@pytest.mark.parametrize("hours", [1, 20])
@pytest.mark.parametrize("answer", PASSING)
def test_an_answer_that_proves_nothing_only_delays_the_result(
    world: World, answer: str, hours: int
) -> None:
    world.drop("cat.png", png())
    misbehave(world, "project-1", PASSING[answer])
    world.run_executions()
    world.pass_hours(hours)
    assert the_job(world).state is JobState.SUBMITTED
    recover(world)
    world.pass_hours(3)

    assert world.row("cat.png").state is DropState.DELIVERED
    assert len(world.upscaler.creates) == 1


@pytest.mark.parametrize("answer", PASSING)
def test_jobs_that_cannot_be_seen_give_their_places_back_at_the_deadline(
    world: World, answer: str
) -> None:
    for number in range(3):
        world.drop(f"{number}.png", png(shade=number))
        misbehave(world, f"project-{number + 1}", PASSING[answer])
    world.drop("next.png", png(shade=99))
    assert world.row("next.png").state is DropState.WAITING
    world.executions.end_all()
    for _ in range(63):
        world.clock.advance(minutes=1)
        with suppress(ExceptionGroup):
            world.sweep()

    assert world.row("next.png").state is DropState.SUBMITTED


@pytest.mark.parametrize("way", ["a later look", "retry", "drop again", "copy", "adopt"])
@pytest.mark.parametrize("days", [8, 29, 40])
@pytest.mark.parametrize("reason", ["404", "no verdict"])
def test_an_abandoned_project_that_has_its_result_after_all_is_delivered_free(
    world: World, reason: str, days: int, way: str
) -> None:
    world.drop("cat.png", png())
    if reason == "404":
        misbehave(world, "project-1", PASSING["404"])
    world.pass_hours(days * 24, every=3)
    assert the_job(world).state is JobState.ABANDONED
    assert (the_job(world).due is None) is (days == 40)
    recover(world)
    key = "cat.png"
    match way:
        case "retry":
            assert world.retry(key)
        case "drop again":
            world.put(key, png())
            world.bucket.version_ids[key] = "2"
            world.submit(key)
        case "copy":
            key = "copy.png"
            world.drop(key, png())
        case "adopt":
            world.adopt(key, "project-1")
    world.run_executions()
    if way == "a later look" and days < 40:
        world.pass_hours(25)

    expected = DropState.TIMED_OUT if way == "a later look" and days == 40 else DropState.DELIVERED
    assert world.row(key).state is expected
    assert len(world.upscaler.creates) == 1


def test_one_404_after_a_day_of_answers_counts_as_the_first(world: World) -> None:
    world.drop("cat.png", png())
    for hour in range(60):
        misbehave(world, "project-1", PASSING["404"])
        if hour % 20 == 19:
            world.upscaler.fail_project.clear()
        world.pass_hours(1)

    assert the_job(world).state is JobState.SUBMITTED


@pytest.mark.parametrize(
    "no_answer",
    [
        errors.Unreachable(LOOK),
        errors.ConnectionLost(LOOK),
        errors.Misconfigured(LOOK, message="REQUESTS_CA_BUNDLE names no file"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_look_without_an_answer_says_nothing_of_the_404s_before(
    world: World, no_answer: errors.MagicHourError
) -> None:
    world.drop("cat.png", png())
    for answer in (PASSING["404"], no_answer):
        misbehave(world, "project-1", answer)
        with pytest.raises(errors.MagicHourError):
            world.look(the_job(world).fingerprint, "project-1")

    assert the_job(world).missing_looks == 1


@pytest.mark.parametrize("answer", [name for name in PASSING if name not in {"404", "deleted"}])
def test_an_execution_looks_again_after_an_answer_that_proves_nothing(
    world: World, answer: str
) -> None:
    world.drop("cat.png", png())
    (state,) = world.running()
    misbehave(world, "project-1", PASSING["404"])
    with pytest.raises(errors.NotFound):
        world.check(state)
    recover(world)
    misbehave(world, "project-1", PASSING[answer])

    assert world.check(state).failures == 1
    assert the_job(world).missing_looks == (answer == "no connection")


def test_a_project_of_another_name_is_looked_at_again(world: World) -> None:
    world.drop("cat.png", png())
    (state,) = world.running()
    misbehave(world, "project-1", {"status": "queued", "name": "cat [00000000-1-00]"})

    assert world.check(state).failures == 1


def test_what_a_function_knew_of_a_job_before_shows_in_no_drop(world: World) -> None:
    world.upscaler.fail_create = errors.CreateOutcomeUnknown("POST /v1/ai-image-upscaler")
    world.drop("cat.png", png())
    stale = the_job(world)
    misbehave(world, "project-9", {"status": "rendering"})
    world.adopt("cat.png", "project-9")

    world.follow.update_drops(stale)
    world.follow.update_drop(world.row("cat.png").id, stale)

    assert world.row("cat.png").state is DropState.SUBMITTED


def test_a_deleted_project_is_still_asked_for_its_downloads(world: World) -> None:
    world.drop("cat.png", png())
    downloads = [{"url": "https://vendor.example/output.png"}]
    misbehave(world, "project-1", {"status": "complete", "enabled": False, "downloads": downloads})
    world.run_executions()

    assert world.row("cat.png").state is DropState.DELIVERED


def test_a_page_in_the_results_place_is_fetched_again(world: World) -> None:
    world.drop("cat.png", png())
    world.upscaler.finish()
    good, world.upscaler.result = world.upscaler.result, b"<html>maintenance</html>"
    world.run_executions()
    assert world.manifest("cat.png")["state"] == "timed_out"
    world.pass_hours(5)
    world.upscaler.result = good
    world.pass_hours(2)

    assert world.row("cat.png").state is DropState.DELIVERED


def test_the_manifest_says_that_a_project_cannot_be_seen_until_it_can(world: World) -> None:
    world.drop("cat.png", png())
    (state,) = world.running()
    misbehave(world, "project-1", PASSING["a page"])
    waits = []
    for _ in range(9):
        state = world.check(state)
        waits.append(state.wait_seconds)
    manifest = world.manifest("cat.png")
    assert (manifest["state"], manifest["reason"]["code"]) == ("submitted", "ServerFault")
    assert waits == sorted(waits)
    assert waits[-1] == 300

    world.upscaler.fail_project.clear()
    state = world.check(state)

    assert state.failures == 0
    assert world.manifest("cat.png")["reason"] is None


def old_verdicts() -> dict[str, Callable[[World], object]]:
    def slow_look(answer: Exception | Project) -> Callable[[World], object]:
        def sweep(world: World) -> object:
            real = world.upscaler.project

            def project(project_id: str) -> Project:
                world.upscaler.project = real  # type: ignore[method-assign]
                world.sweep()
                world.drop("b.png", png())
                misbehave(world, "project-2", PASSING["404"])
                with suppress(errors.NotFound):
                    world.look(the_job(world).fingerprint, "project-2")
                if isinstance(answer, Exception):
                    raise answer
                return answer

            world.upscaler.project = project  # type: ignore[method-assign]
            return world.sweep()

        return sweep

    error = {"id": "project-1", "status": "error", "credits_charged": 0}
    return {
        "settled by a slow look": slow_look(Project.model_validate(error)),
        "404 of a slow look": slow_look(errors.NotFound(LOOK, status=404)),
    }


@pytest.mark.parametrize("verdict", old_verdicts())
def test_a_late_verdict_on_an_earlier_project_leaves_the_paid_one_alone(
    world: World, verdict: str
) -> None:
    world.put("a.png.yaml", "wait_for_completion: false\n")
    world.drop("a.png", png())
    world.upscaler.finish(ProjectStatus.ERROR, credits_charged=0)
    world.clock.advance(minutes=3)

    old_verdicts()[verdict](world)

    assert (the_job(world).state, the_job(world).project_id) == (JobState.SUBMITTED, "project-2")
    assert the_job(world).missing_looks == 1
    recover(world)
    world.clock.advance(seconds=3)
    world.run_executions()
    world.drop("c.png", png())
    world.run_executions()
    assert world.row("c.png").state is DropState.DELIVERED
    assert len(world.upscaler.creates) == 2


def test_a_duplicate_failure_of_an_old_execution_does_not_close_a_drop_that_is_paid_anew(
    world: World,
) -> None:
    world.drop("a.png", png())
    (old,) = world.running()
    world.upscaler.finish(ProjectStatus.ERROR, credits_charged=0)
    failed = world.check(old)
    world.fail(failed)
    assert world.retry("a.png")
    assert the_job(world).project_id == "project-2"

    paid = the_job(world)
    world.fail(failed)
    world.fail(old, "NotFound")
    world.fail(old, "DeadlinePassed")
    answer = {"status": "complete", "downloads": [{"url": "https://vendor.example/1.png"}]}
    misbehave(world, "project-1", answer)
    world.deliver(old)

    assert world.row("a.png").state is DropState.SUBMITTED
    assert the_job(world) == paid


@pytest.mark.parametrize("is_overdue", [False, True])
def test_what_the_sweeper_knew_of_an_earlier_project_does_not_end_the_one_that_is_paid(
    world: World, is_overdue: bool
) -> None:
    world.drop("a.png", png())
    (old,) = world.running()
    world.clock.advance(days=8)
    stale = the_job(world).model_copy(update={"is_overdue": is_overdue})
    world.upscaler.finish(ProjectStatus.ERROR, credits_charged=0)
    world.fail(world.check(old))
    assert world.retry("a.png")
    world.submit("a.png")
    paid, read, answers = the_job(world), world.ledger.job, iter([stale])
    assert paid.project_id == "project-2"
    world.clock.advance(minutes=3)

    world.ledger.job = lambda name: next(answers, None) or read(name)  # type: ignore[method-assign, assignment]
    world.sweep_once._look_at(stale)

    assert next(answers, None) is None
    assert the_job(world).holds_slot


def test_a_drop_that_waits_at_an_earlier_project_follows_its_job_to_the_next(world: World) -> None:
    world.drop("a.png", png())
    (old,) = world.running()
    world.upscaler.finish(ProjectStatus.ERROR, credits_charged=0)
    failed = world.check(old)
    world.executions.end_all()
    world.clock.advance(minutes=3)
    world.sweep()
    world.drop("b.png", png())
    world.upscaler.finish()
    world.run_executions()
    world.fail(failed)
    world.pass_hours(1)

    assert world.row("a.png").state is DropState.DELIVERED
    assert world.row("b.png").state is DropState.DELIVERED


@pytest.mark.parametrize("again", ["copy.png", "retry"])
def test_a_finished_job_that_is_wanted_once_more_is_looked_after_once_more(
    world: World, again: str
) -> None:
    world.drop("a.png", png())
    world.upscaler.finish()
    world.run_executions()
    world.pass_hours(1)
    assert the_job(world).due is None
    key = "a.png" if again == "retry" else again
    if again == "retry":
        world.results.outputs.clear()
        assert world.retry(key)
    else:
        world.drop(key, png())
    world.executions.end_all()
    world.pass_hours(1)

    assert world.row(key).state is DropState.DELIVERED


def test_a_create_never_names_bytes_that_the_vendor_has_deleted(world: World) -> None:
    world.slots = 1
    world.compose()
    world.drop("a.png", png())
    world.clock.advance(seconds=1)
    world.drop("b.png", png(shade=5))
    world.clock.advance(days=8)
    recover(world)
    world.run_executions()
    world.sweep()
    for key in world.queue.keys:
        world.submit(key)
    world.sweep()

    assert [path for path, _, _ in world.upscaler.creates] == [
        "api-assets/1.png",
        "api-assets/3.png",
    ]


def test_each_of_two_lost_projects_is_adopted_by_the_job_that_is_in_its_name(world: World) -> None:
    world.put("a.png.yaml", "renditions: [{style: {mode: preserve}}, {scale_factor: 4}]")
    create = world.upscaler.create

    def lose(image_path: str, parameters: dict[str, Any], name: str) -> CreatedProject:
        project_id = create(image_path, parameters, name).id
        answer = {"id": project_id, "status": "queued", "name": name}
        world.upscaler.projects[project_id] = Project.model_validate(answer)
        raise errors.CreateOutcomeUnknown("POST", project_name=name)

    world.upscaler.create = lose  # type: ignore[method-assign]
    world.drop("a.png", png())
    names = {world.upscaler.projects[name].name: name for name in ("project-1", "project-2")}

    for project_id in ("project-2", "project-1"):
        world.adopt("a.png", project_id)

    assert {job.project_name: job.project_id for job in world.ledger.jobs.values()} == names


def test_a_project_with_the_name_of_another_job_is_neither_delivered_nor_adopted(
    world: World,
) -> None:
    world.drop("a.png", png())
    name = "b.png [0123abcd-1]"
    world.upscaler.finish(name=name)
    world.run_executions()
    world.pass_hours(3)

    manifest = world.manifest("a.png")
    assert manifest["state"] == "timed_out"
    assert "has the name of another job" in manifest["reason"]["message"]
    world.upscaler.fail_create = errors.CreateOutcomeUnknown("POST")
    world.drop("c.png", png(shade=3))
    with pytest.raises(ForeignProject):
        world.adopt("c.png", "project-1")


def test_an_error_whose_credits_are_kept_is_not_paid_anew_until_they_come_back(
    world: World,
) -> None:
    world.drop("a.png", png())
    world.upscaler.finish(ProjectStatus.ERROR, credits_charged=50)
    world.run_executions()
    reason = world.manifest("a.png")["reason"]
    assert "has not returned its 50 credits" in reason["fix"]
    assert "dropscale retry KEY" in reason["fix"]
    world.drop("copy.png", png())
    world.run_executions()
    assert world.retry("a.png")
    world.run_executions()
    assert len(world.upscaler.creates) == 1
    assert set(world.ledger.credits.values()) == {50}

    world.upscaler.finish(ProjectStatus.ERROR, credits_charged=0)
    world.pass_hours(3)
    assert set(world.ledger.credits.values()) == {0}
    assert world.retry("a.png")

    assert len(world.upscaler.creates) == 2


def test_a_drop_names_the_project_of_every_upscale_whose_outcome_is_unknown(world: World) -> None:
    world.put("a.png.yaml", "renditions: [{style: {mode: preserve}}, {scale_factor: 4}]")

    def lose(*_: object) -> CreatedProject:
        raise errors.CreateOutcomeUnknown("POST")

    world.upscaler.create = lose  # type: ignore[assignment, method-assign]
    world.drop("a.png", png())

    fix = world.manifest("a.png")["reason"]["fix"]
    for job in world.ledger.jobs.values():
        assert job.project_name in fix


@pytest.mark.parametrize("state", [DropState.SUBMITTED, DropState.RENDERING, DropState.TIMED_OUT])
def test_a_drop_at_an_earlier_project_is_told_that_the_next_attempt_is_unknown(
    world: World, state: DropState
) -> None:
    world.drop("a.png", png())
    (rendition,) = world.row("a.png").renditions.values()
    lost = the_job(world).model_copy(
        update={"state": JobState.UNKNOWN, "attempt": 2, "project_id": None}
    )

    after = rendition_after(rendition.model_copy(update={"state": state}), lost, None)

    assert (after.state, after.attempt) == (DropState.UNKNOWN, 2)
    assert after.reason is not None
    assert lost.project_name in after.reason.fix


@pytest.mark.parametrize("state", sorted(COLLECTABLE_STATES))
def test_whoever_still_wants_a_result_follows_the_job_to_its_next_project(
    world: World, state: DropState
) -> None:
    world.drop("a.png", png())
    (rendition,) = world.row("a.png").renditions.values()
    later = the_job(world).model_copy(update={"attempt": 2, "project_id": "project-2"})

    after = rendition_after(rendition.model_copy(update={"state": state}), later, None)

    told = (after.state, after.project_id, after.attempt)
    assert told == (DropState.SUBMITTED, "project-2", 2)
    is_fresh = state in {DropState.WAITING, DropState.UNKNOWN}
    assert after.generation == rendition.generation + (not is_fresh)


@pytest.mark.parametrize("state", [DropState.SUBMITTED, DropState.RENDERING])
def test_a_result_that_could_not_be_delivered_in_all_its_time_is_said_to_be_there(
    world: World, state: DropState
) -> None:
    world.drop("a.png", png())
    (rendition,) = world.row("a.png").renditions.values()
    complete = the_job(world).model_copy(update={"state": JobState.COMPLETE})

    after = rendition_after(rendition.model_copy(update={"state": state}), complete, Undelivered())

    assert after.state is DropState.TIMED_OUT
    assert after.reason is not None
    assert "`dropscale retry KEY`" in after.reason.fix
    told = after.model_copy(update={"reason": None})
    assert rendition_after(told, complete, Undelivered()) == told, "it was told another reason"


def test_an_execution_whose_history_is_full_is_continued_once(world: World) -> None:
    world.drop("a.png", png())
    (state,) = world.running()
    for number in range(2):
        world.fail(world.running()[-1], "HistoryFull")
        world.fail(state, "HistoryFull")  # told once more

        (rendition,) = world.row("a.png").renditions.values()
        assert rendition.generation == number + 1
        assert len(world.executions.started) == number + 2

    (rendition,) = world.row("a.png").renditions.values()
    later = rendition.model_copy(update={"generation": 5})  # nobody watches this one yet
    drop = world.row("a.png").with_rendition(later, world.clock())
    world.ledger.drops[drop.id] = drop
    world.fail(world.running()[-1], "HistoryFull")
    assert len(world.executions.started) == 3


def test_an_execution_is_renewed_once_and_only_for_who_wants_the_result(world: World) -> None:
    world.drop("a.png", png())
    job = the_job(world)
    (rendition,) = world.row("a.png").renditions.values()
    later = job.model_copy(update={"attempt": 2, "project_id": "project-2"})
    world.ledger.jobs[job.fingerprint] = later

    (moved,) = world.follow.renew_execution(
        world.row("a.png").id, rendition.id, later
    ).renditions.values()
    assert (moved.project_id, moved.generation) == ("project-2", 1)

    world.ledger.jobs[job.fingerprint] = job
    world.drop("b.png", png(shade=1))
    world.finish_all()
    drop = world.row("b.png")
    (done,) = drop.renditions.values()
    other = world.ledger.jobs[done.fingerprint]
    assert world.follow.renew_execution(drop.id, done.id, other) == drop


def test_a_project_that_is_watched_late_is_as_old_as_it_is(world: World) -> None:
    world.drop("a.png", png())
    submitted_at = the_job(world).submitted_at
    assert submitted_at is not None
    world.clock.advance(minutes=30)
    world.drop("b.png", png())

    assert {state.started_at for state in world.running()} == {int(submitted_at.timestamp())}
    assert [state.wait_seconds for state in world.running()] == [20, 1]


def test_the_first_look_is_not_after_the_deadline(world: World) -> None:
    world.timing = Timing(first_check=100, deadline=50)
    world.compose()
    world.drop("a.png", png())

    assert [state.wait_seconds for state in world.running()] == [50]


def test_news_reach_whoever_comes_next_in_the_present_round(world: World) -> None:
    world.set_slots(0)
    world.drop("a.png", png())
    before = the_job(world).model_copy(update={"cursor": "z" * 64})

    world.follow.update_drops(before, Waiting(WaitReason.BUDGET))

    assert world.manifest("a.png")["waiting_for"] == "budget"
