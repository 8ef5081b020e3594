from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from dropscale.upscaler import Mode, ProjectStatus
from dropscale_embedded.api import EntryKind
from dropscale_embedded.api.projects import (
    OutOfCredits,
    Project,
    ProjectError,
    Projects,
    Tier,
    TooManyJobs,
    UnknownProject,
    UpscaleParams,
)

NOW = datetime(2026, 7, 1, 12, 30, 5, tzinfo=UTC)
BALANCED_2X = UpscaleParams(scale_factor=2, mode=Mode.BALANCED)
FAULT = ProjectError(code="invalid_file_format", message="not an image")


def account(credits_granted: int = 1000, tier: Tier = Tier.CREATOR) -> Projects:
    return Projects(credits_granted=credits_granted, tier=tier, clock=lambda: NOW)


def create(projects: Projects, params: UpscaleParams = BALANCED_2X) -> Project:
    return projects.create(params, image_path="api-assets/a/image.png", name="cat")


def kinds(projects: Projects) -> list[EntryKind]:
    return [entry.kind for entry in projects.book.entries()]


def test_a_create_takes_the_price_and_queues() -> None:
    projects = account()

    project = create(projects, UpscaleParams(scale_factor=4, mode=Mode.PRESERVE))

    assert project.status is ProjectStatus.QUEUED
    assert project.credits_charged == 100
    assert projects.credits_left == 900
    assert kinds(projects) == [EntryKind.CREATE, EntryKind.CHARGE]
    charge = projects.book.entries(EntryKind.CHARGE)[0]
    assert (charge.project_id, charge.credits, charge.at) == (project.id, 100, NOW)
    assert (charge.name, charge.image_path) == ("cat", "api-assets/a/image.png")
    nameless = projects.create(BALANCED_2X, image_path="x", name=None)
    assert nameless.name == "Image Upscaler - 2026-07-01 12:30:05"


def test_an_answer_given_earlier_does_not_change() -> None:
    projects = account()
    before = create(projects)

    projects.start(before.id)

    assert before.status is ProjectStatus.QUEUED
    assert projects.get(before.id).status is ProjectStatus.RENDERING


def test_a_job_takes_a_place_until_it_is_final_or_deleted() -> None:
    projects = Projects(credits_granted=1000, tier=Tier.PRO, clock=lambda: NOW, concurrent_jobs=1)
    ends = [
        projects.complete,
        lambda job: projects.fail(job, FAULT),
        lambda job: projects.hold(job, ProjectStatus.CANCELED),
        projects.delete,
    ]

    for end in ends:
        job = create(projects)
        projects.hold(job.id, "paused")
        with pytest.raises(TooManyJobs, match="runs 1 jobs at once"):
            create(projects)
        end(job.id)

    assert len(projects.book.entries(EntryKind.CHARGE)) == len(ends)
    assert len(projects.book.entries(EntryKind.CREATE)) == 2 * len(ends)


def test_creates_at_the_same_time_never_overdraw() -> None:
    projects = account(credits_granted=5 * 50 + 49)

    def try_to_create(_: int) -> bool:
        try:
            create(projects)
        except OutOfCredits:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(try_to_create, range(40)))

    assert outcomes.count(True) == 5
    assert projects.credits_left == 49


def test_a_deleted_project_is_unknown_to_everyone() -> None:
    projects = account()
    project = create(projects)

    projects.delete(project.id)

    calls = (projects.get, projects.start, projects.complete, projects.delete)
    for call in (*calls, lambda job: projects.fail(job, FAULT)):
        with pytest.raises(UnknownProject, match=project.id):
            call(project.id)
    assert projects.book.credits_spent == 50
