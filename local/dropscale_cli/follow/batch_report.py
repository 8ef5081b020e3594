"""Writes the report of a run beside its page: what became of its images, as JSON and as CSV."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from dropscale.results.batch_report import BatchReport
from dropscale.specs.keys import BATCH_REPORT_SUFFIX, BATCH_TABLE_SUFFIX
from dropscale_cli.files.results import STATE_NAME, PathInside
from dropscale_cli.tracking.round_trip import FollowedDrop

REPORT_NAME, TABLE_NAME = f"run{BATCH_REPORT_SUFFIX}", f"run{BATCH_TABLE_SUFFIX}"


def write_run_report(out: Path, name: str, drops: Sequence[FollowedDrop]) -> str | None:
    """Write the report of the latest run into its output folder; return a warning if it cannot."""
    manifests = [drop.manifest for drop in drops if drop.manifest]
    report = BatchReport.of_manifests(name, manifests, datetime.now(UTC))
    partial = PathInside(out, f"{STATE_NAME}/report.part")
    try:
        for key, body in ((REPORT_NAME, report.as_json()), (TABLE_NAME, report.as_csv())):
            PathInside(out, key).write([body], partial, is_durable=False)
    except OSError as error:
        return f"Warning: the report in {out} cannot be written: {error.strerror}"
    return None
