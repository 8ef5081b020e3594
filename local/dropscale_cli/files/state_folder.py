"""What a run leaves in its output folder, so that the next one resumes there."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Self

from dropscale.ledger.drops import Drop, NameClaim, Source
from dropscale.ledger.jobs import Job
from dropscale.ledger.states import JobState
from dropscale.pipeline.parts.claim_names import claims_of
from dropscale.specs.keys import SPEC_SUFFIXES
from dropscale_cli.errors import UnusablePath
from dropscale_cli.files.results import STATE_NAME, PathInside, file_below, has_sha256
from dropscale_embedded.durable_sqlite import FileUnusable
from dropscale_embedded.journal import Journal

_API, _ORIGINALS, _SUFFIXES = "api.txt", "originals.json", "sidecar-suffixes.json"


@dataclass(frozen=True)
class StateFolder:
    """The folder `.dropscale` in the output folder `out`."""

    out: Path

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.out / STATE_NAME

    @property
    def journal(self) -> Path:
        """The file with the rows of the stack's tables."""
        return self.path / "journal.sqlite"

    @property
    def log(self) -> Path:
        """The log of the last stack, unless another was named."""
        return self.path / "stack.log"

    @property
    def account(self) -> Path:
        """The folder of the embedded API's account."""
        return self.path / "magic-hour"

    def make(self) -> None:
        """Create it, readable by its owner only, and the output folder.

        Raises:
            UnusablePath: they cannot be created or written to.
        """
        try:
            # It contains copies of images and, in the ledger, their locations at the vendor.
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise UnusablePath(f"{self.out}: cannot be made: {error.strerror}") from error
        if self.path.is_symlink():
            raise UnusablePath(f"{self.path}: is a link; choose another folder with --out.")
        for folder in (self.out, self.path):
            if not os.access(folder, os.W_OK | os.X_OK):
                raise UnusablePath(f"{folder}: cannot be written to; choose another with --out.")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Lock it against other stacks; the system releases the lock when this process ends.

        Raises:
            UnusablePath: another process has it.
        """
        with (self.path / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                raise UnusablePath(
                    f"{self.out}: a stack uses this folder (process {lock.read()}). Wait until it "
                    "ends, or choose another folder with --out."
                ) from None
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield

    def api_name(self) -> str | None:
        """Return the name of the API that made these results; None if no run used this folder."""
        return self._read(_API)

    def require_api(self, api_name: str) -> None:
        """Refuse another API than the folder's: jobs paid at one do not exist at another.

        Raises:
            UnusablePath: the folder has results of another API.
        """
        known = self.api_name()
        if known not in {None, api_name}:
            raise UnusablePath(
                f"{self.out}: has the results of {known}, not of {api_name}. "
                "Choose another folder with --out."
            )

    def bind(self, api_name: str) -> None:
        """Remember the API's name."""
        self._write(_API, api_name)

    def originals(self) -> list[Path]:
        """Return the folders whose images were dropped, the last one first."""
        return [Path(name) for name in json.loads(self._read(_ORIGINALS) or "[]")]

    def remember_originals(self, folder: Path) -> None:
        """Remember a folder whose images are dropped."""
        others = [known for known in self.originals() if known != folder.absolute()]
        names = [str(path) for path in (folder.absolute(), *others)]
        self._write(_ORIGINALS, json.dumps(names))

    def original_of(self, source: Source) -> Path | None:
        """Return the file that was dropped, where it still has the same bytes."""
        file = file_below(self.originals(), source.key, source.bytes)
        try:
            return file if file and source.sha256 and has_sha256(file, source.sha256) else None
        except OSError:
            return None

    def sidecar_suffixes(self) -> list[str]:
        """Return the suffixes of sidecar names that the last run used."""
        known = self._read(_SUFFIXES)
        return json.loads(known) if known is not None else list(SPEC_SUFFIXES)

    def remember_suffixes(self, suffixes: Sequence[str]) -> None:
        """Remember the suffixes of sidecar names."""
        self._write(_SUFFIXES, json.dumps(list(suffixes)))

    def _read(self, name: str) -> str | None:
        file = self.path / name
        return file.read_text(encoding="utf-8") if file.is_file() else None

    def _write(self, name: str, text: str) -> None:
        partial = PathInside(self.path, f"{name}.part")
        PathInside(self.path, name).write([text.encode()], partial, is_durable=True)


@dataclass(frozen=True)
class KeptLedger:
    """Drops by their images' keys, and jobs by their fingerprints."""

    drops: Mapping[str, Drop] = field(default_factory=dict)
    jobs: Mapping[str, Job] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: StateFolder) -> Self:
        """Read a folder's ledger; it is empty if no run used the folder.

        Raises:
            UnusablePath: the journal cannot be read.
        """
        return cls.of(kept_records(folder))

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

    @property
    def records(self) -> Iterable[Drop | Job]:
        """All drops and jobs."""
        return chain(self.drops.values(), self.jobs.values())

    def drop(self, drop_id: str) -> Drop | None:
        """Return a drop by its id; None if it is not known."""
        return self._drops_by_id.get(drop_id)

    def job(self, fingerprint: str) -> Job | None:
        """Return a job; None if it is not known."""
        return self.jobs.get(fingerprint)

    def name_claim(self, name: str) -> NameClaim | None:
        """Return the claim on an output's name; None if it belongs to no drop."""
        return self._claims.get(name)

    @cached_property
    def _drops_by_id(self) -> dict[str, Drop]:
        return {drop.id: drop for drop in self.drops.values()}

    @cached_property
    def _claims(self) -> dict[str, NameClaim]:
        drops = self.drops.values()
        claims = (one.claim for drop in drops for one in claims_of(drop, drop.renditions.values()))
        return {claim.name: claim for claim in claims}

    @property
    def paid(self) -> frozenset[str]:
        """The fingerprints of jobs that will not be paid for automatically."""
        return frozenset(job.fingerprint for job in self.jobs.values() if is_paid(job))

    @property
    def unpaid_prices(self) -> dict[str, int]:
        """The prices, by fingerprint, of jobs that a stack starts automatically."""
        jobs = self.jobs.values()
        return {job.fingerprint: job.parameters.credits for job in jobs if is_left_unpaid(job)}


def is_paid(job: Job) -> bool:
    """Whether a job will not be paid for automatically."""
    return job.state is not JobState.READY and not job.is_refunded


def is_left_unpaid(job: Job) -> bool:
    """Whether a stack starts a job automatically."""
    return job.state is JobState.READY and job.due is not None


def kept_records(folder: StateFolder) -> Iterator[Drop | Job]:
    """Yield the records of a folder's ledger; none if no run used the folder.

    Raises:
        UnusablePath: the journal cannot be read.
    """
    if not folder.journal.is_file():
        return
    from dropscale.aws.ledger import records_in  # noqa: PLC0415 # botocore takes its time

    try:
        with Journal.opened(folder.journal) as journal:
            yield from records_in(row for _, row in journal.rows())
    except FileUnusable as error:
        raise UnusablePath(str(error)) from error
