"""When to look again at a project, and when to give up; no server, no real time."""

import pytest

from dropscale.magichour import (
    DeadlinePassed,
    MagicHourError,
    NotFound,
    Polling,
    Project,
    ServerFault,
    Throttled,
    UnknownProjectStatus,
)
from dropscale.magichour.client import run
from dropscale.magichour.polling import wait_until_final
from dropscale.upscaler import ProjectStatus


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def seen_as(status: ProjectStatus, **fields: object) -> Project:
    return Project.model_validate({"id": "p1", "status": status, **fields})


EMPTY = seen_as(ProjectStatus.COMPLETE)
DOWNLOADS = [{"url": "https://storage.example/output.png"}]


def wait(
    clock: Clock,
    *seen: ProjectStatus | Project | MagicHourError,
    interval: float | None = 3.0,
    deadline: float = 1800.0,
) -> Project:
    """Wait for a project that shows the statuses `seen` one after the other; the last one stays."""
    script = list(seen)

    async def look() -> Project:
        now = script.pop(0) if len(script) > 1 else script[0]
        if isinstance(now, MagicHourError):
            raise now
        return now if isinstance(now, Project) else seen_as(now, downloads=DOWNLOADS)

    polling = Polling(
        interval=interval,
        deadline=deadline,
        max_backoff=30.0,
        monotonic=lambda: clock.now,
        jitter=lambda: 0.5,
    )
    return run(wait_until_final(look, clock.sleep, "p1", polling))


@pytest.mark.parametrize(
    "final", [ProjectStatus.COMPLETE, ProjectStatus.ERROR, ProjectStatus.CANCELED]
)
def test_a_final_status_ends_the_wait(final: ProjectStatus) -> None:
    clock = Clock()
    assert wait(clock, ProjectStatus.QUEUED, ProjectStatus.RENDERING, final).status is final
    assert clock.pauses == [3.0, 3.0]


@pytest.mark.parametrize("status", [ProjectStatus.DRAFT, ProjectStatus.RENDERING])
def test_the_deadline_ends_what_never_becomes_final(status: ProjectStatus) -> None:
    clock = Clock()
    with pytest.raises(DeadlinePassed, match=f"last seen: {status}") as caught:
        wait(clock, status, deadline=10.0)
    assert clock.pauses == [3.0, 3.0, 3.0, 1.0]
    assert caught.value.project_id == "p1"
    assert "image_projects.check_result(id='p1', " in str(caught.value)


def test_transient_errors_back_off_up_to_a_bound_and_restart_after_an_answer() -> None:
    clock = Clock()
    fault = ServerFault("GET /v1/image-projects/p1", status=500)
    wait(clock, *[fault] * 5, ProjectStatus.RENDERING, fault, ProjectStatus.COMPLETE)
    assert clock.pauses == [4.5, 9.0, 18.0, 22.5, 22.5, 3.0, 4.5]


@pytest.mark.parametrize("passing", [ServerFault("GET"), UnknownProjectStatus("GET"), EMPTY])
def test_passing_answers_are_no_verdicts(passing: Project | MagicHourError) -> None:
    clock = Clock()
    done = wait(clock, passing, passing, EMPTY, ProjectStatus.RENDERING, ProjectStatus.COMPLETE)
    assert done.downloads
    assert clock.pauses == [4.5, 9.0, 18.0, 3.0]


def test_a_complete_project_whose_downloads_never_come_meets_the_deadline() -> None:
    with pytest.raises(DeadlinePassed, match="last seen: complete, without downloads"):
        wait(Clock(), EMPTY)


def test_a_deleted_project_has_no_downloads_to_wait_for() -> None:
    clock = Clock()
    assert wait(clock, seen_as(ProjectStatus.COMPLETE, enabled=False)).downloads == []
    assert clock.pauses == []


def test_the_api_may_ask_for_a_longer_pause() -> None:
    clock = Clock()
    throttled = Throttled("GET /v1/image-projects/p1", status=429, retry_after=60.0)
    wait(clock, throttled, ProjectStatus.COMPLETE)
    assert clock.pauses == [60.0]


def test_errors_that_never_end_meet_the_deadline() -> None:
    clock = Clock()
    with pytest.raises(DeadlinePassed, match="last seen: ServerFault"):
        wait(clock, ServerFault("GET /v1/image-projects/p1"), deadline=100_000.0)
    assert max(clock.pauses) == 22.5


def test_other_errors_end_the_wait_at_once() -> None:
    clock = Clock()
    with pytest.raises(NotFound):
        wait(clock, ProjectStatus.QUEUED, NotFound("GET /v1/image-projects/p1", status=404))
    assert clock.pauses == [3.0]


def test_the_interval_comes_from_the_environment_as_it_is_when_the_wait_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    monkeypatch.setenv("MAGIC_HOUR_POLL_INTERVAL", "0.25")
    wait(clock, ProjectStatus.QUEUED, ProjectStatus.COMPLETE, interval=None)
    monkeypatch.delenv("MAGIC_HOUR_POLL_INTERVAL")
    wait(clock, ProjectStatus.QUEUED, ProjectStatus.COMPLETE, interval=None)
    assert clock.pauses == [0.25, 3.0]


@pytest.mark.parametrize("value", ["", "soon", "0", "-1", "nan", "inf"])
def test_a_wrong_interval_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("MAGIC_HOUR_POLL_INTERVAL", value)
    with pytest.raises(ValueError, match=f"MAGIC_HOUR_POLL_INTERVAL is '{value}'"):
        wait(Clock(), ProjectStatus.COMPLETE, interval=None)
