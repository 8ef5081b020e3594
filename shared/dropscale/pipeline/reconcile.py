"""Reconcile: compares the input bucket with the ledger, so that a lost event loses no drop.

A pass reads the bucket in pages, with a cursor in the ledger, and looks up only objects that may be
new since the previous pass. Those that submit missed are sent to it; sending one twice is free.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from dropscale.ledger.drops import Drop
from dropscale.ledger.states import ASKED_AGAIN, OPEN_STATES, WaitReason
from dropscale.ledger.store import Ledger, LedgerConflict, SaveSingleton
from dropscale.ledger.walk import Walk
from dropscale.pipeline.parts.ports import (
    Clock,
    DropQueue,
    InputListing,
    ListedObject,
    RemainingTime,
)
from dropscale.specs.keys import KeyKind, kind_of

BEAT = timedelta(minutes=15)
"""The shortest time between the beginnings of two passes."""

GRACE = timedelta(minutes=20)
"""The minimum age of an object: the highest SettleSeconds, plus submit's own time."""

OVERLAP = timedelta(days=1)
"""A multipart object has the time at which its upload began, up to a day ago."""

_TICK = timedelta(seconds=1)
"""The resolution of the times that S3 states."""

PAGE = 1000
PAGES_PER_RUN = 10
_SPARE_SECONDS = 90.0


@dataclass(frozen=True)
class Reconcile:
    """Continues the walk by some pages. `bucket` is the input bucket's name."""

    ledger: Ledger
    listing: InputListing
    queue: DropQueue
    clock: Clock
    bucket: str

    def __call__(self, remaining: RemainingTime) -> int:
        """Do what time allows; return how many objects were sent to submit."""
        walk = self.ledger.walk()
        try:
            if walk is None:
                self.ledger.write(SaveSingleton(Walk.first(self.clock())))
                return 0
            return self._continue_walk(walk, remaining)
        except LedgerConflict:
            return 0  # Another run of the sweeper is at work.

    def _continue_walk(self, walk: Walk, remaining: RemainingTime) -> int:
        if walk.cursor is None:
            if self.clock() - walk.begun < BEAT:
                return 0
            walk = walk.begin_pass(self.clock())
            self.ledger.write(SaveSingleton(walk))
        told = 0
        for _ in range(PAGES_PER_RUN):
            if walk.cursor is None or remaining() < _SPARE_SECONDS:
                break
            page = self.listing.page(self.bucket, walk.cursor, PAGE)
            for item in self._find_missed(walk, page):
                self.queue.send(self.bucket, item.key)
                told += 1
            walk = walk.move_to(page[-1].key if len(page) == PAGE else None)
            self.ledger.write(SaveSingleton(walk))
        return told

    def _find_missed(self, walk: Walk, page: Sequence[ListedObject]) -> Iterator[ListedObject]:
        """Yield the objects of a page that submit seems to have missed."""
        newest = walk.begun - GRACE
        oldest = max(walk.since, walk.begun_before - GRACE - OVERLAP)
        # Too new for the previous pass. For specs, the ledger does not record who saw them.
        unseen = max(walk.since, walk.begun_before - GRACE)
        candidates = [item for item in page if oldest <= item.modified < newest]
        images = [item for item in candidates if kind_of(item.key) is KeyKind.IMAGE]
        drops = self.ledger.known_drops([Drop.id_of(self.bucket, item.key) for item in images])
        for item in candidates:
            match kind_of(item.key):
                case KeyKind.IMAGE:
                    if _is_missed(drops.get(Drop.id_of(self.bucket, item.key)), item):
                        yield item
                case KeyKind.SIDECAR | KeyKind.STAND_ALONE | KeyKind.MISNAMED:
                    if item.modified >= unseen:
                        yield item


def _is_missed(drop: Drop | None, item: ListedObject) -> bool:
    if drop is None:
        return True
    half_done = drop.state in OPEN_STATES and not drop.renditions
    if half_done and drop.wait not in ASKED_AGAIN | {WaitReason.SIDECAR}:
        return True
    known = drop.source
    is_newer = known.modified is not None and item.modified - known.modified >= _TICK
    return is_newer or known.etag != item.version.etag
