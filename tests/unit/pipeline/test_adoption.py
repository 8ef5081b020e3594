"""Whose a project is that a person adopts, and what its adoption leaves behind."""

from unittest import mock

import pytest

from dropscale.ledger.drops import Drop
from dropscale.ledger.jobs import Job, KnownProject
from dropscale.ledger.states import DropState, JobState
from dropscale.ledger.store import SaveReference
from dropscale.magichour import errors
from dropscale.pipeline.parts.delivery_errors import ForeignProject
from dropscale.pipeline.resolve import NothingToResolve, Trust
from dropscale.upscaler import ProjectStatus
from tests.fakes import png
from tests.world import World

LOST = errors.CreateOutcomeUnknown("POST /v1/ai-image-upscaler", cause_name="ConnectionLost")


@pytest.fixture
def unknown(world: World) -> World:
    world.upscaler.fail_create = LOST
    world.drop("cat.png", png())
    return world


@pytest.fixture
def ended(world: World) -> World:
    """One whose job was canceled at its project, which it was charged for."""
    world.drop("cat.png", png())
    world.finish_all(ProjectStatus.CANCELED, credits_charged=50)
    world.upscaler.finish(name=world.only_job.project_name)
    return world


def two_jobs(world: World, first: JobState, second: JobState) -> tuple[Job, Job]:
    """Drop an image that has two jobs in these states, each at a project unless it is unknown."""
    world.put("cat.png.yaml", "renditions: [{scale_factor: 2}, {scale_factor: 4}]")
    world.drop("cat.png", png())
    for job, state in zip(jobs_of(world, "cat.png"), (first, second), strict=True):
        project = None if state is JobState.UNKNOWN else job.project_id
        there = job.model_copy(update={"state": state, "project_id": project})
        world.ledger.jobs[job.fingerprint] = there
    one, two = jobs_of(world, "cat.png")
    return one, two


def jobs_of(world: World, key: str) -> list[Job]:
    drop: Drop = world.row(key)
    return [world.ledger.jobs[name] for name in drop.fingerprints]


def found(world: World, name: str | None) -> str:
    world.upscaler.answer("found", "complete", name=name)
    return "found"


@pytest.mark.parametrize(
    ("name", "may_have_cost"),
    [
        ("cat.png [{digits}-1-{token}]", False),
        ("cat.png [{digits}-1]", False),
        (None, False),
        ("cat.png [{digits}-9-{token}]", True),
        ("cat.png [{digits}-1-ffffffffffffffffffffffff]", True),
    ],
)
def test_the_attempt_may_still_be_charged_if_the_project_is_anothers(
    unknown: World, name: str | None, may_have_cost: bool
) -> None:
    job = unknown.only_job
    told = name and name.format(digits=job.fingerprint[:8], token=job.attempt_id)

    unknown.adopt("cat.png", found(unknown, told), Trust.ANYWAY)

    adopted = unknown.only_job
    assert (adopted.project_id, adopted.may_have_cost) == ("found", may_have_cost)
    assert adopted.trusted_project == "found"
    (rendition,) = unknown.row("cat.png").renditions.values()
    assert (rendition.generation, rendition.is_collected) == (0, False)


def test_an_attempt_whose_project_is_known_may_be_charged_where_another_is_adopted(
    ended: World,
) -> None:
    ended.adopt("cat.png", found(ended, None), Trust.UNNAMED)

    assert (ended.only_job.may_have_cost, ended.only_job.orphans) == (True, ("project-1",))
    assert ended.only_job.trusted_project is None


@pytest.mark.parametrize(
    ("trust", "state", "trusted"),
    [
        (Trust.NAME, JobState.CANCELED, None),
        (Trust.ANYWAY, JobState.SUBMITTED, "project-1"),
    ],
)
def test_the_project_that_a_job_is_at_is_looked_at_anew_or_taken_against_its_name(
    ended: World, trust: Trust, state: JobState, trusted: str | None
) -> None:
    ended.adopt("cat.png", "project-1", trust)

    job = ended.only_job
    assert (job.state, job.trusted_project, job.orphans) == (state, trusted, ())


def test_a_project_that_the_job_holds_stays_as_it_is_known(ended: World) -> None:
    known = ended.ledger.project("project-1")
    assert known is not None
    assert known.token

    ended.adopt("cat.png", "project-1", Trust.NAME)
    assert ended.ledger.project("project-1") == known


@pytest.fixture
def mistaken(unknown: World) -> World:
    """One whose vendor answered another image's create with the id of the lost create's project."""
    lost = unknown.only_job.project_name
    unknown.drop("dog.png", png(shade=7))
    unknown.upscaler.finish(name=lost)
    return unknown


def test_a_project_that_another_job_holds_is_adopted_by_the_job_that_it_names(
    mistaken: World,
) -> None:
    mistaken.adopt("cat.png", "project-1", Trust.NAME)
    mistaken.run_executions()

    assert mistaken.row("cat.png").state is DropState.DELIVERED
    assert mistaken.row("dog.png").state is not DropState.DELIVERED
    known = mistaken.ledger.project("project-1")
    assert known is not None
    assert known.fingerprint == jobs_of(mistaken, "cat.png")[0].fingerprint
    assert len(mistaken.upscaler.creates) == 1


def test_a_project_that_a_person_gave_to_another_job_stays_there(mistaken: World) -> None:
    mistaken.adopt("dog.png", "project-1", Trust.ANYWAY)

    with pytest.raises(ForeignProject):
        mistaken.adopt("cat.png", "project-1", Trust.ANYWAY)


def test_a_project_that_names_a_job_with_a_result_stays_where_it_is(mistaken: World) -> None:
    mistaken.adopt("cat.png", "project-1", Trust.NAME)
    mistaken.run_executions()
    cat, dog = (jobs_of(mistaken, key)[0] for key in ("cat.png", "dog.png"))
    taken = KnownProject(project_id="project-1", fingerprint=dog.fingerprint)
    mistaken.ledger.write(SaveReference(taken, replaces=cat.fingerprint))

    with pytest.raises(ForeignProject):
        mistaken.adopt("cat.png", "project-1", Trust.NAME)
    assert jobs_of(mistaken, "cat.png")[0] == cat


def test_a_project_that_is_given_to_another_job_meanwhile_is_refused(unknown: World) -> None:
    unknown.drop("dog.png", png(shade=7))
    unknown.upscaler.finish(name=None)
    nobody = mock.patch.object(unknown.ledger, "project", return_value=None)

    with nobody, pytest.raises(ForeignProject):
        unknown.adopt("cat.png", "project-1", Trust.UNNAMED)


def test_an_answer_that_comes_at_this_moment_is_the_adopted_project(unknown: World) -> None:
    before = unknown.only_job
    project_id, now = found(unknown, before.project_name), unknown.clock()
    known = unknown.ledger.project

    def answered(name: str) -> KnownProject | None:
        late = before.record_project(project_id, 50, now, now)
        unknown.ledger.jobs[before.fingerprint] = late
        return known(name)

    with mock.patch.object(unknown.ledger, "project", answered):
        unknown.adopt("cat.png", project_id, Trust.NAME)

    assert (unknown.only_job.project_id, unknown.only_job.orphans) == (project_id, ())


class TestOfSeveralJobs:
    """One image has two upscales; the project is of one of them."""

    def test_it_is_the_one_that_the_ledger_knows(self, world: World) -> None:
        one, two = two_jobs(world, JobState.UNKNOWN, JobState.CANCELED)
        reference = KnownProject(project_id="found", fingerprint=two.fingerprint)
        world.ledger.references[KnownProject, "found"] = reference

        world.adopt("cat.png", found(world, None), Trust.NAME)

        assert [job.project_id for job in jobs_of(world, "cat.png")] == [None, "found"]
        assert jobs_of(world, "cat.png")[0] == one

    @pytest.mark.parametrize("at", [0, 1])
    def test_it_is_the_one_that_is_named(self, world: World, at: int) -> None:
        jobs = two_jobs(world, JobState.CANCELED, JobState.UNKNOWN)

        world.adopt("cat.png", found(world, jobs[at].project_name), Trust.NAME)

        assert jobs_of(world, "cat.png")[at].project_id == "found"

    @pytest.mark.parametrize("states", [(0, 1), (1, 0)])
    def test_it_is_the_one_that_most_likely_lacks_it(
        self, world: World, states: tuple[int, int]
    ) -> None:
        likely = JobState.UNKNOWN, JobState.CANCELED
        two_jobs(world, likely[states[0]], likely[states[1]])

        world.adopt("cat.png", found(world, None), Trust.UNNAMED)

        assert jobs_of(world, "cat.png")[states.index(0)].project_id == "found"

    def test_of_two_that_are_as_likely_a_person_has_to_name_one(self, world: World) -> None:
        jobs = two_jobs(world, JobState.UNKNOWN, JobState.UNKNOWN)
        with pytest.raises(NothingToResolve) as refused:
            world.adopt("cat.png", found(world, None), Trust.UNNAMED)

        assert all(job.project_name in refused.value.fix for job in jobs)

    def test_it_is_none_that_has_its_result(self, world: World) -> None:
        two_jobs(world, JobState.COMPLETE, JobState.COMPLETE)
        for trust in Trust:
            with pytest.raises(NothingToResolve):
                world.adopt("cat.png", found(world, None), trust)

        assert world.row("cat.png").state is DropState.SUBMITTED
