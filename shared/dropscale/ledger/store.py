"""The interface to the ledger's storage, and the changes that it makes all or nothing."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol, Self, TypeVar

from dropscale.errors import DropscaleError
from dropscale.ledger.account import KnownAccount
from dropscale.ledger.batches import Batch, BatchLine
from dropscale.ledger.drops import Drop, NameClaim
from dropscale.ledger.gate import Gate
from dropscale.ledger.jobs import Attempt, AttemptName, Job, KnownProject
from dropscale.ledger.owner import Owner
from dropscale.ledger.states import ASKED_AGAIN, JobState
from dropscale.ledger.waiters import Waiter
from dropscale.ledger.walk import Walk

_AMEND_ATTEMPTS = 10

MOST_NOTED = 5
"""How many projects an attempt's row notes."""

MOST_DROPS = 200
"""How many of a job's drops are processed at once; the sweeper continues with the others."""

_Record = TypeVar("_Record")


class NotInLedger(DropscaleError):
    """The ledger has no such drop or job."""

    @classmethod
    def of(cls, kind: str, name: str) -> Self:
        """Return the error for an id or key that another stack, a deleted table or none has."""
        return cls(
            f"this {kind} is not in the ledger: {name}",
            fix="`dropscale doctor` shows which ledger the stack uses. If it is the right one, "
            "drop the image again.",
        )


class LedgerConflict(Exception):
    """Another process changed the same record first; read it and decide again."""


class SlotsTaken(Exception):
    """All slots are taken."""


class BudgetSpent(Exception):
    """A window of the budget has too few credits left.

    Attributes:
        window: the name of that window.
    """

    def __init__(self, window: str) -> None:
        super().__init__(window)
        self.window = window


class ProjectTaken(Exception):
    """The project belongs to another job: the vendor has used one id twice."""


class NameTaken(Exception):
    """The name of an output belongs to another drop.

    Attributes:
        name: that name.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class GateClosed(Exception):
    """The vendor currently accepts no jobs from this account."""


class NotOwner(Exception):
    """Another stack owns this ledger, or it is not rebuilt yet."""


@dataclass(frozen=True)
class SaveDrop:
    """Write a drop if the stored one has the previous `seq`; `seq` 1: if there is none.

    With it goes its line in its batch, if it is in one.
    """

    drop: Drop


@dataclass(frozen=True)
class SaveJob:
    """Write a job if the stored one has the previous `seq`; `seq` 1: if there is none."""

    job: Job


@dataclass(frozen=True)
class SaveHints:
    """Write only a job's hints and when it is due, if the stored one has the previous `seq`."""

    job: Job


@dataclass(frozen=True)
class SaveSingleton:
    """Write a row that exists once, on the same condition as a job."""

    record: Gate | Walk | KnownAccount | Owner


@dataclass(frozen=True)
class SaveBatch:
    """Write a batch if the stored one has the previous `seq`; `seq` 1: if there is none."""

    batch: Batch


@dataclass(frozen=True)
class LeaveBatch:
    """Delete a drop's line in a batch."""

    batch_id: str
    drop_id: str


Reference = Attempt | KnownProject
"""A row that finds a job: by the token in a project's name, or by the project's id."""


@dataclass(frozen=True)
class SaveReference:
    """Write a reference to a job; fails if it refers to another job already.

    `replaces`: the fingerprint of another job to which it may refer; empty: none.
    """

    reference: Reference
    replaces: str = ""


@dataclass(frozen=True)
class Attach:
    """Let a drop share a job."""

    fingerprint: str
    drop_id: str


@dataclass(frozen=True)
class Detach:
    """Withdraw a drop from a job."""

    fingerprint: str
    drop_id: str


@dataclass(frozen=True)
class ClaimName:
    """Let an output's name belong to a drop; fails if it belongs to another."""

    claim: NameClaim


@dataclass(frozen=True)
class ReleaseName:
    """Withdraw a drop's claim on a name; fails if it belongs to another."""

    claim: NameClaim


@dataclass(frozen=True)
class TakeSlot:
    """Take one of `limit` slots; None: take it even beyond the limit."""

    limit: int | None


@dataclass(frozen=True)
class FreeSlot:
    """Return a slot."""


@dataclass(frozen=True)
class Spend:
    """Take credits from a window of the budget, or return them (negative).

    `limit` is the window's; None: take them even beyond it.
    """

    window: str
    credits: int
    limit: int | None


@dataclass(frozen=True)
class RequireOpenGate:
    """Write the other changes only if the gate is open."""


@dataclass(frozen=True)
class RequireOwner:
    """Write the other changes only if that stack owns this ledger."""

    stack_id: str


Change = (
    SaveDrop
    | SaveJob
    | SaveHints
    | SaveSingleton
    | SaveBatch
    | LeaveBatch
    | SaveReference
    | Attach
    | Detach
    | ClaimName
    | ReleaseName
    | TakeSlot
    | FreeSlot
    | Spend
    | RequireOpenGate
    | RequireOwner
)


class Agenda(StrEnum):
    """The lists of due records that the sweeper reads, by kind."""

    READY_JOBS = "job#ready"
    HINTED_JOBS = "job#hinted"
    """Ready jobs with hints: not paid for before these are looked at."""
    SUBMITTING_JOBS = "job#submitting"
    SUBMITTED_JOBS = "job#submitted"
    ENDED_JOBS = "job#ended"
    UNKNOWN_JOBS = "job#unknown"
    """All jobs with an unknown outcome, due or not, until a person settles them."""
    DROPS = "drop"
    DENIED_DROPS = "drop#access"
    """Drops whose wait is in `ASKED_AGAIN`, and whose manifests say so."""
    BATCHES = "batch"


_AGENDA_BY_JOB_STATE = MappingProxyType(
    {
        JobState.READY: Agenda.READY_JOBS,
        JobState.SUBMITTING: Agenda.SUBMITTING_JOBS,
        JobState.SUBMITTED: Agenda.SUBMITTED_JOBS,
        JobState.COMPLETE: Agenda.ENDED_JOBS,
        JobState.ERROR: Agenda.ENDED_JOBS,
        JobState.CANCELED: Agenda.ENDED_JOBS,
        JobState.UNKNOWN: Agenda.UNKNOWN_JOBS,
        JobState.ABANDONED: Agenda.ENDED_JOBS,
    }
)

END_OF_TIME = datetime.max.replace(tzinfo=UTC)
LAID_ASIDE = datetime(9999, 1, 1, tzinfo=UTC)
"""The time under which records are listed that are never due but are counted."""


def listing_of(record: Drop | Job | Batch) -> tuple[Agenda, datetime] | None:
    """Return the agenda that lists a record, and when it is due there; None: not listed."""
    if isinstance(record, Batch):
        return (Agenda.BATCHES, record.due) if record.due else None
    if isinstance(record, Job):
        is_listed = record.due or record.state is JobState.UNKNOWN
        agenda = _AGENDA_BY_JOB_STATE[record.state]
        if agenda is Agenda.READY_JOBS and record.hints:
            agenda = Agenda.HINTED_JOBS
        return (agenda, record.due or LAID_ASIDE) if is_listed else None
    if record.due:
        return Agenda.DROPS, record.due
    if record.wait in ASKED_AGAIN and record.wait_until:
        return Agenda.DENIED_DROPS, record.wait_until
    return None


@dataclass(frozen=True)
class Names:
    """Keys of evaluated images, and of specs without an image beside them.

    All keys of one `Names` are the same name if case is ignored.
    """

    images: frozenset[str] = frozenset()
    specs: frozenset[str] = frozenset()


class Ledger(Protocol):
    """The storage of the ledger. Reads see every write that was confirmed before them."""

    def drop(self, drop_id: str) -> Drop | None:
        """Return a drop; None: not known."""

    def known_drops(self, drop_ids: Sequence[str]) -> dict[str, Drop]:
        """Return those of the drops that are known, by id.

        This read, like that of `list_due`, may lag behind the latest writes.
        """

    def walk(self) -> Walk | None:
        """Return the walk through the input bucket; None: never begun."""

    def job(self, fingerprint: str) -> Job | None:
        """Return a job; None: not known."""

    def attempt(self, token: str) -> Attempt | None:
        """Return the attempt of a token; None: not known."""

    def project(self, project_id: str) -> KnownProject | None:
        """Return a project and its job; None: not known."""

    def name_claim(self, name: str) -> NameClaim | None:
        """Return the claim on an output's name; None: it belongs to no drop."""

    def gate(self) -> Gate | None:
        """Return the gate; None: never closed."""

    def slots_taken(self) -> int:
        """Return how many jobs hold a slot."""

    def account(self) -> KnownAccount | None:
        """Return what is known about the account; None: the vendor has never said."""

    def owner(self) -> Owner | None:
        """Return the stack that owns the ledger; None: no stack yet."""

    def is_new(self) -> bool:
        """Whether nothing was paid from it yet, and no sweep has run."""

    def list_attached(
        self, fingerprint: str, after: str | None = None, limit: int | None = None
    ) -> list[str]:
        """Return the ids of the drops that share a job, sorted.

        `after`: only those after this id. `limit`: at most so many.
        """

    def list_due(self, agenda: Agenda, before: datetime, limit: int) -> list[str]:
        """Return the ids of at most `limit` records due before `before`, the longest due first.

        This read may lag behind the latest writes.
        """

    def batch(self, batch_id: str) -> Batch | None:
        """Return a batch; None: not known."""

    def has_open_drops(self, batch_id: str) -> bool:
        """Whether a drop of a batch is open. This read may lag behind the latest writes."""

    def batch_lines(self, batch_id: str, after: str | None, limit: int) -> list[BatchLine]:
        """Return the lines of a batch, at most `limit`, sorted by drop; only those `after` one."""

    def write(self, *changes: Change) -> None:
        """Make all changes or none.

        Raises:
            NotOwner: a `RequireOwner` found another owner.
            GateClosed: a `RequireOpenGate` found it closed.
            SlotsTaken: a `TakeSlot` found none free.
            BudgetSpent: a `Spend` found too little left.
            ProjectTaken: a `SaveReference` found a reference to another job.
            NameTaken: a `ClaimName` found the claim of another drop.
            LedgerConflict: another process changed a record.
        """

    def credits_spent(self, window: str) -> int:
        """Return the credits taken from a window of the budget."""

    def names(self, name_id: str) -> Names:
        """Return the keys that were noted under a name."""

    def note_name(self, name_id: str, names: Names) -> Names:
        """Add keys to a name; return all keys noted under it then.

        If two callers do so at once, at least one sees the other's keys.
        """

    def note_project(self, token: str, project_id: str) -> None:
        """Add a project to those noted in an attempt's row, if there is such an attempt.

        Each is noted once, and `MOST_NOTED` at most.
        """

    def note_manifest_written(self, drop: Drop) -> None:
        """Note that the manifest shows this drop, unless the drop has changed since.

        Its batch, if it is in one, knows of it then, too.
        """

    def save_waiter(self, waiter: Waiter) -> bool:
        """Write a waiter; False: the stored one has entered later, and stays."""

    def list_waiters(self, fingerprint: str, project_id: str, limit: int) -> list[Waiter]:
        """Return at most `limit` of a job's waiters that wait for that project."""

    def remove_waiter(self, waiter: Waiter) -> None:
        """Remove a waiter, unless it has entered again after this."""


@dataclass(frozen=True)
class Limits:
    """The limits that the start of a job must keep: slots, and credits per window of the budget."""

    slots: int | None = None
    credits: Mapping[str, int | None] = field(default_factory=dict)


def job_changes(before: Job, after: Job, limits: Limits = Limits()) -> list[Change]:
    """Return the changes that a job's step makes, with those of its slot and its credits.

    The rows that refer to the job by token and by project are among them. Without limits, slot
    and credits are taken even beyond them: only right for what the vendor has already done.
    """
    changes: list[Change] = [SaveJob(after)]
    if after.holds_slot and not before.holds_slot:
        changes.append(TakeSlot(limits.slots))
    if before.holds_slot and not after.holds_slot:
        changes.append(FreeSlot())
    for window in sorted(before.spent | after.spent):
        spent = after.spent[window] - before.spent[window]
        if spent:
            changes.append(Spend(window, spent, limits.credits.get(window)))
    return [*changes, *_new_references(before, after)]


def is_named_by(ledger: Ledger, job: Job, project_name: str | None) -> bool | None:
    """Whether a project's name belongs to this job (True), another (False) or no known attempt.

    The token in the name decides, by the attempt's row; another job can share the digits of the
    fingerprint.
    """
    if project_name is not None and project_name == job.name_at_vendor:
        return True
    name = AttemptName.found_in(project_name)
    if name is None:
        return None
    attempt = ledger.attempt(name.token) if name.token else None
    return attempt.fingerprint == job.fingerprint if attempt else job.has_given(name)


def _new_references(before: Job, after: Job) -> Iterator[Change]:
    """Yield the references to a job by the token and the project that a step gave it."""
    token, project_id, fingerprint = after.attempt_id, after.project_id, after.fingerprint
    if token and (token, project_id) != (before.attempt_id, before.project_id):
        yield SaveReference(
            Attempt(
                token=token, fingerprint=fingerprint, attempt=after.attempt, project_id=project_id
            )
        )
    for orphan in after.orphans[len(before.orphans) :]:
        yield SaveReference(KnownProject(project_id=orphan, fingerprint=fingerprint))
    if project_id and project_id != before.project_id:
        yield SaveReference(
            KnownProject(project_id=project_id, fingerprint=fingerprint, token=token)
        )


def amend_drop(ledger: Ledger, drop_id: str, change: Callable[[Drop], Drop]) -> Drop:
    """Apply `change` to a drop; if others change it first, repeat with its newest state.

    Raises:
        NotInLedger: the ledger does not have it.
        LedgerConflict: others came first every time.
    """
    return _amend(
        ledger, "drop", drop_id, ledger.drop, change, lambda _, changed: [SaveDrop(changed)]
    )


def amend_job(
    ledger: Ledger,
    fingerprint: str,
    change: Callable[[Job], Job],
    *,
    only: JobState | None = None,
) -> Job:
    """Apply `change` to a job; if others change it first, repeat with its newest state.

    A job in another state than `only` does not change.

    Raises:
        NotInLedger: the ledger does not have it.
        LedgerConflict: others came first every time.
    """

    def change_if_in_state(job: Job) -> Job:
        return change(job) if only is None or job.state is only else job

    return _amend(ledger, "job", fingerprint, ledger.job, change_if_in_state, job_changes)


def amend_drop_and_job(
    ledger: Ledger,
    drop_id: str,
    fingerprint: str,
    change: Callable[[Drop, Job], tuple[Drop, Job]],
) -> tuple[Drop, Job]:
    """Apply `change` to a drop and one of its jobs in one transaction, as `amend_drop` does.

    Raises:
        NotInLedger: the ledger lacks one of them.
        LedgerConflict: others came first every time.
    """

    def read(_: str) -> tuple[Drop, Job] | None:
        drop, job = ledger.drop(drop_id), ledger.job(fingerprint)
        return (drop, job) if drop and job else None

    def changes(before: tuple[Drop, Job], after: tuple[Drop, Job]) -> list[Change]:
        saves_drop = [SaveDrop(after[0])] if after[0] is not before[0] else []
        return [*saves_drop, *job_changes(before[1], after[1])]

    return _amend(ledger, "drop", drop_id, read, lambda both: change(*both), changes)


def _amend(
    ledger: Ledger,
    kind: str,
    name: str,
    read: Callable[[str], _Record | None],
    change: Callable[[_Record], _Record],
    changes: Callable[[_Record, _Record], Sequence[Change]],
) -> _Record:
    for _ in range(_AMEND_ATTEMPTS):
        record = read(name)
        if record is None:
            raise NotInLedger.of(kind, name)
        changed = change(record)
        if changed is record:
            return record
        with suppress(LedgerConflict):
            ledger.write(*changes(record, changed))
            return changed
    raise LedgerConflict(f"{name} is being changed by others at the same time")
