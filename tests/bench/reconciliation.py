"""How long the sweeper takes to go through a bucket of a million keys, and what that costs.

The use case is the real one; bucket, ledger and time are in memory. One in ten events of the last
day is lost. Exits with 1 if one of them is not made up for, or a run is not bounded.

    python -m tests.bench.reconciliation
"""

import sys
import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dropscale.ledger.drops import Drop, Source
from dropscale.ledger.states import DropState
from dropscale.ledger.walk import Walk
from dropscale.pipeline.parts.ports import ListedObject, ObjectVersion
from dropscale.pipeline.reconcile import PAGE, PAGES_PER_RUN, Reconcile
from tests.fakes import Clock, FakeQueue, MemoryLedger

KEYS = 1_000_000
NEW_EVERY = 100
"""One key in so many is of the last day."""
LOST_EVERY = 10
"""One event in so many of the last day is lost."""
BUCKET = "input"
LIST_DOLLARS = 0.005 / 1000
"""For one ListObjectsV2 request, list price of us-east-1: https://aws.amazon.com/s3/pricing/."""


@dataclass
class Listing:
    """A bucket of which only keys and times are there."""

    keys: Sequence[str]
    began: datetime
    requests: int = 0

    def page(self, _bucket: str, after: str, limit: int) -> list[ListedObject]:
        self.requests += 1
        start = bisect_right(self.keys, after)
        return [
            ListedObject(self.keys[at], ObjectVersion("etag"), self.modified(at))
            for at in range(start, min(start + limit, len(self.keys)))
        ]

    def modified(self, at: int) -> datetime:
        """Return when an object was written: one in `NEW_EVERY` now, the rest long ago."""
        return self.began + timedelta(days=300 if at % NEW_EVERY == 0 else 10)


class CountingLedger(MemoryLedger):
    """Counts lookups."""

    looked_up = 0

    def known_drops(self, drop_ids: Sequence[str]) -> dict[str, Drop]:
        self.looked_up += len(drop_ids)
        return super().known_drops(drop_ids)


def main() -> int:
    """Walk, print what it took, and return the exit code."""
    clock, ledger, queue = Clock(), CountingLedger(), FakeQueue()
    clock.now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    listing = Listing([f"{at:07}.png" for at in range(KEYS)], clock() - timedelta(days=300.5))
    lost = know_drops(ledger, listing)
    ledger.walk_record = Walk(
        since=listing.began,
        begun=clock() - timedelta(hours=12),
        begun_before=clock() - timedelta(hours=13),
    )
    reconcile = Reconcile(ledger, listing, queue, clock, BUCKET)
    runs, longest, began = 0, 0.0, time.process_time()
    while runs == 0 or ledger.walk_record.cursor is not None:
        before, requests = time.process_time(), listing.requests
        reconcile(lambda: 300.0)
        runs += 1
        longest = max(longest, time.process_time() - before)
        if listing.requests - requests > PAGES_PER_RUN:
            return 1
        clock.advance(minutes=1)
    seconds = time.process_time() - began
    lines = [
        f"{KEYS:,} keys, {KEYS // NEW_EVERY:,} of the last day, {len(lost):,} events lost",
        f"runs of the sweeper, one a minute: {runs}",
        f"list requests, {PAGE:,} keys each: {listing.requests:,}, "
        f"${listing.requests * LIST_DOLLARS:.3f}",
        f"drops looked up in the ledger: {ledger.looked_up:,}",
        f"objects sent to submit: {len(queue.keys):,}",
        f"CPU: {seconds:.1f} s in all, {longest * 1000:.0f} ms in the longest run",
    ]
    print("\n".join(lines))  # noqa: T201 # this is its output
    return int(set(queue.keys) != lost)


def know_drops(ledger: MemoryLedger, listing: Listing) -> set[str]:
    """Let the ledger know the new drops but some; return the keys of those."""
    lost = set()
    for number, at in enumerate(range(0, KEYS, NEW_EVERY)):
        key = listing.keys[at]
        if number % LOST_EVERY == 0:
            lost.add(key)
            continue
        drop_id = Drop.id_of(BUCKET, key)
        source = Source(bucket=BUCKET, key=key, etag="etag")
        ledger.drops[drop_id] = Drop(id=drop_id, source=source, state=DropState.DELIVERED)
    return lost


if __name__ == "__main__":
    sys.exit(main())
