"""Small hand-written fakes of the use cases' collaborators."""

import hashlib
import io
import json
import struct
import tempfile
import zlib
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO, TypeVar

from dropscale.image.pixels import Comparison, Conversion, ImageFile
from dropscale.ledger.account import KnownAccount
from dropscale.ledger.batches import Batch, BatchLine, Settlement, batch_id
from dropscale.ledger.drops import Drop, NameClaim, Source
from dropscale.ledger.gate import Gate
from dropscale.ledger.jobs import Attempt, Job, KnownProject
from dropscale.ledger.owner import Owner
from dropscale.ledger.rows import Row
from dropscale.ledger.store import (
    MOST_NOTED,
    Agenda,
    Attach,
    BudgetSpent,
    Change,
    ClaimName,
    Detach,
    FreeSlot,
    GateClosed,
    LeaveBatch,
    LedgerConflict,
    Names,
    NameTaken,
    NotOwner,
    ProjectTaken,
    Reference,
    ReleaseName,
    RequireOpenGate,
    RequireOwner,
    SaveBatch,
    SaveDrop,
    SaveHints,
    SaveJob,
    SaveReference,
    SaveSingleton,
    SlotsTaken,
    Spend,
    TakeSlot,
    listing_of,
)
from dropscale.ledger.waiters import Waiter
from dropscale.ledger.walk import Walk
from dropscale.magichour.errors import NotFound
from dropscale.magichour.models import Account, CreatedProject, Project
from dropscale.pipeline.parts.ports import (
    MOST_KEYS,
    MOST_TAGS,
    TAG,
    ExecutionStatus,
    ListedObject,
    ObjectGone,
    ObjectOverwritten,
    ObjectVersion,
    OpenObject,
    OutputLabels,
    StoredOutput,
    TooManyTags,
)
from dropscale.specs.keys import MANIFEST_SUFFIX
from dropscale.upscaler import ProjectStatus


def png_chunk(name: bytes, data: bytes) -> bytes:
    """Return one part of a PNG."""
    checksum = struct.pack(">I", zlib.crc32(name + data))
    return struct.pack(">I", len(data)) + name + data + checksum


def png(width: int = 8, height: int = 6, shade: int = 0) -> bytes:
    """Return a whole grey PNG."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = (b"\0" + bytes([shade]) * width) * height
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*part) for part in parts)


class Clock:
    """A clock that moves only when told to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **amount: float) -> None:
        self.now += timedelta(**amount)


_ONLY: dict[type[Row], str] = {
    **{Gate: "gate_record", Walk: "walk_record", Owner: "owner_record"},
    KnownAccount: "account_record",
}


_SHARES = (Attach, Detach)
_CLAIMS = (ClaimName, ReleaseName)


_Due = dict[Agenda, list[tuple[datetime, str]]]
_Listed = TypeVar("_Listed", bound=Drop | Job | Batch)


class _Rows(dict[str, _Listed]):
    """Rows by name, with an index of what is due, as DynamoDB has one."""

    def __init__(self, due: _Due) -> None:
        super().__init__()
        self._due = due

    def __setitem__(self, name: str, row: _Listed) -> None:
        known = self.get(name)
        if known is not None and (before := listing_of(known)):
            entries = self._due[before[0]]
            del entries[bisect_left(entries, (before[1], name))]
        if listing := listing_of(row):
            entries, entry = self._due[listing[0]], (listing[1], name)
            place = bisect_left(entries, entry)
            if entries[place : place + 1] != [entry]:  # a copy of a ledger begins with its index
                entries.insert(place, entry)
        super().__setitem__(name, row)


class MemoryLedger:
    """A ledger in memory, one transaction at a time."""

    def __init__(self) -> None:
        self.due: _Due = defaultdict(list)
        self.drops: dict[str, Drop] = _Rows(self.due)
        self.jobs: dict[str, Job] = _Rows(self.due)
        self.references: dict[tuple[type[Reference], str], Reference] = {}
        self.gate_record: Gate | None = None
        self.account_record: KnownAccount | None = None
        self.walk_record: Walk | None = None
        self.owner_record: Owner | None = None
        self.attachments: dict[str, list[str]] = {}
        self.taken = 0
        self.credits: dict[str, int] = {}
        self.noted: dict[str, Names] = {}
        self.waiters: dict[tuple[str, ...], Waiter] = {}
        self.batches: dict[str, Batch] = _Rows(self.due)
        self.lines: dict[str, dict[str, BatchLine]] = {}
        self.claims: dict[str, NameClaim] = {}

    def drop(self, drop_id: str) -> Drop | None:
        return self.drops.get(drop_id)

    def known_drops(self, drop_ids: Sequence[str]) -> dict[str, Drop]:
        return {name: self.drops[name] for name in drop_ids if name in self.drops}

    def walk(self) -> Walk | None:
        return self.walk_record

    def job(self, fingerprint: str) -> Job | None:
        return self.jobs.get(fingerprint)

    def attempt(self, token: str) -> Attempt | None:
        assert len(token) < 2000, "DynamoDB refuses such a key"
        found = self.references.get((Attempt, token))
        return found if isinstance(found, Attempt) else None

    def project(self, project_id: str) -> KnownProject | None:
        found = self.references.get((KnownProject, project_id))
        return found if isinstance(found, KnownProject) else None

    def name_claim(self, name: str) -> NameClaim | None:
        return self.claims.get(name)

    def gate(self) -> Gate | None:
        return self.gate_record

    def slots_taken(self) -> int:
        return self.taken

    def account(self) -> KnownAccount | None:
        return self.account_record

    def owner(self) -> Owner | None:
        return self.owner_record

    def is_new(self) -> bool:
        return self.walk_record is None and not self.taken and not self.jobs

    def list_attached(
        self, fingerprint: str, after: str | None = None, limit: int | None = None
    ) -> list[str]:
        attached = sorted(self.attachments.get(fingerprint, []))
        return attached[bisect_right(attached, after or "") :][:limit]

    def list_due(self, agenda: Agenda, before: datetime, limit: int) -> list[str]:
        entries = self.due[agenda]
        return [name for _, name in entries[: min(limit, bisect_left(entries, (before, "")))]]

    def batch(self, batch_id: str) -> Batch | None:
        return self.batches.get(batch_id)

    def has_open_drops(self, batch_id: str) -> bool:
        return any(line.is_open for line in self.lines.get(batch_id, {}).values())

    def batch_lines(self, batch_id: str, after: str | None, limit: int) -> list[BatchLine]:
        lines = sorted(self.lines.get(batch_id, {}).items())
        return [line for drop_id, line in lines if drop_id > (after or "")][:limit]

    def credits_spent(self, window: str) -> int:
        return self.credits.get(window, 0)

    def write(self, *changes: Change) -> None:
        assert changes, "DynamoDB refuses a transaction of nothing"
        rows = [(one.fingerprint, one.drop_id) for one in changes if isinstance(one, _SHARES)]
        rows += [("", one.claim.name) for one in changes if isinstance(one, _CLAIMS)]
        assert len(rows) == len(set(rows)), "DynamoDB refuses two changes of one row"
        for change in changes:
            self._require(change)
        for change in changes:
            self._make(change)

    def names(self, name_id: str) -> Names:
        return self.noted.get(name_id, Names())

    def note_name(self, name_id: str, names: Names) -> Names:
        known = self.names(name_id)
        self.noted[name_id] = Names(known.images | names.images, known.specs | names.specs)
        return self.noted[name_id]

    def note_project(self, token: str, project_id: str) -> None:
        attempt = self.attempt(token)
        if attempt is None or project_id in attempt.noted or len(attempt.noted) >= MOST_NOTED:
            return
        noted = attempt.model_copy(update={"noted": (*attempt.noted, project_id)})
        self.references[_name_of(attempt)] = noted

    def note_manifest_written(self, drop: Drop) -> None:
        known = self.drops[drop.id]
        if known.seq == drop.seq:
            self.drops[drop.id] = known.model_copy(update={"due": None, "news_for": None})

    def save_waiter(self, waiter: Waiter) -> bool:
        known = self.waiters.get(_waiter_key(waiter))
        if known is not None and _is_older(waiter, known):
            return False
        self.waiters[_waiter_key(waiter)] = waiter
        return True

    def list_waiters(self, fingerprint: str, project_id: str, limit: int) -> list[Waiter]:
        asked = (fingerprint, project_id)
        rows = [self.waiters[key] for key in sorted(self.waiters)]
        return [row for row in rows if (row.fingerprint, row.project_id) == asked][:limit]

    def remove_waiter(self, waiter: Waiter) -> None:
        known = self.waiters.get(_waiter_key(waiter))
        if known is not None and not _is_older(waiter, known):
            del self.waiters[_waiter_key(waiter)]

    def _require(self, change: Change) -> None:  # noqa: C901, PLR0912 # each kind of change
        match change:
            case SaveDrop(drop):
                _require_next(self.drops.get(drop.id), drop)
            case SaveJob(job) | SaveHints(job):
                _require_next(self.jobs.get(job.fingerprint), job)
            case SaveBatch(batch):
                _require_next(self.batches.get(batch.id), batch)
            case SaveSingleton(record):
                _require_next(getattr(self, _ONLY[type(record)]), record)
            case RequireOwner(stack_id):
                owned = self.owner_record
                if owned is None or owned.stack_id != stack_id or not owned.is_rebuilt:
                    raise NotOwner
            case SaveReference(reference, replaces):
                there = self.references.get(_name_of(reference))
                if there and there.fingerprint not in {reference.fingerprint, replaces}:
                    raise ProjectTaken
            case ClaimName(claim) | ReleaseName(claim):
                if self.claims.get(claim.name, claim).drop_id != claim.drop_id:
                    taken = isinstance(change, ClaimName)
                    raise NameTaken(claim.name) if taken else LedgerConflict(claim.name)
            case RequireOpenGate() if self.gate_record and not self.gate_record.is_open:
                raise GateClosed
            case TakeSlot(limit) if limit is not None and self.taken >= limit:
                raise SlotsTaken
            case Spend(window, credits, limit):
                if limit is not None and self.credits_spent(window) + credits > limit:
                    raise BudgetSpent(window)

    def _make(self, change: Change) -> None:  # noqa: C901, PLR0912 - one for each kind of change
        match change:
            case SaveDrop(drop):
                self.drops[drop.id] = drop
                if drop.batch is not None:
                    name = batch_id(drop.source.bucket, drop.batch)
                    self.lines.setdefault(name, {})[drop.id] = BatchLine.of(drop)
            case SaveJob(job) | SaveHints(job):
                known = self.jobs.get(job.fingerprint, job)
                is_whole = isinstance(change, SaveJob)
                self.jobs[job.fingerprint] = job if is_whole else _with_hints(known, job)
            case SaveBatch(batch):
                self.batches[batch.id] = batch
            case LeaveBatch(name, drop_id):
                self.lines[name].pop(drop_id, None)
            case SaveSingleton(record):
                setattr(self, _ONLY[type(record)], record)
            case SaveReference(reference):
                there = self.references.get(_name_of(reference))
                if isinstance(reference, Attempt) and isinstance(there, Attempt):
                    reference = reference.model_copy(update={"noted": there.noted})
                self.references[_name_of(reference)] = reference
            case Attach(fingerprint, drop_id):
                attached = self.attachments.setdefault(fingerprint, [])
                if drop_id not in attached:
                    attached.append(drop_id)
            case Detach(fingerprint, drop_id):
                self.attachments[fingerprint].remove(drop_id)
            case ClaimName(claim) | ReleaseName(claim):
                self.claims.pop(claim.name, None)
                self.claims |= {claim.name: claim} if isinstance(change, ClaimName) else {}
            case TakeSlot():
                self.taken += 1
            case FreeSlot():
                self.taken -= 1
            case Spend(window, credits, _):
                self.credits[window] = self.credits_spent(window) + credits
            case RequireOpenGate() | RequireOwner():
                pass


def _is_older(waiter: Waiter, other: Waiter) -> bool:
    """Whether the other one is a later entry into the same wait."""
    return (waiter.generation, waiter.entered) < (other.generation, other.entered)


def _waiter_key(waiter: Waiter) -> tuple[str, ...]:
    return waiter.fingerprint, waiter.drop_id, waiter.rendition_id


def _with_hints(job: Job, of: Job) -> Job:
    written = {name: getattr(of, name) for name in ("seq", "hints", "hinted_at", "due")}
    return job.model_copy(update=written)


def _require_next(known: Row | None, row: Row) -> None:
    if row.seq != (known.seq if known else 0) + 1:
        raise LedgerConflict(str(row))


def _name_of(reference: Reference) -> tuple[type[Reference], str]:
    if isinstance(reference, Attempt):
        return Attempt, reference.token
    return KnownProject, reference.project_id


class FakeInputBucket:
    """Objects in memory; counts how often each is read whole, and lists what specs are read.

    `requests` is how many S3 would have been sent.

    A versioned one still has overwritten and deleted objects.
    """

    def __init__(self, is_versioned: bool = False) -> None:
        self.objects: dict[str, bytes] = {}
        self.version_ids: dict[str, str] = {}
        self.modified: dict[str, datetime] = {}
        self.reads: dict[str, int] = {}
        self.spec_reads: list[str] = []
        self.requests = 0
        self.before_open: Callable[[], None] = lambda: None
        self.refusals: dict[str, Exception] = {}
        """S3's answer to each look at a key, whatever is there."""
        self.tags: dict[str, dict[str, str]] = {}
        """By the ids of versions."""
        self._versions: dict[str, bytes] | None = {} if is_versioned else None

    def put(self, key: str, body: bytes, at: datetime) -> None:
        self.objects[key] = body
        self.modified[key] = at
        if self._versions is not None:
            self.version_ids[key] = str(len(self._versions))
            self._versions[self.version_ids[key]] = body

    def delete(self, key: str) -> None:
        for known in (self.objects, self.version_ids, self.modified):
            known.pop(key, None)

    def forget(self, key: str) -> None:
        """Delete a key's version for good."""
        if self._versions is not None:
            del self._versions[self.version_ids[key]]
        self.delete(key)

    def head(self, bucket: str, key: str) -> ObjectVersion | None:
        self.requests += 1
        self._refuse(key)
        return self._version(key) if key in self.objects else None

    @contextmanager
    def open(self, bucket: str, key: str, etag: str) -> Iterator[OpenObject]:
        self.before_open()
        self.requests += 1
        self._refuse(key)
        body = self._read(key, etag)
        self.reads[key] = self.reads.get(key, 0) + 1
        version = self._version(key)
        yield OpenObject(version, hashlib.sha256(body).hexdigest(), io.BytesIO(body))

    @contextmanager
    def open_original(self, source: Source) -> Iterator[BinaryIO]:
        body = self._read(source.key, source.etag, source.version_id)
        with tempfile.TemporaryFile() as file:
            file.write(body)
            file.seek(0)
            yield file

    def set_tag(self, source: Source, version_id: str, value: str, *, adds: bool) -> None:
        if self._versions is None or version_id not in self._versions:
            raise ObjectGone(source.key)
        before = self.tags_of(version_id)
        after = before | {TAG: value} if adds or TAG in before else before
        if len(after) > MOST_TAGS:
            raise TooManyTags(source.key, fix="Take one off.")
        self.tags[version_id] = after

    def tags_of(self, version_id: str) -> dict[str, str]:
        return self.tags.get(version_id, {})

    def page(self, bucket: str, after: str, limit: int) -> list[ListedObject]:
        found = sorted(item for item in self.objects.items() if item[0] > after)[:limit]
        return [
            ListedObject(key, ObjectVersion(_etag(body), size=len(body)), self.modified[key])
            for key, body in found
        ]

    def keys(self, bucket: str, prefix: str) -> list[str]:
        self.requests += 1
        return sorted(key for key in self.objects if key.startswith(prefix))[:MOST_KEYS]

    def read(self, bucket: str, key: str, limit: int) -> bytes | None:
        self.spec_reads.append(key)
        self.requests += 1
        self._refuse(key)
        body = self.objects.get(key)
        return None if body is None else body[:limit]

    def _refuse(self, key: str) -> None:
        if key in self.refusals:
            raise self.refusals[key]

    def _version(self, key: str) -> ObjectVersion:
        body = self.objects[key]
        return ObjectVersion(
            _etag(body), self.version_ids.get(key), len(body), self.modified.get(key)
        )

    def _read(self, key: str, etag: str, version_id: str | None = None) -> bytes:
        body = self.objects.get(key)
        if self._versions is not None and version_id is not None:
            body = self._versions.get(version_id)
        if body is None:
            raise ObjectGone(key)
        if _etag(body) != etag:
            raise ObjectOverwritten(key)
        return body


@dataclass
class FakeResults:
    """Outputs and manifests in memory."""

    outputs: dict[str, tuple[bytes, OutputLabels]] = field(default_factory=dict)
    manifests: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    reports: dict[str, bytes] = field(default_factory=dict)

    def put(self, key: str, body: bytes) -> None:
        """Put what is not dropscale's."""
        self.outputs[key] = (body, OutputLabels(None, None, None))
        self.manifests[key] = (0, body)

    def delete(self, key: str) -> None:
        self.outputs.pop(key, None)
        self.manifests.pop(key, None)

    def describe_output(self, key: str) -> StoredOutput | None:
        if key not in self.outputs:
            return None
        body, labels = self.outputs[key]
        return StoredOutput(_etag(body), labels, hashlib.sha256(body).hexdigest())

    def all_keys(self) -> Iterator[str]:
        return iter(sorted(self.outputs.keys() | self.manifests.keys()))

    def put_output(
        self, key: str, file: BinaryIO, image_type: str, labels: OutputLabels, over: str | None
    ) -> bool:
        there = self.describe_output(key)
        if (there.etag if there else None) != over:
            return False
        self.outputs[key] = (file.read(), labels)
        return True

    def read_output(self, key: str, file: BinaryIO) -> int:
        stored = self.outputs.get(key) or self.manifests.get(key, ())[::-1]
        if not stored:
            raise ObjectGone(key)
        return file.write(stored[0])

    def manifest(self, key: str) -> tuple[int, str] | None:
        if key not in self.manifests:
            return None
        seq, body = self.manifests[key]
        return seq, _etag(body)

    def may_hold_manifests(self) -> bool:
        return any(key.endswith(MANIFEST_SUFFIX) for key in self.manifests)

    def put_manifest(self, key: str, body: bytes, rank: int, over: str | None) -> bool:
        there = self.manifest(key)
        if (there[1] if there else None) != over:
            return False
        self.manifests[key] = (rank, body)
        return True

    def put_report(self, key: str, body: bytes, content_type: str) -> bool:
        return self.reports.setdefault(key, body) is body


@dataclass
class FakeEvents:
    """The event bus for batches: the paths and settlements it was told of, if it listens."""

    settled: list[tuple[str, Settlement]] = field(default_factory=list)
    listens: bool = True

    def announce_batch(self, batch: Batch, settlement: Settlement) -> bool:
        if self.listens:
            self.settled.append((batch.path, settlement))
        return self.listens


@dataclass
class FakePixels:
    """Has decoded what the test says."""

    comparison: Comparison = field(default_factory=lambda: Comparison(delta_e=0.5))
    fail: Exception | None = None

    converted: bytes = b""

    def compare(self, *_: Any, **__: Any) -> Comparison:
        if self.fail is not None:
            raise self.fail
        return self.comparison

    def convert(self, result: ImageFile, to: Conversion, target: BinaryIO, **_: Any) -> None:
        target.write(self.converted)


@dataclass
class FakeExecutions:
    """Remembers which executions were started with what; the test moves them on."""

    started: dict[str, dict[str, Any]] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)

    def start(self, name: str, state: dict[str, Any]) -> None:
        self.started.setdefault(name, json.loads(json.dumps(state)))

    def status(self, name: str) -> ExecutionStatus:
        if name not in self.started:
            return ExecutionStatus.NONE
        return ExecutionStatus.ENDED if name in self.ended else ExecutionStatus.RUNNING

    def end_all(self) -> None:
        self.ended.update(self.started)


@dataclass
class FakeCallbacks:
    """Remembers which waits were ended, and how; a token works once, if it is not in `dead`."""

    ended: dict[str, str] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)

    def deliver(self, token: str) -> bool:
        return self._end(token, "deliver")

    def look(self, token: str) -> bool:
        return self._end(token, "look")

    def _end(self, token: str, how: str) -> bool:
        is_live = token not in self.dead
        if is_live:
            self.ended[token] = how
            self.dead.add(token)
        return is_live


@dataclass
class FakeQueue:
    """Remembers the keys it was sent."""

    keys: list[str] = field(default_factory=list)

    def send(self, bucket: str, key: str) -> None:
        self.keys.append(key)


class FakeUpscaler:
    """A vendor in memory: takes uploads, charges for creates, answers what the test says.

    What `fail_upload`, `fail_create` and `fail_download` hold is raised once; what `fail_account`
    holds, and `fail_project` for a project, always.
    """

    def __init__(self) -> None:
        self.uploads: list[bytes] = []
        self.creates: list[tuple[str, dict[str, Any], str]] = []
        self.projects: dict[str, Project] = {}
        self.result = png(16, 12)
        self.fail_upload: Exception | None = None
        self.fail_create: Exception | None = None
        self.fail_download: Exception | None = None
        self.fail_project: dict[str, Exception] = {}
        self.fail_account: Exception | None = None
        self.tier: str | None = "business"
        self.credits: int | None = 1000
        self.before_answer: Callable[[], object] = lambda: None
        """Called once, when a create was taken and its answer is still on its way."""
        self.before_look: Callable[[], object] = lambda: None

    def upload(self, file: BinaryIO, extension: str) -> str:
        error, self.fail_upload = self.fail_upload, None
        if error is not None:
            raise error
        self.uploads.append(file.read())
        return f"api-assets/{len(self.uploads)}.{extension}"

    def create(self, image_path: str, parameters: dict[str, Any], name: str) -> CreatedProject:
        error, self.fail_create = self.fail_create, None
        if error is not None:
            raise error
        self.creates.append((image_path, parameters, name))
        project_id = f"project-{len(self.creates)}"
        self.projects[project_id] = Project(id=project_id, status=ProjectStatus.QUEUED)
        act, self.before_answer = self.before_answer, lambda: None
        act()
        return CreatedProject(id=project_id, credits_charged=50)

    def project(self, project_id: str) -> Project:
        self.before_look()
        if project_id in self.fail_project:
            raise self.fail_project[project_id]
        if project_id not in self.projects:
            raise NotFound(f"GET /v1/image-projects/{project_id}", status=404)
        return self.projects[project_id]

    def delete(self, project_id: str) -> None:
        self.project(project_id)
        del self.projects[project_id]

    def account(self) -> Account:
        if self.fail_account is not None:
            raise self.fail_account
        return Account(id="account", credits=self.credits, tier=self.tier)

    def download(self, url: str, file: BinaryIO) -> int:
        error, self.fail_download = self.fail_download, None
        if error is not None:
            raise error
        return file.write(self.result)

    def finish(self, status: ProjectStatus = ProjectStatus.COMPLETE, **facts: Any) -> None:
        """Bring every project to this status."""
        for project_id in self.projects:
            self.answer(project_id, status, **facts)

    def answer(self, project_id: str, status: str, **facts: Any) -> None:
        """Say this of a project from now on; one that is complete has a download."""
        downloads = [{"url": "https://vendor.example/output.png"}] if status == "complete" else []
        told = {"id": project_id, "status": status, "downloads": downloads, **facts}
        self.projects[project_id] = Project.model_validate(told)


def _etag(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()
