"""Batches: the drops that a folder's spec names together, reported on once none is open.

A drop's line in its batch is a row of its own, written with the drop. The batch's row changes
seldom: when the first news of a drop wakes it, and on its way to a settlement.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Protocol, Self

from dropscale.ledger.drops import Drop, Output, Reason, TimelineEntry
from dropscale.ledger.rows import Instant, Record, Row, cut
from dropscale.ledger.states import COLLECTABLE_STATES, DropState, WaitReason

MOST_LINES = 10_000
"""How many lines one part of a report has; a run of the sweep reads no more."""

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
    """What a line tells of a rendition: in the ledger's row, or in a manifest."""

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


class LineJob(Record):
    """The credits of one of a drop's jobs: charged, and given back."""

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
    began: Instant | None = None
    ended: Instant | None = None

    @classmethod
    def of(cls, drop: Drop) -> Self:
        """Return the line of a drop."""
        renditions = drop.renditions.values()
        began, ended = span_of(drop.timeline)
        return cls(
            drop_id=drop.id,
            key=drop.source.key,
            state=drop.state,
            is_open=drop.is_open,
            waiting_for=drop.wait,
            reason=short_reason(drop.reason),
            outputs=output_keys(renditions),
            jobs=tuple(LineJob.of(one, one.parameters.credits) for one in renditions),
            began=began,
            ended=ended,
        )

    @property
    def seconds(self) -> float:
        """From the drop to the latest change of its state."""
        return (self.ended - self.began).total_seconds() if self.began and self.ended else 0.0


def output_keys(renditions: Iterable[_Charged]) -> tuple[str, ...]:
    """Return the keys of the outputs that are still wanted."""
    wanted = (one for one in renditions if one.state is not DropState.SUPERSEDED)
    return tuple(one.output.key for one in wanted if one.output is not None)


def short_reason(reason: Reason | None) -> Reason | None:
    """Return a reason cut to the size that a line can hold."""
    if reason is None:
        return None
    message, fix = (cut(text, _TEXT_SIZE) for text in (reason.message, reason.fix))
    return reason.model_copy(update={"message": message, "fix": fix})


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


def span_of(timeline: Sequence[TimelineEntry]) -> tuple[datetime | None, datetime | None]:
    """Return when a drop was last wanted anew, and when its state last changed."""
    if not timeline:
        return None, None
    began = ended = timeline[-1].at
    for entry in reversed(timeline[:-1]):
        if entry.state not in COLLECTABLE_STATES:
            break
        began = entry.at
    return began, ended


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
    began: Instant | None = None
    ended: Instant | None = None

    def with_lines(self, lines: Sequence[BatchLine]) -> Self:
        """Add the lines of one part."""
        sums = {name: getattr(self, name) for name in ("delivered", "skipped", "failed", "pending")}
        for line in lines:
            sums[_COUNTED_AS.get(line.state, "pending")] += 1
        jobs = jobs_in(lines)
        began = [at for at in (self.began, *(line.began for line in lines)) if at]
        ended = [at for at in (self.ended, *(line.ended for line in lines)) if at]
        return self.model_copy(
            update={
                **sums,
                "images": self.images + len(lines),
                "credits": self.credits + sum(job.credits for job in jobs.values()),
                "refunded": self.refunded + sum(job.refunded for job in jobs.values()),
                "began": min(began, default=None),
                "ended": max(ended, default=None),
            }
        )

    @property
    def seconds(self) -> float:
        """From the first drop to the latest change."""
        return (self.ended - self.began).total_seconds() if self.began and self.ended else 0.0


class Settlement(Record):
    """That none of a batch's drops was open any more, and what had become of them."""

    id: str
    """Unique in its batch; later ones sort after earlier ones."""
    quiet_since: Instant
    parts: int
    totals: Totals


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
    quiet_since: Instant | None = None
    quiet_seq: int = 0
    """The step at which it last became quiet."""
    cursor: str | None = None
    """The last drop in the parts of the report that are written."""
    parts: int = 0
    totals: Totals = Totals()
    """The sums of these parts."""
    unannounced: Settlement | None = None
    """A settlement whose event was not sent yet."""

    @classmethod
    def first(cls, bucket: str, path: str) -> Self:
        """Return a batch that the ledger does not have yet."""
        return cls(id=batch_id(bucket, path), bucket=bucket, path=path)

    @property
    def settlement_id(self) -> str:
        """The id of the settlement that it prepares while it is quiet."""
        since = self.quiet_since
        return f"{since:%Y%m%dT%H%M%SZ}-{self.quiet_seq}" if since else ""

    def wake(self, now: datetime) -> Self:
        """Take note of news of a drop: a settlement that is being prepared would miss it."""
        if self.is_awake and self.quiet_since is None:
            return self
        return self._begin_again({"is_awake": True, "due": now})

    def wait(self, due: datetime) -> Self:
        """Wait, because a drop is open."""
        return self._begin_again({"due": due})

    def become_quiet(self, now: datetime, due: datetime) -> Self:
        """Prepare a settlement: no drop is open."""
        return self._take_step({"quiet_since": now, "quiet_seq": self.seq + 1, "due": due})

    def pass_on(self, cursor: str, totals: Totals, due: datetime) -> Self:
        """Record that one more part of the report is written."""
        parts = self.parts + 1
        return self._take_step({"cursor": cursor, "parts": parts, "totals": totals, "due": due})

    def settle(self, settlement: Settlement, now: datetime) -> Self:
        """Record that all parts of the report are written; the event is to follow."""
        return self._begin_again({"is_awake": False, "due": now, "unannounced": settlement})

    def rest(self) -> Self:
        """Sleep: all its drops have left it."""
        return self._begin_again({"is_awake": False, "due": None})

    def note_announced(self) -> Self:
        """Record that the event of its settlement was sent."""
        due = self.due if self.is_awake else None
        return self._take_step({"unannounced": None, "due": due})

    def _begin_again(self, changes: Mapping[str, object]) -> Self:
        anew = {"quiet_since": None, "cursor": None, "parts": 0, "totals": Totals()}
        return self._take_step({**anew, **changes})


def batch_id(bucket: str, path: str) -> str:
    """Return the id of a batch; its path can be too long for an index."""
    return Drop.id_of(bucket, path)
