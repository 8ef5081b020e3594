"""The detail of the EventBridge events about drops."""

import json
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, ConfigDict

from dropscale.ledger.drops import Drop, Output, Reason
from dropscale.ledger.states import DropState, WaitReason
from dropscale.results.manifest import manifest_key

SOURCE = "dropscale"

DETAIL_TYPES = MappingProxyType(
    {
        DropState.WAITING: "Upscale Waiting",
        DropState.DELIVERED: "Upscale Delivered",
        DropState.COMPLETE: "Upscale Delivered",
        DropState.UNKNOWN: "Upscale Unknown",
        DropState.REJECTED: "Upscale Failed",
        DropState.FAILED: "Upscale Failed",
        DropState.CANCELED: "Upscale Failed",
        DropState.TIMED_OUT: "Upscale Failed",
    }
)
"""The events' detail-type, by the drop's state; other states send no event."""


class StoredObject(BaseModel):
    """The location of an object."""

    bucket: str
    key: str
    version_id: str | None = None


class ResultsLocation(BaseModel):
    """The location of results: the keys of outputs are relative to the prefix."""

    bucket: str
    prefix: str


class Announcement(BaseModel):
    """The detail of `Upscale Delivered`, `Failed`, `Waiting` and `Unknown`.

    An event may come twice, and late: `drop_id` and `seq` identify the state that it is about.
    """

    model_config = ConfigDict(title="dropscale event detail")

    version: Literal[1] = 1
    drop_id: str
    seq: int
    state: DropState
    source: StoredObject
    manifest: StoredObject
    results: ResultsLocation
    outputs: tuple[Output, ...]
    credits_charged: int
    waiting_for: WaitReason | None
    reason: Reason | None


def announcement_of(drop: Drop, bucket: str, prefix: str = "") -> Announcement:
    """Return the event detail for a drop, with the bucket and the prefix of the results."""
    renditions = drop.renditions.values()
    source = drop.source
    return Announcement(
        drop_id=drop.id,
        seq=drop.seq,
        state=drop.state,
        source=StoredObject(bucket=source.bucket, key=source.key, version_id=source.version_id),
        manifest=StoredObject(bucket=bucket, key=prefix + manifest_key(source.key)),
        results=ResultsLocation(bucket=bucket, prefix=prefix),
        outputs=tuple(r.output for r in renditions if r.output is not None),
        credits_charged=sum(drop.credits_of(job) or 0 for job in drop.fingerprints),
        waiting_for=drop.wait,
        reason=drop.reason,
    )


def json_schema() -> str:
    """Return the JSON Schema (2020-12) of the events' detail, as text."""
    schema = Announcement.model_json_schema(mode="serialization")
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(dialect | schema, indent=2)
