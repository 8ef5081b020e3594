"""Metrics of drops, which the handlers send to CloudWatch."""

from collections.abc import Iterator
from datetime import datetime
from typing import Literal, NamedTuple

from dropscale.ledger.drops import Drop
from dropscale.ledger.states import DropState


class Measurement(NamedTuple):
    """One value of a metric."""

    name: str
    unit: Literal["Count", "Seconds"]
    value: float


def measurements_of(drop: Drop) -> Iterator[Measurement]:
    """Yield the metrics of a drop's new manifest."""
    yield Measurement(f"drops_{drop.state}", "Count", 1)
    if drop.wait is not None:
        yield Measurement(f"drops_waiting_{drop.wait}", "Count", 1)
    if drop.state is DropState.DELIVERED:
        yield from _latencies(drop)


def _latencies(drop: Drop) -> Iterator[Measurement]:
    """Yield the time from the last request to the result, in all and by stage."""
    at: dict[DropState, datetime] = {}
    for entry in drop.timeline:
        if entry.state is DropState.WAITING and DropState.DELIVERED in at:
            at = {}
        at.setdefault(entry.state, entry.at)
    stages = (
        ("seconds_to_submit", DropState.WAITING, DropState.SUBMITTED),
        ("seconds_to_deliver", DropState.SUBMITTED, DropState.DELIVERED),
        ("seconds_in_all", DropState.WAITING, DropState.DELIVERED),
    )
    for name, begins, ends in stages:
        if begins in at and ends in at:
            yield Measurement(name, "Seconds", (at[ends] - at[begins]).total_seconds())
