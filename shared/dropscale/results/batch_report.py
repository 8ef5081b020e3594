"""The report of a settled batch: what became of its images, as JSON and as a table in CSV."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict

from dropscale.ledger.batches import (
    BatchLine,
    LineJob,
    Settlement,
    Span,
    Totals,
    jobs_in,
    output_keys,
    short_reason,
)
from dropscale.ledger.drops import Drop, Reason
from dropscale.ledger.rows import Instant
from dropscale.ledger.states import DropState, WaitReason
from dropscale.results.manifest import Manifest
from dropscale.results.output_key import fitting_key
from dropscale.specs.keys import BATCH_REPORT_SUFFIX, BATCH_TABLE_SUFFIX
from dropscale.upscaler import price

_COLUMNS = (
    "key",
    "state",
    "waiting_for",
    "credits",
    "refunded",
    "seconds",
    "outputs",
    "code",
    "message",
    "fix",
)
_FORMULA_SIGNS = tuple("=+-@\uff1d\uff0b\uff0d\uff20")
"""The wide ones of East Asian keyboards count, too."""


class ReportImage(BaseModel):
    """One image of a batch. A job that images share counts for the first of them only."""

    key: str
    state: DropState
    waiting_for: WaitReason | None
    reason: Reason | None
    outputs: tuple[str, ...]
    credits: int
    refunded: int
    seconds: float


class ReportTotals(BaseModel):
    """The sums of a report and of its earlier parts.

    `pending` images wait for a sidecar, a person or the budget, or are `unknown` or `timed_out`.
    """

    images: int
    delivered: int
    skipped: int
    failed: int
    pending: int
    credits: int
    refunded: int
    seconds: float

    @classmethod
    def of(cls, totals: Totals) -> Self:
        """Return the sums as the report shows them."""
        return cls.model_validate({**totals.model_dump(), "seconds": _seconds(totals.span)})


class BatchReport(BaseModel):
    """The file `<batch>.<settlement>.dropscale-batch.json` in the results bucket.

    Of more than 10,000 images there are several parts; the last one has the sums of all.
    """

    model_config = ConfigDict(title="dropscale batch report")

    version: Literal[1] = 1
    batch: str
    settlement: str
    quiet_since: Instant
    part: int
    is_last: bool
    totals: ReportTotals
    images: tuple[ReportImage, ...]

    @classmethod
    def of(
        cls, path: str, settlement: Settlement, lines: Sequence[BatchLine], *, is_last: bool
    ) -> Self:
        """Return the latest part of a batch's report, which has these lines."""
        return cls(
            batch=path,
            settlement=settlement.id,
            quiet_since=settlement.quiet_since,
            part=settlement.parts,
            is_last=is_last,
            totals=ReportTotals.of(settlement.totals),
            images=tuple(_images(lines)),
        )

    @classmethod
    def of_manifests(cls, name: str, manifests: Iterable[Manifest], now: datetime) -> Self:
        """Return the report of images that were upscaled together, by their manifests."""
        lines = [line_of(manifest) for manifest in manifests]
        totals = Totals().with_lines(lines)
        run = Settlement(id=f"{now:%Y%m%dT%H%M%SZ}", quiet_since=now, parts=1, totals=totals)
        return cls.of(name, run, lines, is_last=True)

    def as_json(self) -> bytes:
        """Return it as JSON, indented, in UTF-8."""
        return self.model_dump_json(indent=2).encode()

    def as_csv(self) -> bytes:
        """Return it as a table for spreadsheets, in UTF-8 with a byte-order mark.

        A cell that a spreadsheet could take for a formula begins with an apostrophe:
        https://owasp.org/www-community/attacks/CSV_Injection.
        """
        text = io.StringIO()
        table = csv.writer(text)
        table.writerow(_COLUMNS)
        for image in self.images:
            table.writerow(map(_cell, _cells(image)))
        return text.getvalue().encode("utf-8-sig")


def line_of(manifest: Manifest) -> BatchLine:
    """Return what a drop's manifest tells a report: once it is settled, the same as its row."""
    source = manifest.source
    return BatchLine(
        drop_id=Drop.id_of(source.bucket, source.key),
        key=source.key,
        state=manifest.state,
        waiting_for=manifest.waiting_for,
        reason=short_reason(manifest.reason),
        outputs=output_keys(manifest.jobs),
        jobs=tuple(LineJob.of(job, price(job.scale_factor, job.mode)) for job in manifest.jobs),
        span=Span.of(manifest.timeline),
    )


def report_keys(path: str, settlement: str, part: int = 1) -> tuple[str, str]:
    """Return the keys of one part of a batch's report, as JSON and as CSV.

    No output and no manifest ends like them.
    """
    number = f".{part}" if part > 1 else ""
    report, table = (
        fitting_key(path, f".{settlement}{number}{suffix}")
        for suffix in (BATCH_REPORT_SUFFIX, BATCH_TABLE_SUFFIX)
    )
    return report, table


def _images(lines: Sequence[BatchLine]) -> Iterator[ReportImage]:
    left = jobs_in(lines)
    for line in sorted(lines, key=lambda line: line.key):
        own = [left.pop(job.fingerprint) for job in line.jobs if job.fingerprint in left]
        yield ReportImage(
            key=line.key,
            state=line.state,
            waiting_for=line.waiting_for,
            reason=line.reason,
            outputs=line.outputs,
            credits=sum(job.credits for job in own),
            refunded=sum(job.refunded for job in own),
            seconds=_seconds(line.span),
        )


def _seconds(span: Span | None) -> float:
    return round(span.seconds, 3) if span else 0.0


def _cells(image: ReportImage) -> Iterator[object]:
    yield from (image.key, image.state, image.waiting_for, image.credits, image.refunded)
    yield from (image.seconds, " | ".join(image.outputs))
    reason = image.reason
    yield from (reason.code, reason.message, reason.fix) if reason else ("", "", "")


def _cell(value: object) -> object:
    """Return a value for a cell: text on one line that no spreadsheet takes for a formula."""
    if not isinstance(value, str):
        return value
    text = value.replace("\r", " ").replace("\n", " ")
    # Where numbers have a decimal comma, spreadsheets separate cells at semicolons.
    return ";".join(
        f"'{part}" if part.lstrip().startswith(_FORMULA_SIGNS) else part for part in text.split(";")
    )
