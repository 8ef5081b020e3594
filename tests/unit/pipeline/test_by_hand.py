"""A person's actions on a drop: resolve an unknown outcome, retry a drop without a result."""

import re
from collections.abc import Iterator
from unittest import mock

import pytest

from dropscale.ledger.jobs import KnownProject
from dropscale.ledger.states import DropState, JobState
from dropscale.ledger.store import job_changes
from dropscale.magichour import errors
from dropscale.magichour.models import CreatedProject, Project
from dropscale.pipeline.parts.delivery_errors import ForeignProject, ProjectUnnamed
from dropscale.pipeline.resolve import Decision, NothingToResolve, Trust
from dropscale.upscaler import ProjectStatus
from tests.fakes import png
from tests.world import World

LOST = errors.CreateOutcomeUnknown("POST /v1/ai-image-upscaler", cause_name="ConnectionLost")


@pytest.fixture
def unknown(world: World) -> World:
    world.upscaler.fail_create = LOST
    world.drop("cat.png", png())
    assert world.row("cat.png").state is DropState.UNKNOWN
    return world


def test_an_orphan_that_was_found_is_adopted_and_delivered_free(unknown: World) -> None:
    unknown.upscaler.create("api-assets/1.png", {}, "the orphan")

    unknown.adopt("cat.png", "project-1")
    unknown.finish_all()

    assert unknown.row("cat.png").state is DropState.DELIVERED
    assert len(unknown.upscaler.creates) == 1


def test_a_project_that_is_adopted_while_another_is_paid_is_not_forgotten(unknown: World) -> None:
    found = found_at_vendor(unknown, unknown.only_job.project_name)
    known = unknown.ledger.project

    def pay_first(project_id: str) -> KnownProject | None:
        unknown.decide("cat.png", Decision.PAY_AGAIN)
        return known(project_id)

    with mock.patch.object(unknown.ledger, "project", pay_first), pytest.raises(NothingToResolve):
        unknown.adopt("cat.png", found)
    answer = {"id": "project-1", "status": "error"}
    unknown.upscaler.projects["project-1"] = Project.model_validate(answer)
    unknown.run_executions()
    unknown.retry("cat.png")
    unknown.run_executions()

    assert unknown.row("cat.png").state is DropState.DELIVERED
    assert len(unknown.upscaler.creates) == 1


def fail_first_attempt(world: World) -> str:
    """Let an upscale end in an error with its credits refunded; return its project."""
    world.drop("cat.png", png())
    world.upscaler.finish(ProjectStatus.ERROR)
    world.run_executions()
    name = world.only_job.project_name
    answer = {"id": "project-1", "status": "error", "name": name}
    world.upscaler.projects["project-1"] = Project.model_validate(answer)
    return "project-1"


@pytest.mark.parametrize("second", ["unknown", "canceled", "kept", "given up"])
def test_an_attempt_that_may_be_charged_is_not_repeated_since_an_earlier_one_is_adopted(
    world: World, second: str
) -> None:
    first = fail_first_attempt(world)
    if second in {"unknown", "given up"}:
        world.upscaler.fail_create = LOST
    world.clock.advance(minutes=1)
    world.drop("cat.png", png())
    if second == "given up":
        world.decide("cat.png", Decision.ABANDON)
    if second in {"canceled", "kept"}:
        status, price = ("error", 50) if second == "kept" else ("canceled", None)
        answer = {"id": "project-2", "status": status, "credits_charged": price}
        world.upscaler.projects["project-2"] = Project.model_validate(answer)
        world.run_executions()
    paid = len(world.upscaler.creates)

    world.adopt("cat.png", first, Trust.NAME)
    world.run_executions()
    for key in ("cat.png", "again.png"):
        world.clock.advance(minutes=1)
        world.drop(key, png())
        world.retry(key)
    world.pass_hours(3)

    assert len(world.upscaler.creates) == paid
    assert "`revision`" in world.manifest("cat.png")["reason"]["fix"]


def test_the_unknown_attempts_own_project_that_ended_in_an_error_is_paid_anew(
    unknown: World,
) -> None:
    answer = {"id": "own", "status": "error", "name": unknown.only_job.project_name}
    unknown.upscaler.projects["own"] = Project.model_validate(answer)
    unknown.adopt("cat.png", "own", Trust.NAME)
    unknown.run_executions()

    unknown.clock.advance(minutes=1)
    unknown.drop("cat.png", png())

    assert len(unknown.upscaler.creates) == 1


@pytest.mark.parametrize("status", [ProjectStatus.QUEUED, ProjectStatus.COMPLETE])
def test_a_project_that_a_job_is_at_can_be_trusted(world: World, status: ProjectStatus) -> None:
    world.drop("cat.png", png())
    world.upscaler.finish(status, name=next(names_of_others(world)))
    world.run_executions()
    world.sweep()

    world.adopt("cat.png", "project-1", Trust.ANYWAY)
    world.upscaler.finish(name=next(names_of_others(world)))
    world.clock.advance(hours=2)
    world.pass_hours(2)

    assert world.row("cat.png").state is DropState.DELIVERED


def test_an_orphan_that_the_vendor_does_not_know_is_not_adopted(unknown: World) -> None:
    with pytest.raises(errors.NotFound):
        unknown.adopt("cat.png", "project-9")

    assert unknown.row("cat.png").state is DropState.UNKNOWN


def found_at_vendor(world: World, name: str | None) -> str:
    """Let the person find a complete project of a name; return its id."""
    world.upscaler.answer("found", "complete", name=name)
    return "found"


def test_a_project_with_the_token_of_the_attempt_is_adopted(unknown: World) -> None:
    unknown.adopt("cat.png", found_at_vendor(unknown, unknown.only_job.project_name), Trust.NAME)
    unknown.run_executions()

    assert unknown.row("cat.png").state is DropState.DELIVERED


def names_of_others(world: World) -> Iterator[str]:
    """Yield names that look like the job's, each with another token."""
    job = world.only_job
    digits = job.fingerprint[:8]
    yield f"cat.png [{digits}-1-{'f' * 24}]"  # nobody knows this attempt
    yield f"cat.png [{digits}-9]"  # of an attempt that never was
    world.upscaler.fail_create = LOST
    world.drop("dog.png", png(shade=7))
    dog = next(job for job in world.ledger.jobs.values() if job.label == "dog.png")
    yield f"cat.png [{digits}-1-{dog.attempt_id}]"  # the digits are ours, the token is another's
    yield dog.project_name


def test_a_project_with_another_token_is_adopted_only_anyway(unknown: World) -> None:
    for name in names_of_others(unknown):
        project_id = found_at_vendor(unknown, name)
        for trust in (Trust.NAME, Trust.UNNAMED):
            with pytest.raises(ForeignProject) as refused:
                unknown.adopt("cat.png", project_id, trust)
            assert "--anyway" in refused.value.fix
    assert unknown.row("cat.png").state is DropState.UNKNOWN

    unknown.adopt("cat.png", project_id, Trust.ANYWAY)
    unknown.run_executions()

    assert unknown.row("cat.png").state is DropState.DELIVERED


def test_a_project_that_is_known_for_another_images_is_never_adopted(unknown: World) -> None:
    unknown.drop("dog.png", png(shade=7))

    for trust in Trust:
        with pytest.raises(ForeignProject):
            unknown.adopt("cat.png", "project-1", trust)


@pytest.mark.parametrize("name", [None, "my cat", "cat [abc]"])
def test_a_project_without_a_name_that_tells_is_asked_about(
    unknown: World, name: str | None
) -> None:
    project_id = found_at_vendor(unknown, name)
    with pytest.raises(ProjectUnnamed, match=re.escape(unknown.only_job.project_name)):
        unknown.adopt("cat.png", project_id, Trust.NAME)
    assert unknown.row("cat.png").state is DropState.UNKNOWN

    unknown.adopt("cat.png", project_id, Trust.UNNAMED)
    unknown.run_executions()

    assert unknown.row("cat.png").state is DropState.DELIVERED


def test_a_project_that_the_ledger_knows_for_the_jobs_needs_no_name(world: World) -> None:
    world.drop("cat.png", png())
    world.finish_all(ProjectStatus.ERROR, credits_charged=0)
    world.retry("cat.png")
    world.finish_all(ProjectStatus.CANCELED)
    assert world.only_job.orphans == ("project-1",)
    world.upscaler.finish(name="renamed by a person")

    world.adopt("cat.png", "project-1", Trust.NAME)
    world.run_executions()

    assert world.row("cat.png").state is DropState.DELIVERED


@pytest.mark.parametrize("name", ["cat.png [{digits}-1]", "cat.png [{digits}-1-attempt-1]"])
def test_a_name_of_schema_1_tells_of_its_job(unknown: World, name: str) -> None:
    fingerprint = unknown.only_job.fingerprint
    before = {"attempt_id": "attempt-1", "name_at_vendor": None}
    unknown.ledger.jobs[fingerprint] = unknown.only_job.model_copy(update=before)
    unknown.ledger.references.clear()

    unknown.adopt(
        "cat.png", found_at_vendor(unknown, name.format(digits=fingerprint[:8])), Trust.NAME
    )


def test_paying_again_is_a_persons_decision(unknown: World) -> None:
    unknown.decide("cat.png", Decision.PAY_AGAIN)
    unknown.finish_all()

    assert unknown.row("cat.png").state is DropState.DELIVERED
    assert unknown.only_job.attempt == 2


@pytest.mark.parametrize("decision", Decision)
def test_an_answer_that_comes_while_a_person_decides_is_taken(
    unknown: World, decision: Decision
) -> None:
    (stale,) = unknown.ledger.jobs.values()
    unknown.ledger.write(
        *job_changes(stale, stale.record_project("project-9", 50, unknown.clock(), unknown.clock()))
    )
    read, answers = unknown.ledger.job, iter([stale])
    unknown.ledger.job = lambda name: next(answers, None) or read(name)  # type: ignore[method-assign, assignment]

    unknown.decide("cat.png", decision)

    (job,) = unknown.ledger.jobs.values()
    assert (job.state, job.project_id) == (JobState.SUBMITTED, "project-9")
    assert unknown.upscaler.creates == []


def test_what_is_given_up_stays_given_up(unknown: World) -> None:
    unknown.decide("cat.png", Decision.ABANDON)

    assert unknown.manifest("cat.png")["reason"]["code"] == "JobAbandoned"
    assert not unknown.retry("cat.png")
    with pytest.raises(NothingToResolve):
        unknown.decide("cat.png", Decision.PAY_AGAIN)


def test_an_answer_that_comes_after_paying_again_is_kept(world: World) -> None:
    def pay_again() -> None:
        world.sweep(minutes=17)
        world.decide("cat.png", Decision.PAY_AGAIN)

    world.upscaler.before_answer = pay_again
    world.drop("cat.png", png())

    assert (world.only_job.project_id, world.only_job.orphans) == ("project-2", ("project-1",))


def test_an_answer_that_comes_after_another_project_was_adopted_is_kept(world: World) -> None:
    create = world.upscaler.create

    def create_slowly(*arguments):  # type: ignore[no-untyped-def]
        answer = create(*arguments)
        world.clock.advance(minutes=17)
        world.sweep()
        world.upscaler.projects["project-9"] = Project(id="project-9", status=ProjectStatus.QUEUED)
        world.adopt("cat.png", "project-9")
        return answer

    world.upscaler.create = create_slowly  # type: ignore[method-assign]
    world.drop("cat.png", png())

    (job,) = world.ledger.jobs.values()
    assert (job.project_id, job.orphans) == ("project-9", ("project-1",))


def test_the_id_of_an_earlier_attempts_project_is_no_new_one(world: World) -> None:
    world.drop("cat.png", png())
    world.upscaler.finish(ProjectStatus.ERROR, credits_charged=0)
    world.run_executions()
    again = CreatedProject(id="project-1", credits_charged=50)
    world.upscaler.create = lambda *_: again  # type: ignore[method-assign]
    world.retry("cat.png")
    world.clock.advance(minutes=17)
    world.sweep()

    (job,) = world.ledger.jobs.values()
    assert (job.state, job.project_id) == (JobState.UNKNOWN, None)


def test_retry_never_touches_an_unknown_outcome(unknown: World) -> None:
    assert not unknown.retry("cat.png")
    assert unknown.upscaler.creates == []


def test_retry_collects_a_paid_result_free(world: World) -> None:
    world.drop("cat.png", png())
    world.upscaler.finish()
    world.fail(world.check(world.running()[0]), "OutputOccupied")
    assert world.row("cat.png").state is DropState.FAILED

    assert world.retry("cat.png")
    world.finish_all()

    assert world.row("cat.png").state is DropState.DELIVERED
    assert len(world.upscaler.creates) == 1


def test_retry_pays_anew_where_the_credits_were_given_back(world: World) -> None:
    world.drop("cat.png", png())
    world.finish_all(ProjectStatus.ERROR, credits_charged=0)

    assert world.retry("cat.png")
    world.finish_all()

    assert world.row("cat.png").state is DropState.DELIVERED
    assert len(world.upscaler.creates) == 2


def test_retry_collects_what_nobody_waited_for(world: World) -> None:
    world.put("cat.png.yaml", "wait_for_completion: false")
    world.drop("cat.png", png())

    assert world.retry("cat.png")
    world.finish_all()

    assert world.row("cat.png").state is DropState.DELIVERED
    assert len(world.upscaler.creates) == 1


def test_retry_looks_anew_at_a_drop_that_was_rejected(world: World) -> None:
    world.put("cat.png.yaml", "scale_factor: 3")
    world.drop("cat.png", png())

    assert world.retry("cat.png")

    assert world.queue.keys == ["cat.png"]


def test_retry_leaves_alone_what_is_delivered_or_under_way(world: World) -> None:
    world.drop("cat.png", png())
    assert not world.retry("cat.png")
    world.finish_all()
    assert not world.retry("cat.png")


def test_retry_delivers_again_what_has_left_the_results_bucket_free(world: World) -> None:
    world.drop("cat.png", png())
    world.finish_all()
    world.results.outputs.clear()

    assert world.retry("cat.png")
    world.finish_all()

    assert world.row("cat.png").state is DropState.DELIVERED
    assert world.results.outputs["cat.png@2x.png"][0] == world.upscaler.result
    assert len(world.upscaler.creates) == 1


def test_a_delivered_result_that_is_gone_everywhere_fails_and_is_not_paid_again(
    world: World,
) -> None:
    world.drop("cat.png", png())
    world.finish_all()
    world.results.outputs.clear()
    world.upscaler.projects.clear()

    assert world.retry("cat.png")
    world.run_executions()
    assert world.manifest("cat.png")["reason"]["code"] == "NotFound"
    world.pass_hours(30)

    reason = world.manifest("cat.png")["reason"]
    assert (world.row("cat.png").state, reason["code"]) == (DropState.FAILED, "ResultGone")
    assert "revision" in reason["fix"]
    assert "dropscale retry KEY" in reason["fix"]
    assert len(world.upscaler.creates) == 1


def test_retry_says_so_if_the_image_it_needs_is_gone(world: World) -> None:
    world.put("cat.png.yaml", "scale_factor: 3")
    world.drop("cat.png", png())
    del world.bucket.objects["cat.png"]

    assert not world.retry("cat.png")


def test_an_earlier_delivery_serves_when_the_vendors_copy_is_gone(world: World) -> None:
    world.drop("a.png", png())
    world.finish_all()
    world.upscaler.projects.clear()

    world.drop("b.png", png())
    world.deliver(world.check(world.running()[0]))

    assert world.results.outputs["b.png@2x.png"][0] == world.upscaler.result
    assert world.row("b.png").state is DropState.DELIVERED
    assert world.only_job.state is JobState.COMPLETE


def test_a_result_that_is_gone_everywhere_is_said_to_be(world: World) -> None:
    world.drop("a.png", png())
    world.finish_all()
    world.upscaler.projects.clear()
    world.results.outputs.clear()

    world.drop("b.png", png())

    world.run_executions()
    world.pass_hours(30)
    assert world.manifest("b.png")["reason"]["code"] == "ResultGone"


@pytest.mark.parametrize("spec", ["scale_factor: 4", "revision: fresh"])
def test_what_may_have_been_charged_is_still_told_when_the_spec_has_changed(
    unknown: World, spec: str
) -> None:
    job = unknown.only_job
    unknown.drop("cat.png.yaml", spec)
    unknown.finish_all()
    manifest = unknown.manifest("cat.png")
    assert manifest["state"] == "delivered"
    assert any(job.project_name in warning["message"] for warning in manifest["warnings"])

    unknown.decide("cat.png", Decision.ABANDON)

    warnings = unknown.manifest("cat.png")["warnings"]
    assert not any(job.project_name in warning["message"] for warning in warnings)


def test_an_outcome_that_becomes_unknown_after_the_spec_has_changed_is_told(world: World) -> None:
    def change_spec_and_lose(*_: object) -> CreatedProject:
        world.upscaler.create = create  # type: ignore[method-assign]
        world.drop("cat.png.yaml", "scale_factor: 4")
        raise LOST

    create = world.upscaler.create
    world.upscaler.create = change_spec_and_lose  # type: ignore[method-assign, assignment]
    world.drop("cat.png", png())
    world.finish_all()

    lost = next(job for job in world.ledger.jobs.values() if job.state is JobState.UNKNOWN)
    manifest = world.manifest("cat.png")
    assert manifest["state"] == "delivered"
    assert any(lost.project_name in warning["message"] for warning in manifest["warnings"])


def test_an_image_whose_uploads_fail_is_read_again_ever_later(world: World) -> None:
    reads: list[int] = []
    for _ in range(60 * 6):
        world.upscaler.fail_upload = errors.TransferFailed("PUT storage", status=500)
        world.drop("cat.png", png()) if not reads else world.sweep()
        for key in world.queue.keys:
            world.submit(key)
        world.queue.keys.clear()
        reads.append(world.bucket.reads["cat.png"])
        world.clock.advance(minutes=1)

    assert reads[5] >= 3
    assert reads[-1] <= 14
    world.upscaler.fail_upload = None
    world.pass_hours(2)
    for key in world.queue.keys:
        world.submit(key)
    assert world.only_job.failed_uploads == 0
    assert world.only_job.state is JobState.SUBMITTED


def test_a_project_of_an_earlier_attempt_is_known_by_its_token(unknown: World) -> None:
    first = unknown.only_job.project_name
    unknown.upscaler.fail_create = LOST
    unknown.decide("cat.png", Decision.PAY_AGAIN)
    assert (unknown.only_job.state, unknown.only_job.attempt) == (JobState.UNKNOWN, 2)

    unknown.adopt("cat.png", found_at_vendor(unknown, first), Trust.NAME)
    unknown.run_executions()

    assert unknown.row("cat.png").state is DropState.DELIVERED
