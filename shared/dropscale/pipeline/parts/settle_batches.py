"""Settles batches: reports on their drops once none has been open for long enough."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from dropscale.ledger.batches import MOST_LINES, Batch, BatchLine, Settlement
from dropscale.ledger.store import Ledger, LedgerConflict, SaveBatch
from dropscale.pipeline.parts.ports import Clock, ResultsBucket
from dropscale.results.batch_report import BatchReport, report_keys

AnnounceBatch = Callable[[Batch, Settlement], bool]
"""Announces a settlement; False: it failed and must be called again."""


@dataclass(frozen=True)
class SettleBatch:
    """Brings a batch that is due one step further: to be quiet, a part of its report, its event.

    News of a drop wakes the batch, which changes its row. So the one write that settles it fails if
    a drop has changed since the batch became quiet, and all lines were read after that.
    """

    ledger: Ledger
    results: ResultsBucket
    announce: AnnounceBatch
    clock: Clock
    quiet: timedelta
    most_lines: int = MOST_LINES

    def __call__(self, batch: Batch) -> bool:
        """Take the next step of a batch, if it is still due; return whether that settled it."""
        now = self.clock()
        if batch.due is None or batch.due > now:
            return False
        with suppress(LedgerConflict):  # Somebody woke it, or another sweep was first.
            if batch.unannounced is not None:
                if not self.announce(batch, batch.unannounced):
                    return False
                batch = self._save(batch.note_announced())
            if not batch.is_awake:
                return False
            if self.ledger.has_open_drops(batch.id):
                self._save(batch.wait(now))
            elif batch.next is None:
                self._save(batch.become_quiet(now, now + self.quiet))
            else:
                return self._report(batch, batch.next)
        return False

    def _report(self, batch: Batch, prepared: Settlement) -> bool:
        """Write the next part of a quiet batch's report; return whether it was the last."""
        # One more tells whether these are the last.
        lines = self.ledger.batch_lines(batch.id, prepared.cursor, self.most_lines + 1)
        is_last = len(lines) <= self.most_lines
        lines, now = lines[: self.most_lines], self.clock()
        if any(line.is_open for line in lines):
            self._save(batch.wait(now))
            return False
        if lines:
            prepared = prepared.with_part(lines)
            self._put_part(batch, prepared, lines, is_last=is_last)
        if not is_last:
            self._save(batch.pass_on(prepared))
        elif prepared.parts:
            self._save(batch.settle(prepared, now))
        else:
            self._save(batch.rest())
        return is_last

    def _put_part(
        self, batch: Batch, prepared: Settlement, lines: Sequence[BatchLine], *, is_last: bool
    ) -> None:
        """Write one part of the report as JSON and as CSV; an earlier try may have done so."""
        report = BatchReport.of(batch.path, prepared, lines, is_last=is_last)
        report_key, table_key = report_keys(batch.path, prepared.id, prepared.parts)
        self.results.put_report(table_key, report.as_csv(), "text/csv; charset=utf-8")
        self.results.put_report(report_key, report.as_json(), "application/json")

    def _save(self, batch: Batch) -> Batch:
        self.ledger.write(SaveBatch(batch))
        return batch
