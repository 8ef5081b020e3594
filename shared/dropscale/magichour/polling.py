"""Waits for a project: when to look again, and when to give up."""

import math
import os
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from dropscale.magichour.errors import TRANSIENT, DeadlinePassed, MagicHourError
from dropscale.magichour.models import Project
from dropscale.upscaler import FINAL_STATUSES, ProjectStatus

INTERVAL_VARIABLE = "MAGIC_HOUR_POLL_INTERVAL"
DEFAULT_INTERVAL = 3.0
"""Seconds between two looks; the vendor asks for 3 to 10."""


@dataclass(frozen=True)
class Polling:
    """Rules of waiting, in seconds.

    Attributes:
        interval: the time between two looks; None: MAGIC_HOUR_POLL_INTERVAL, the variable of the
            vendor's SDK, read when a wait begins, else `DEFAULT_INTERVAL`.
        deadline: the longest wait in all.
        max_backoff: the longest pause after transient errors, unless the API asks for more.
        monotonic: the clock of the deadline.
        jitter: returns a random number from 0 to 1.
    """

    interval: float | None = None
    deadline: float = 1800.0
    max_backoff: float = 30.0
    monotonic: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random


class Schedule:
    """One wait for one project, without I/O: calculates the pause before the next look."""

    def __init__(self, polling: Polling, project_id: str) -> None:
        self._polling = polling
        self._project_id = project_id
        self._interval = poll_interval(polling)
        self._end = polling.monotonic() + polling.deadline
        self._failures = 0

    def pause_after(self, seen: Project | MagicHourError) -> float:
        """Return the seconds to pause after a project that is not final, or a transient error.

        Pauses grow while answers in a row are temporary: transient errors, and a project that is
        complete but has no downloads yet.

        Raises:
            DeadlinePassed: the time is up.
        """
        pause = self._interval
        if isinstance(seen, MagicHourError) or seen.status is ProjectStatus.COMPLETE:
            self._failures += 1
            # Up to twice 2**10 intervals: beyond that only the limit counts.
            backoff = min(self._polling.max_backoff, pause * 2 ** min(self._failures, 10))
            pause = backoff * (1 + self._polling.jitter()) / 2
            if isinstance(seen, MagicHourError):
                pause = max(pause, seen.retry_after or 0)
        else:
            self._failures = 0
        left = self._end - self._polling.monotonic()
        if left <= 0:
            raise DeadlinePassed(
                f"GET /v1/image-projects/{self._project_id}",
                project_id=self._project_id,
                message=f"last seen: {_describe_look(seen)}",
            )
        return min(pause, left)


async def wait_until_final(
    look: Callable[[], Awaitable[Project]],
    sleep: Callable[[float], Awaitable[None]],
    project_id: str,
    polling: Polling,
) -> Project:
    """Look at a project until it is error, canceled, or complete with its downloads.

    Transient errors do not end the wait. A deleted project (`enabled` is False) will have no
    downloads, so it is final.

    Raises:
        DeadlinePassed: the time is up.
        MagicHourError: any error that is not transient.
    """
    schedule = Schedule(polling, project_id)
    while True:
        seen: Project | MagicHourError
        try:
            seen = await look()
        except TRANSIENT as error:
            seen = error
        if isinstance(seen, Project) and _is_final(seen):
            return seen
        await sleep(schedule.pause_after(seen))


def _is_final(project: Project) -> bool:
    if project.status is not ProjectStatus.COMPLETE:
        return project.status in FINAL_STATUSES
    return bool(project.downloads) or project.enabled is False


def _describe_look(seen: Project | MagicHourError) -> str:
    if isinstance(seen, MagicHourError):
        return type(seen).__name__
    if seen.status is ProjectStatus.COMPLETE:
        return "complete, without downloads"
    return seen.status


def poll_interval(polling: Polling) -> float:
    """Return the seconds between two looks.

    Raises:
        ValueError: the setting is not a positive number.
    """
    if polling.interval is not None:
        text, source = str(polling.interval), "the polling interval"
    else:
        text, source = os.environ.get(INTERVAL_VARIABLE, str(DEFAULT_INTERVAL)), INTERVAL_VARIABLE
    try:
        interval = float(text)
    except ValueError:
        interval = math.nan
    if not 0 < interval < math.inf:
        raise ValueError(f"{source} is {text!r}; it must be a number of seconds above 0")
    return interval
