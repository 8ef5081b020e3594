"""A vendor in virtual time that keeps a book of what it made and charged: the judge of a run."""

import heapq
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import repeat
from typing import Any, BinaryIO, TypeVar

from dropscale import upscaler
from dropscale.magichour import calls, errors
from dropscale.magichour.models import Account, CreatedProject, Project
from dropscale.upscaler import Mode, ProjectStatus
from tests.chaos.misbehaviour import THROTTLED, WELL, Fault
from tests.fakes import Clock, png

_T = TypeVar("_T")


@dataclass(frozen=True)
class Spell:
    """For `seconds` from `begin` on, calls are answered so; counted from a project's create.

    Of a whole vendor: from the begin of its story.
    """

    fault: Fault
    begin: float
    seconds: float

    def covers(self, age: timedelta) -> bool:
        """Whether it is on at that age."""
        return self.begin <= age.total_seconds() < self.begin + self.seconds

    def __str__(self) -> str:
        return f"{self.fault} from {self.begin:.0f} s for {self.seconds:.0f} s"


@dataclass(frozen=True)
class Plan:
    """What becomes of a project: when it ends, in seconds from its create, and how.

    `looks` and `downloads` say how calls about it are answered meanwhile, `gone` when the vendor
    deletes it for good.
    """

    seconds: float = 22.0
    verdict: ProjectStatus = ProjectStatus.COMPLETE
    refunds: bool = True
    looks: Sequence[Spell] = ()
    downloads: Sequence[Spell] = ()
    gone: float | None = None


@dataclass(frozen=True)
class Trouble:
    """A spell that befalls all calls of some kinds: create, project, download, upload, account."""

    kinds: Sequence[str]
    spell: Spell

    def __str__(self) -> str:
        return f"{' '.join(self.kinds)}: {self.spell}"


@dataclass(frozen=True)
class Entry:
    """A project in the book. `token` is fingerprint (its start) and attempt, out of its name."""

    id: str
    name: str
    credits: int
    created_at: datetime
    plan: Plan
    is_deleted: bool = False
    """Whether we have deleted it."""

    @property
    def token(self) -> str:
        """The token in its name."""
        return self.name.rpartition("[")[2].rstrip("]")

    @property
    def fingerprint(self) -> str:
        """The first eight digits of the job's fingerprint."""
        return self.token.partition("-")[0]

    @property
    def ends_at(self) -> datetime:
        """When it gets its verdict."""
        return self.created_at + timedelta(seconds=self.plan.seconds)

    @property
    def well_at(self) -> datetime:
        """When it has its verdict, and every call about it is answered rightly."""
        spells = (*self.plan.looks, *self.plan.downloads)
        seconds = [self.plan.seconds, self.plan.gone or 0, *(s.begin + s.seconds for s in spells)]
        return self.created_at + timedelta(seconds=max(seconds))

    def is_refunded(self, now: datetime) -> bool:
        """Whether the credits were refunded."""
        is_error = self.plan.verdict is ProjectStatus.ERROR
        return is_error and self.plan.refunds and self.ends_at <= now

    def is_gone(self, now: datetime) -> bool:
        """Whether the vendor has deleted it, or we have."""
        gone = self.plan.gone
        is_due = gone is not None and self.created_at + timedelta(seconds=gone) <= now
        return self.is_deleted or is_due

    def has_result(self, now: datetime) -> bool:
        """Whether there is an image to be had."""
        is_complete = self.plan.verdict is ProjectStatus.COMPLETE and self.ends_at <= now
        return is_complete and not self.is_gone(now)


@dataclass
class Vendor:
    """Accepts uploads and creates, with `places` for concurrent projects (None: unlimited).

    `replies` are the answers to the first creates, `plans` what becomes of the first projects.
    """

    clock: Clock
    replies: Iterator[Fault] = field(default_factory=lambda: repeat(WELL))
    plans: Iterator[Plan] = field(default_factory=lambda: repeat(Plan()))
    places: int | None = None
    tiers: Sequence[tuple[float, str]] = ((0.0, "creator"),)
    """The account's tier from so many seconds after the begin on."""
    troubles: Sequence[Trouble] = ()
    book: dict[str, Entry] = field(default_factory=dict)
    refusals: int = 0
    claimed: int = 0
    """Credits that it reported as charged for projects that it did not create."""
    on_made: Callable[["Entry"], None] = lambda _: None
    """Receives each new project."""
    _uploads: int = 0
    _read_before: dict[tuple[int, str, str, int], Project] = field(default_factory=dict)
    """What was read from the same answer, of which a project has few."""
    _running: list[datetime] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.begin = self.clock()

    def upload(self, file: BinaryIO, extension: str) -> str:
        file.read()
        self._uploads += 1
        path = f"api-assets/{self._uploads}.{extension}"
        right = {"items": [{"upload_url": "https://vendor.example/u", "file_path": path}]}
        call = calls.create_upload_urls([{"type": "image", "extension": extension}])
        return _read(call, self._trouble("upload") or WELL, right).items[0].file_path

    def create(self, image_path: str, parameters: dict[str, Any], name: str) -> CreatedProject:
        call = calls.create_upscale({"image_file_path": image_path}, 2, None, name)
        fault = self._trouble("create") or next(self.replies, WELL)
        if self._is_full():
            fault = THROTTLED
        price = upscaler.price(parameters["scale_factor"], Mode(parameters["mode"]))
        right: dict[str, Any] = {}
        if fault.repeats_id and self.book:
            right = {"id": next(reversed(self.book)), "credits_charged": price}
            self.claimed += price
        elif fault.makes or fault.repeats_id:
            entry = self._entered(name, price)
            right = {"id": entry.id, "credits_charged": price, "frame_cost": price}
        else:
            self.refusals += 1
        try:
            return _read(call, fault, right)
        except errors.MagicHourError as error:
            raise call.failure(error) from None

    def project(self, project_id: str) -> Project:
        trouble, entry, now = self._trouble("project"), self.book.get(project_id), self.clock()
        if trouble is not None:
            return _read(calls.get_project(project_id), trouble, {})
        if entry is None or entry.is_gone(now):
            raise errors.NotFound(f"GET /v1/image-projects/{project_id}", status=404)
        fault = _on(entry.plan.looks, now - entry.created_at) or WELL
        told = _told(entry, now)
        answer = (id(fault), project_id, told["status"], told["credits_charged"])
        if answer not in self._read_before:
            self._read_before[answer] = _read(calls.get_project(project_id), fault, told)
        return self._read_before[answer]

    def delete(self, project_id: str) -> None:
        call = calls.delete_project(project_id)
        trouble, entry = self._trouble("delete"), self.book.get(project_id)
        if trouble is not None:
            _read(call, trouble, {})
        if entry is None or entry.is_gone(self.clock()):
            raise errors.NotFound(call.label, status=404)
        self.book[project_id] = replace(entry, is_deleted=True)

    def download(self, url: str, file: BinaryIO) -> int:
        entry, now = self.book[url.rpartition("/")[2]], self.clock()
        spell = _on(entry.plan.downloads, now - entry.created_at)
        fault = self._trouble("download") or spell or WELL
        if entry.is_gone(now):
            raise errors.TransferFailed("GET vendor.example", status=404)
        if fault.error is not None or fault.status != 200:
            raise errors.TransferFailed("GET vendor.example", status=fault.status)
        result = self.result(entry.id)
        whole = result if fault.body is None else fault.body
        return file.write(whole[: int(len(whole) * fault.keeps)])

    def account(self) -> Account:
        trouble, tier = self._trouble("account") or WELL, self.tier()
        right = {"id": "account", "credits": 10_000, "tier": tier, "subscription": None}
        return _read(calls.get_account(), trouble, right)

    def tier(self) -> str:
        """Return the account's tier now."""
        age = (self.clock() - self.begin).total_seconds()
        return next(tier for since, tier in reversed(self.tiers) if since <= age)

    def result(self, project_id: str) -> bytes:
        """Return the image that a project brings; the next 249 projects bring others."""
        return png(16, 12, int(re.sub(r"\D", "", project_id)) % 250)

    def charged(self) -> int:
        """Return the credits charged and not refunded."""
        now = self.clock()
        return sum(entry.credits for entry in self.book.values() if not entry.is_refunded(now))

    def paid_twice(self) -> list[str]:
        """Return which work is paid more than once now."""
        paid: dict[str, list[str]] = {}
        for entry in self.book.values():
            if not entry.is_refunded(self.clock()):
                paid.setdefault(entry.fingerprint, []).append(f"{entry.id} [{entry.token}]")
        return [" and ".join(projects) for projects in paid.values() if len(projects) > 1]

    def well_at(self) -> datetime:
        """Return when every project that there is has ended, and every call is answered rightly."""
        spells = [trouble.spell for trouble in self.troubles]
        last = max((spell.begin + spell.seconds for spell in spells), default=0.0)
        ends = [entry.well_at for entry in self.book.values()]
        return max([self.begin + timedelta(seconds=last), *ends])

    def _trouble(self, kind: str) -> Fault | None:
        spells = [trouble.spell for trouble in self.troubles if kind in trouble.kinds]
        return _on(spells, self.clock() - self.begin)

    def _is_full(self) -> bool:
        while self._running and self._running[0] <= self.clock():
            heapq.heappop(self._running)
        return self.places is not None and len(self._running) >= self.places

    def _entered(self, name: str, price: int) -> Entry:
        plan = next(self.plans, Plan())
        entry = Entry(f"project-{len(self.book) + 1}", name, price, self.clock(), plan)
        self.book[entry.id] = entry
        heapq.heappush(self._running, entry.ends_at)
        self.on_made(entry)
        return entry


def _on(spells: Sequence[Spell], age: timedelta) -> Fault | None:
    return next((spell.fault for spell in spells if spell.covers(age)), None)


def _told(entry: Entry, now: datetime) -> Mapping[str, Any]:
    """Return what a project's answer rightly says."""
    told: dict[str, Any] = {
        "id": entry.id,
        "name": entry.name,
        "type": upscaler.PROJECT_TYPE,
        "status": entry.plan.verdict if entry.ends_at <= now else ProjectStatus.RENDERING,
        "enabled": True,
        "credits_charged": 0 if entry.is_refunded(now) else entry.credits,
        "downloads": [],
        "error": None,
    }
    if entry.has_result(now):
        told["downloads"] = [{"url": f"https://vendor.example/{entry.id}"}]
    if told["status"] is ProjectStatus.ERROR:
        told["error"] = {"code": "invalid_parameters", "message": "It could not be made"}
    return told


def _read(call: calls.Call[_T], fault: Fault, right: Mapping[str, Any]) -> _T:
    """Return what the client library makes of an answer."""
    return call.parse(fault.answer(right))
