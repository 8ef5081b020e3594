"""What a ledger knew when it was read: that of a stack, or the journal of an output folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from dropscale.ledger.drops import Drop
from dropscale.ledger.jobs import Job
from dropscale.ledger.states import JobState
from dropscale_cli.errors import UnusablePath
from dropscale_cli.state_folder import StateFolder
from dropscale_embedded.durable_sqlite import FileUnusable
from dropscale_embedded.journal import Journal


@dataclass(frozen=True)
class KeptLedger:
    """Drops by their images' keys, and jobs by their fingerprints."""

    drops: Mapping[str, Drop] = field(default_factory=dict)
    jobs: Mapping[str, Job] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: StateFolder) -> Self:
        """Read what a folder has; nothing, if no run has been there.

        Raises:
            UnusablePath: the journal cannot be read.
        """
        if not folder.journal.is_file():
            return cls()
        from dropscale.aws.ledger import records_in  # noqa: PLC0415 # botocore takes its time

        try:
            with Journal.opened(folder.journal) as journal:
                records = list(records_in(row for _, row in journal.rows()))
        except FileUnusable as error:
            raise UnusablePath(str(error)) from error
        return cls.of(records)

    @classmethod
    def of(cls, records: Iterable[Drop | Job]) -> Self:
        """Return the ledger of these records."""
        drops, jobs = dict[str, Drop](), dict[str, Job]()
        for record in records:
            if isinstance(record, Drop):
                drops[record.source.key] = record
            else:
                jobs[record.fingerprint] = record
        return cls(drops, jobs)

    def drop(self, drop_id: str) -> Drop | None:
        """Return a drop by its id, None if it is not known."""
        return next((drop for drop in self.drops.values() if drop.id == drop_id), None)

    def job(self, fingerprint: str) -> Job | None:
        """Return a job, None if it is not known."""
        return self.jobs.get(fingerprint)

    @property
    def paid(self) -> frozenset[str]:
        """The fingerprints of jobs that nothing will be paid for any more, by itself."""
        return frozenset(
            job.fingerprint
            for job in self.jobs.values()
            if job.state is not JobState.READY and not job.is_refunded
        )

    @property
    def unpaid_prices(self) -> dict[str, int]:
        """What the jobs cost, by fingerprint, that a stack starts by itself."""
        jobs = self.jobs.values()
        return {
            job.fingerprint: job.parameters.credits
            for job in jobs
            if job.state is JobState.READY and job.due is not None
        }
