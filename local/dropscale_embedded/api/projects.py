"""The account: its projects, its credits, and the book of creates, charges and refunds.

Only state: no HTTP, no files, no threads. Every class may be used by many threads.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from secrets import token_hex
from threading import Lock
from types import MappingProxyType
from typing import Any, Protocol, Self

from dropscale.upscaler import (
    CONCURRENT_JOBS,
    FINAL_STATUSES,
    TIERS_WITHOUT_4X,
    Mode,
    ProjectStatus,
    price,
)

Clock = Callable[[], datetime]
"""Returns the current time, in UTC."""

Listener = Callable[["Project"], None]
"""Told each new state of a project, while the account is locked."""

_UNFINISHED = frozenset({ProjectStatus.QUEUED, ProjectStatus.RENDERING})


class Tier(StrEnum):
    """The account's plan. `free` does not include 4x."""

    FREE = "free"
    CREATOR = "creator"
    PRO = "pro"
    BUSINESS = "business"


CONCURRENT_JOBS_BY_TIER = MappingProxyType({Tier.FREE: 1, **CONCURRENT_JOBS})
"""Jobs that a tier runs at once; for `free` the vendor states no number, and 1 is our choice."""


class OutOfCredits(Exception):
    """The account has fewer credits than the upscale costs."""


class TooManyJobs(Exception):
    """The account already has as many unfinished jobs as it may have."""


class PlanRefused(Exception):
    """The account's plan does not include this upscale."""


class UnknownProject(Exception):
    """The account has no such project, or it was deleted."""


@dataclass(frozen=True, slots=True)
class UpscaleParams:
    """The parameters of an upscale. The prompt is used only in creative mode."""

    scale_factor: int
    mode: Mode
    prompt: str | None = None


@dataclass(frozen=True, slots=True)
class ProjectError:
    """Why a project failed; `code` is one of the vendor's documented codes where one fits."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Project:
    """An immutable snapshot of a project.

    Attributes:
        image_path: `assets.image_file_path` of the create call.
        credits_charged: 0 again after a refund.
        status: a `ProjectStatus`, unless a fault invented another.
    """

    id: str
    name: str
    params: UpscaleParams
    image_path: str
    created_at: datetime
    credits_charged: int
    status: str = ProjectStatus.QUEUED
    error: ProjectError | None = None


class EntryKind(StrEnum):
    """The kind of an entry in the book."""

    CREATE = "create"
    """A valid create call arrived; it was refused if there is no charge of the same project."""
    CHARGE = "charge"
    REFUND = "refund"


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry in the book; `credits` is the price, whatever the kind."""

    kind: EntryKind
    project_id: str
    name: str
    params: UpscaleParams
    image_path: str
    credits: int
    at: datetime

    @classmethod
    def about(cls, project: Project, kind: EntryKind, at: datetime) -> Self:
        """Return an entry for a project at its full price."""
        return cls(
            kind=kind,
            project_id=project.id,
            name=project.name,
            params=project.params,
            image_path=project.image_path,
            credits=_price(project.params),
            at=at,
        )


class Keeper(Protocol):
    """Stores an account beyond the process. Each call takes effect entirely or not at all."""

    def projects(self) -> list[Project]:
        """Return the projects, oldest first."""

    def entries(self) -> list[Entry]:
        """Return the book's entries, oldest first."""

    def keep(self, project: Project | None, *entries: Entry) -> None:
        """Store a project and new entries."""

    def forget(self, project_id: str) -> None:
        """Remove a project."""


class Book:
    """All creates, charges and refunds, in order. Nothing is ever removed."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._entries: list[Entry] = []

    def write(self, entries: Iterable[Entry]) -> None:
        """Add entries."""
        with self._lock:
            self._entries.extend(entries)

    def entries(self, kind: EntryKind | None = None) -> tuple[Entry, ...]:
        """Return the entries of one kind, or all of them."""
        with self._lock:
            return tuple(entry for entry in self._entries if kind in (None, entry.kind))

    @property
    def credits_spent(self) -> int:
        """All charges minus all refunds."""
        sign = {EntryKind.CREATE: 0, EntryKind.CHARGE: 1, EntryKind.REFUND: -1}
        return sum(sign[entry.kind] * entry.credits for entry in self.entries())


class Projects:
    """The projects of one account, from their create call to their deletion."""

    def __init__(
        self,
        *,
        credits_granted: int,
        tier: Tier,
        clock: Clock,
        concurrent_jobs: int | None = None,
        changed: Listener = lambda _: None,
    ) -> None:
        """Open an account that may have `concurrent_jobs` unfinished jobs; None: any number."""
        self._changed = changed
        self.book = Book()
        self.tier = tier
        self._concurrent_jobs = concurrent_jobs
        self._credits_granted = credits_granted
        self._clock = clock
        self._lock = Lock()
        self._projects: dict[str, Project] = {}
        self._keeper: Keeper | None = None

    def restore(self, keeper: Keeper) -> list[Project]:
        """Continue from a stored account, and store all changes; return the unfinished projects."""
        with self._lock:
            self._keeper = keeper
            self._projects = {project.id: project for project in keeper.projects()}
            self.book.write(keeper.entries())
            return [item for item in self._projects.values() if item.status in _UNFINISHED]

    @property
    def credits_left(self) -> int:
        """The credits that the account can still spend."""
        return self._credits_granted - self.book.credits_spent

    def create(self, params: UpscaleParams, *, image_path: str, name: str | None) -> Project:
        """Charge the credits and return the new, queued project.

        Raises:
            PlanRefused: a free account asked for 4x.
            TooManyJobs: the account has as many unfinished jobs as it may have.
            OutOfCredits: there are not enough credits.
        """
        now = self._clock()
        project = Project(
            id=f"embedded{token_hex(8)}",
            name=name or f"Image Upscaler - {now:%Y-%m-%d %H:%M:%S}",
            params=params,
            image_path=image_path,
            created_at=now,
            credits_charged=_price(params),
        )
        with self._lock:
            self._record(None, Entry.about(project, EntryKind.CREATE, now))
            if params.scale_factor == 4 and self.tier in TIERS_WITHOUT_4X:
                raise PlanRefused("4x upscale is only available on Creator, Pro, or Business tier")
            self._require_room()
            if self.credits_left < project.credits_charged:
                raise OutOfCredits(
                    f"The upscale costs {project.credits_charged} credits;"
                    f" the account has {self.credits_left}"
                )
            self._record(project, Entry.about(project, EntryKind.CHARGE, now))
        return project

    def get(self, project_id: str) -> Project:
        """Return the project as it is now.

        Raises:
            UnknownProject: it does not exist, or was deleted.
        """
        with self._lock:
            return self._get(project_id)

    def start(self, project_id: str) -> Project:
        """Record that the project is being rendered.

        Raises:
            UnknownProject: it was deleted.
        """
        with self._lock:
            return self._change(project_id, status=ProjectStatus.RENDERING)

    def complete(self, project_id: str) -> None:
        """Record that the project's output can be downloaded.

        Raises:
            UnknownProject: it was deleted.
        """
        with self._lock:
            self._change(project_id, status=ProjectStatus.COMPLETE)

    def hold(self, project_id: str, status: str) -> None:
        """Give the project a final status; nothing is refunded.

        Raises:
            UnknownProject: it was deleted.
        """
        with self._lock:
            self._change(project_id, status=status)

    def fail(self, project_id: str, error: ProjectError) -> None:
        """End the project in error and refund its credits.

        Raises:
            UnknownProject: it was deleted; its credits stay spent.
        """
        now = self._clock()
        with self._lock:
            refund = Entry.about(self._get(project_id), EntryKind.REFUND, now)
            self._change(
                project_id, refund, status=ProjectStatus.ERROR, error=error, credits_charged=0
            )

    def delete(self, project_id: str) -> None:
        """Forget the project.

        Raises:
            UnknownProject: there is none.
        """
        with self._lock:
            self._get(project_id)
            if self._keeper:
                self._keeper.forget(project_id)
            del self._projects[project_id]

    # The methods below need the lock.

    def _require_room(self) -> None:
        if self._concurrent_jobs is None:
            return
        running = sum(one.status not in FINAL_STATUSES for one in self._projects.values())
        if running >= self._concurrent_jobs:
            raise TooManyJobs(
                f"The account runs {self._concurrent_jobs} jobs at once; wait for one"
            )

    def _get(self, project_id: str) -> Project:
        try:
            return self._projects[project_id]
        except KeyError:
            raise UnknownProject(f"There is no image project {project_id}") from None

    def _change(self, project_id: str, *entries: Entry, **changes: Any) -> Project:
        project = replace(self._get(project_id), **changes)
        self._record(project, *entries)
        self._changed(project)
        return project

    def _record(self, project: Project | None, *entries: Entry) -> None:
        if self._keeper:
            self._keeper.keep(project, *entries)
        if project:
            self._projects[project.id] = project
        self.book.write(entries)


def _price(params: UpscaleParams) -> int:
    return price(params.scale_factor, params.mode)
