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


QUEUED, RENDERING, COMPLETE, ERROR, CANCELED = (
    ProjectStatus(name) for name in ("queued", "rendering", "complete", "error", "canceled")
)
EMPTY = seen_as(COMPLETE)
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


FAULT = ServerFault("GET /v1/image-projects/p1", status=500)
WAITS: dict[str, tuple[list[ProjectStatus | Project | MagicHourError], list[float]]] = {
    **{final: ([QUEUED, RENDERING, final], [3.0, 3.0]) for final in (COMPLETE, ERROR, CANCELED)},
    "errors back off up to a bound and restart after an answer": (
        [*[FAULT] * 5, RENDERING, FAULT, COMPLETE],
        [4.5, 9.0, 18.0, 22.5, 22.5, 3.0, 4.5],
    ),
    **{
        f"no verdict: {type(passing).__name__}": (
            [passing, passing, EMPTY, RENDERING, COMPLETE],
            [4.5, 9.0, 18.0, 3.0],
        )
        for passing in (ServerFault("GET"), UnknownProjectStatus("GET"), EMPTY)
    },
    "a deleted project has no downloads to wait for": ([seen_as(COMPLETE, enabled=False)], []),
    "the API may ask for a longer pause": (
        [Throttled("GET /v1/image-projects/p1", status=429, retry_after=60.0), COMPLETE],
        [60.0],
    ),
}


@pytest.mark.parametrize("name", WAITS)
def test_the_pauses_until_a_final_status(name: str) -> None:
    clock, (seen, pauses) = Clock(), WAITS[name]
    done = wait(clock, *seen)
    assert clock.pauses == pauses
    assert done.status is (seen[-1] if isinstance(seen[-1], ProjectStatus) else COMPLETE)
    assert bool(done.downloads) is ("deleted" not in name)


@pytest.mark.parametrize(
    ("seen", "deadline", "last", "pauses"),
    [
        (ProjectStatus.DRAFT, 10.0, "draft", [3.0, 3.0, 3.0, 1.0]),
        (RENDERING, 10.0, "rendering", [3.0, 3.0, 3.0, 1.0]),
        (EMPTY, 20.0, "complete, without downloads", [4.5, 9.0, 6.5]),
        (FAULT, 60.0, "ServerFault", [4.5, 9.0, 18.0, 22.5, 6.0]),
    ],
)
def test_the_deadline_ends_what_never_becomes_final(
    seen: ProjectStatus | Project | MagicHourError, deadline: float, last: str, pauses: list[float]
) -> None:
    clock = Clock()
    with pytest.raises(DeadlinePassed, match=f"last seen: {last}") as caught:
        wait(clock, seen, deadline=deadline)
    assert clock.pauses == pauses
    assert caught.value.project_id == "p1"
    assert "image_projects.check_result(id='p1', " in str(caught.value)


def test_other_errors_end_the_wait_at_once() -> None:
    clock = Clock()
    with pytest.raises(NotFound):
        wait(clock, QUEUED, NotFound("GET /v1/image-projects/p1", status=404))
    assert clock.pauses == [3.0]


def test_the_interval_comes_from_the_environment_as_it_is_when_the_wait_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    monkeypatch.setenv("MAGIC_HOUR_POLL_INTERVAL", "0.25")
    wait(clock, QUEUED, COMPLETE, interval=None)
    monkeypatch.delenv("MAGIC_HOUR_POLL_INTERVAL")
    wait(clock, QUEUED, COMPLETE, interval=None)
    assert clock.pauses == [0.25, 3.0]


@pytest.mark.parametrize("value", ["", "soon", "0", "-1", "nan", "inf"])
def test_a_wrong_interval_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("MAGIC_HOUR_POLL_INTERVAL", value)
    with pytest.raises(ValueError, match=f"MAGIC_HOUR_POLL_INTERVAL is '{value}'"):
        wait(Clock(), COMPLETE, interval=None)
