"""The detail of the EventBridge events about drops and batches."""

from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, ConfigDict

from dropscale.ledger.batches import Batch, Settlement
from dropscale.ledger.drops import Drop, Output, Reason
from dropscale.ledger.rows import Instant
from dropscale.ledger.states import DropState, WaitReason
from dropscale.results.batch_report import ReportTotals, report_keys
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


BATCH_DETAIL_TYPE = "Upscale Batch Settled"


class BatchAnnouncement(BaseModel):
    """The detail of `Upscale Batch Settled`: no image of a batch is open any more.

    An event may come twice, and late: `batch` and `settlement` identify it.
    """

    model_config = ConfigDict(title="dropscale batch event detail")

    version: Literal[1] = 1
    batch: str
    settlement: str
    quiet_since: Instant
    input_bucket: str
    report: StoredObject
    table: StoredObject
    results: ResultsLocation
    parts: int
    totals: ReportTotals


def batch_announcement_of(
    batch: Batch, settlement: Settlement, bucket: str, prefix: str = ""
) -> BatchAnnouncement:
    """Return the event detail for a settlement; `report` and `table` are the report's last part."""
    report, table = (
        StoredObject(bucket=bucket, key=prefix + key)
        for key in report_keys(batch.path, settlement.id, settlement.parts)
    )
    return BatchAnnouncement(
        batch=batch.path,
        settlement=settlement.id,
        quiet_since=settlement.quiet_since,
        input_bucket=batch.bucket,
        report=report,
        table=table,
        results=ResultsLocation(bucket=bucket, prefix=prefix),
        parts=settlement.parts,
        totals=ReportTotals.of(settlement.totals),
    )
