"""Batches: the drops that a folder's spec names together, reported on once none is open.

A drop's line in its batch is a row of its own, written with the drop. The batch's row changes
seldom: when the first news of a drop wakes it, and on its way to a settlement.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Protocol, Self

from dropscale.ledger.drops import Drop, Output, Reason, TimelineEntry
from dropscale.ledger.rows import Instant, Record, Row
from dropscale.ledger.states import COLLECTABLE_STATES, DropState, WaitReason

MOST_LINES = 10_000
"""How many lines one part of a report has; a run of the sweeper reads no more."""

_TEXT_SIZE = 1000
_ENDED_WITHOUT_RESULT = frozenset({DropState.FAILED, DropState.CANCELED})

_COUNTED_AS: Mapping[DropState, str] = MappingProxyType(
    {
        DropState.DELIVERED: "delivered",
        DropState.COMPLETE: "delivered",
        DropState.SUBMITTED: "delivered",
        DropState.SKIPPED: "skipped",
        DropState.SUPERSEDED: "skipped",
        DropState.REJECTED: "failed",
        DropState.FAILED: "failed",
        DropState.CANCELED: "failed",
    }
)
"""The total in which a drop counts that is not open; other states are pending."""


class _Charged(Protocol):
    """The facts about a rendition that a line has: in the ledger's row, or in a manifest."""

    @property
    def fingerprint(self) -> str: ...
    @property
    def state(self) -> DropState: ...
    @property
    def project_id(self) -> str | None: ...
    @property
    def credits_charged(self) -> int | None: ...
    @property
    def output(self) -> Output | None: ...


class Span(Record):
    """A period of time."""

    began: Instant
    ended: Instant

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.ended - self.began).total_seconds()

    @classmethod
    def of(cls, timeline: Sequence[TimelineEntry]) -> Self | None:
        """Return the time from when a drop was last wanted anew to its latest change of state."""
        if not timeline:
            return None
        began = ended = timeline[-1].at
        for entry in reversed(timeline[:-1]):
            if entry.state not in COLLECTABLE_STATES:
                break
            began = entry.at
        return cls(began=began, ended=ended)

    @classmethod
    def over(cls, spans: Sequence[Self]) -> Self | None:
        """Return the time from the first begin to the last end."""
        if not spans:
            return None
        return cls(began=min(one.began for one in spans), ended=max(one.ended for one in spans))


class LineJob(Record):
    """The credits of one of a drop's jobs: charged, and refunded."""

    fingerprint: str
    credits: int
    refunded: int = 0

    @classmethod
    def of(cls, rendition: _Charged, price: int) -> Self:
        """Return what a rendition's job cost; `price` is the list's."""
        charged = rendition.credits_charged
        is_refunded = (
            rendition.state in _ENDED_WITHOUT_RESULT
            and rendition.project_id is not None
            and charged == 0
        )
        return cls(
            fingerprint=rendition.fingerprint,
            credits=charged or 0,
            refunded=price if is_refunded else 0,
        )


class BatchLine(Record):
    """What a batch's report says about one drop, as of the drop's latest step."""

    drop_id: str
    key: str
    state: DropState
    is_open: bool = False
    waiting_for: WaitReason | None = None
    reason: Reason | None = None
    outputs: tuple[str, ...] = ()
    jobs: tuple[LineJob, ...] = ()
    span: Span | None = None

    @classmethod
    def of(cls, drop: Drop) -> Self:
        """Return the line of a drop."""
        renditions = drop.renditions.values()
        return cls(
            drop_id=drop.id,
            key=drop.source.key,
            state=drop.state,
            is_open=drop.is_open,
            waiting_for=drop.wait,
            reason=short_reason(drop.reason),
            outputs=output_keys(renditions),
            jobs=tuple(LineJob.of(one, one.parameters.credits) for one in renditions),
            span=Span.of(drop.timeline),
        )


def output_keys(renditions: Iterable[_Charged]) -> tuple[str, ...]:
    """Return the keys of the outputs that are still wanted."""
    wanted = (one for one in renditions if one.state is not DropState.SUPERSEDED)
    return tuple(one.output.key for one in wanted if one.output is not None)


def short_reason(reason: Reason | None) -> Reason | None:
    """Return a reason cut to the size that a line can hold."""
    return None if reason is None else reason.shortened(_TEXT_SIZE)


def jobs_in(lines: Iterable[BatchLine]) -> dict[str, LineJob]:
    """Return the jobs of some lines, each once, by fingerprint.

    A drop that no longer wants a job's result knows less of its cost than the others.
    """
    found: dict[str, LineJob] = {}
    for job in (job for line in lines for job in line.jobs):
        known = found.get(job.fingerprint, job)
        most = {
            "credits": max(job.credits, known.credits),
            "refunded": max(job.refunded, known.refunded),
        }
        found[job.fingerprint] = job.model_copy(update=most)
    return found


class Totals(Record):
    """The sums of a report: images by how they ended, credits, and the time that it all took.

    `pending` are those that wait for a sidecar, a person or the budget, and `unknown` and
    `timed_out` ones. A job that drops share counts once in each part of a report.
    """

    images: int = 0
    delivered: int = 0
    skipped: int = 0
    failed: int = 0
    pending: int = 0
    credits: int = 0
    refunded: int = 0
    span: Span | None = None

    def with_lines(self, lines: Sequence[BatchLine]) -> Self:
        """Add the lines of one part."""
        sums = {name: getattr(self, name) for name in ("delivered", "skipped", "failed", "pending")}
        for line in lines:
            sums[_COUNTED_AS.get(line.state, "pending")] += 1
        jobs = jobs_in(lines)
        spans = [span for span in (self.span, *(line.span for line in lines)) if span]
        return self.model_copy(
            update={
                **sums,
                "images": self.images + len(lines),
                "credits": self.credits + sum(job.credits for job in jobs.values()),
                "refunded": self.refunded + sum(job.refunded for job in jobs.values()),
                "span": Span.over(spans),
            }
        )


class Settlement(Record):
    """The end of a batch: none of its drops is open any more.

    While its report is being written, `totals` are the sums of the parts that are written.
    """

    id: str
    """Unique in its batch; later ones sort after earlier ones."""
    quiet_since: Instant
    parts: int = 0
    cursor: str | None = None
    """The last drop in these parts."""
    totals: Totals = Totals()

    def with_part(self, lines: Sequence[BatchLine]) -> Self:
        """Add one part of the report."""
        totals, cursor = self.totals.with_lines(lines), lines[-1].drop_id
        changes = {"parts": self.parts + 1, "cursor": cursor, "totals": totals}
        return self.model_copy(update=changes)


class Batch(Row):
    """The drops that a folder's spec names together. Asleep, it has nothing `due`.

    Awake, it waits until no drop is open; then it is quiet, until news of a drop wakes it again or
    it has been quiet for long enough to be settled.
    """

    id: str
    seq: int = 0
    bucket: str
    path: str
    """The folder of the spec that names it, and its name."""
    is_awake: bool = False
    """Whether there is news of its drops since the last settlement."""
    due: Instant | None = None
    next: Settlement | None = None
    """The settlement that it prepares while it is quiet."""
    unannounced: Settlement | None = None
    """The last settlement, until its event is sent."""

    @classmethod
    def first(cls, bucket: str, path: str) -> Self:
        """Return a batch that the ledger does not have yet."""
        return cls(id=batch_id(bucket, path), bucket=bucket, path=path)

    def wake(self, now: datetime) -> Self:
        """Take note of news of a drop: a settlement that is being prepared would miss it."""
        if self.is_awake and self.next is None:
            return self
        return self._take_step({"is_awake": True, "due": now, "next": None})

    def wait(self, due: datetime) -> Self:
        """Wait, because a drop is open."""
        return self._take_step({"due": due, "next": None})

    def become_quiet(self, now: datetime, due: datetime) -> Self:
        """Prepare a settlement: no drop is open."""
        coming = Settlement(id=f"{now:%Y%m%dT%H%M%SZ}-{self.seq + 1}", quiet_since=now)
        return self._take_step({"due": due, "next": coming})

    def pass_on(self, prepared: Settlement) -> Self:
        """Record that one more part of the report is written."""
        return self._take_step({"next": prepared})

    def settle(self, settlement: Settlement, now: datetime) -> Self:
        """Record that all parts of the report are written; the event is to follow."""
        changes = {"is_awake": False, "due": now, "next": None, "unannounced": settlement}
        return self._take_step(changes)

    def rest(self) -> Self:
        """Sleep: all its drops have left it."""
        return self._take_step({"is_awake": False, "due": None, "next": None})

    def note_announced(self) -> Self:
        """Record that the event of its settlement was sent."""
        due = self.due if self.is_awake else None
        return self._take_step({"unannounced": None, "due": due})


def batch_id(bucket: str, path: str) -> str:
    """Return the id of a batch; its path can be too long for an index."""
    return Drop.id_of(bucket, path)
