"""A vendor in virtual time that keeps a book of what it made and charged: the judge of a run."""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import repeat
from typing import Any, BinaryIO

from dropscale import upscaler
from dropscale.magichour import errors
from dropscale.magichour.models import CreatedProject, Project
from dropscale.upscaler import Mode, ProjectStatus
from tests.fakes import Clock, png

_CREATE = "POST /v1/ai-image-upscaler"


class Answer(StrEnum):
    """What a create call is answered with."""

    CREATED = "created"
    LOST = "created, and the answer lost"
    THROTTLED = "429"
    UNAUTHORIZED = "401"
    UNAVAILABLE = "503"


_REFUSALS: dict[Answer, Callable[[], Exception]] = {
    Answer.THROTTLED: lambda: errors.Throttled(_CREATE, status=429),
    Answer.UNAUTHORIZED: lambda: errors.Unauthorized(_CREATE, status=401),
    Answer.UNAVAILABLE: lambda: errors.Unavailable(_CREATE, status=503),
}


@dataclass(frozen=True)
class Plan:
    """What becomes of a project: when it ends, in seconds from its create, and how."""

    seconds: float = 22.0
    verdict: ProjectStatus = ProjectStatus.COMPLETE


@dataclass(frozen=True)
class Entry:
    """A project in the book. `token` is fingerprint (its start) and attempt, out of its name."""

    id: str
    token: str
    credits: int
    created_at: datetime
    ends_at: datetime
    verdict: ProjectStatus

    @property
    def fingerprint(self) -> str:
        """The first eight digits of the job's fingerprint."""
        return self.token.partition("-")[0]

    def is_refunded(self, now: datetime) -> bool:
        """Whether the credits were given back."""
        return self.verdict is ProjectStatus.ERROR and self.ends_at <= now


@dataclass
class Vendor:
    """Takes uploads and creates, with `places` for projects that run at once (None: endless)."""

    clock: Clock
    answers: Iterator[Answer] = field(default_factory=lambda: repeat(Answer.CREATED))
    plans: Iterator[Plan] = field(default_factory=lambda: repeat(Plan()))
    places: int | None = None
    book: dict[str, Entry] = field(default_factory=dict)
    paid_twice: list[str] = field(default_factory=list)
    refusals: int = 0
    _uploads: int = 0
    _running: list[datetime] = field(default_factory=list)
    _unrefunded: dict[str, Entry] = field(default_factory=dict)

    def upload(self, file: BinaryIO, extension: str) -> str:
        file.read()
        self._uploads += 1
        return f"api-assets/{self._uploads}.{extension}"

    def create(self, image_path: str, parameters: dict[str, Any], name: str) -> CreatedProject:
        answer = next(self.answers, Answer.CREATED)
        if self._is_full():
            answer = Answer.THROTTLED
        if answer in _REFUSALS:
            self.refusals += 1
            raise _REFUSALS[answer]()
        price = upscaler.price(parameters["scale_factor"], Mode(parameters["mode"]))
        entry = self._entered(name.rpartition("[")[2].rstrip("]"), price)
        if answer is Answer.LOST:
            raise errors.CreateOutcomeUnknown(_CREATE, cause_name="ConnectionLost")
        return CreatedProject(id=entry.id, credits_charged=entry.credits)

    def project(self, project_id: str) -> Project:
        entry = self.book.get(project_id)
        if entry is None:
            raise errors.NotFound(f"GET /v1/image-projects/{project_id}", status=404)
        now = self.clock()
        if entry.ends_at > now:
            return Project(
                id=entry.id, status=ProjectStatus.RENDERING, credits_charged=entry.credits
            )
        is_complete = entry.verdict is ProjectStatus.COMPLETE
        answer = {
            "id": entry.id,
            "status": entry.verdict,
            "credits_charged": 0 if entry.is_refunded(now) else entry.credits,
            "downloads": [{"url": f"https://vendor.example/{entry.id}"}] if is_complete else [],
        }
        return Project.model_validate(answer)

    def download(self, url: str, file: BinaryIO) -> int:
        return file.write(self.result(url.rpartition("/")[2]))

    def result(self, project_id: str) -> bytes:
        """Return the image that a project brings; the next 249 projects bring others."""
        return png(16, 12, int(project_id.partition("-")[2]) % 250)

    def charged(self) -> int:
        """Return the credits taken and not given back."""
        now = self.clock()
        return sum(entry.credits for entry in self.book.values() if not entry.is_refunded(now))

    def _is_full(self) -> bool:
        while self._running and self._running[0] <= self.clock():
            heapq.heappop(self._running)
        return self.places is not None and len(self._running) >= self.places

    def _entered(self, token: str, price: int) -> Entry:
        plan, now = next(self.plans, Plan()), self.clock()
        ends_at = now + timedelta(seconds=plan.seconds)
        entry = Entry(f"project-{len(self.book) + 1}", token, price, now, ends_at, plan.verdict)
        earlier = self._unrefunded.get(entry.fingerprint)
        if earlier is not None and not earlier.is_refunded(now):
            self.paid_twice.append(f"{earlier.id} [{earlier.token}] and {entry.id} [{token}]")
        self._unrefunded[entry.fingerprint] = self.book[entry.id] = entry
        heapq.heappush(self._running, ends_at)
        return entry
