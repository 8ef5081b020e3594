"""Which batch a drop is in, and how the batch learns of it."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from dropscale.ledger.batches import Batch, batch_id
from dropscale.ledger.drops import Drop
from dropscale.ledger.store import Change, LeaveBatch, Ledger, LedgerConflict, SaveBatch

_ATTEMPTS = 10

BatchOf = Callable[[Drop], str | None]
"""Returns the path of the batch that a drop belongs to now; None: it belongs to none."""


def stay(drop: Drop) -> str | None:
    """Leave a drop in the batch that it is in."""
    return drop.batch


def or_stay(batch_of: BatchOf) -> BatchOf:
    """Return the same, but a drop stays in its batch if the specs of its folders cannot be read."""

    def batch_or_stay(drop: Drop) -> str | None:
        with suppress(Exception):
            return batch_of(drop)
        return drop.batch

    return batch_or_stay


def leaves_batch(before: Drop, after: Drop) -> list[Change]:
    """Return the changes that take a drop out of the batch that a step has let it leave."""
    if before.batch is None or before.batch == after.batch:
        return []
    return [LeaveBatch(batch_id(before.source.bucket, before.batch), before.id)]


def wake_batch(ledger: Ledger, drop: Drop, now: datetime) -> bool:
    """Let a drop's batch know if there is news of it; False: others changed the batch each time.

    The drop and its line were written before, so a batch that is awake already will read them, and
    nothing is written: thousands of drops do not compete for its row. One that prepares a
    settlement, or has none due, wakes up.
    """
    if drop.news_for is None:
        return True
    new = Batch.first(drop.source.bucket, drop.news_for)
    for _ in range(_ATTEMPTS):
        batch = ledger.batch(new.id) or new
        awake = batch.wake(now)
        if awake is batch:
            return True
        with suppress(LedgerConflict):
            ledger.write(SaveBatch(awake))
            return True
    return False
