"""The summary that a run ends with, as text or JSON."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dropscale.coded_warning import WarningCode
from dropscale.ledger.states import DropState
from dropscale.results.manifest import Manifest, ManifestJob, manifest_key
from dropscale_cli.files.drops import NOTHING_IGNORED, IgnoredFiles
from dropscale_cli.specs.bill import shared_with
from dropscale_cli.terminal import Table, Terminal, say_json
from dropscale_cli.tracking.progress import reason_lines, state_in_words
from dropscale_cli.tracking.round_trip import FollowedDrop


@dataclass(frozen=True)
class Charge:
    """What one of a drop's jobs adds to the total, in credits; if nothing, why."""

    job: ManifestJob
    credits: int
    free_because: str | None = None


@dataclass(frozen=True)
class Summary:
    """A run's outcome.

    Attributes:
        results: The location of results, to put before their keys.
        is_charged: Whether the credits were really charged.
        ignored: Files that are neither an image that the upscaler accepts nor a spec.
        paid_before: The fingerprints of jobs that other commands have paid for.
        page: The path of the page; None: there is none.
        resume: The command that continues images that were given up.
    """

    drops: Sequence[FollowedDrop]
    results: str
    is_charged: bool
    ignored: IgnoredFiles = NOTHING_IGNORED
    paid_before: frozenset[str] = frozenset()
    page: Path | None = None
    resume: str | None = None

    @property
    def is_as_asked(self) -> bool:
        """Whether every image ended as its spec asks."""
        return all(drop.is_as_asked for drop in self.drops)

    @cached_property
    def charges(self) -> dict[str, list[Charge]]:
        """What each job of each drop adds, by the drop's key; as `dropscale plan` announces it."""
        first: dict[str, str] = {}
        return {
            drop.key: [self._charge(drop, job, first) for job in _jobs(drop)] for drop in self.drops
        }

    def _charge(self, drop: FollowedDrop, job: ManifestJob, first: dict[str, str]) -> Charge:
        if job.fingerprint in self.paid_before:
            return Charge(job, 0, "paid before")
        if job.fingerprint in first:
            return Charge(job, 0, shared_with(first[job.fingerprint], drop.key))
        first[job.fingerprint] = drop.key
        return Charge(job, self._credits_by_job[job.fingerprint])

    @property
    def credits(self) -> int:
        """The price of all jobs that were not paid before; a shared one counts once."""
        return sum(charge.credits for charges in self.charges.values() for charge in charges)

    @property
    def credits_before(self) -> int:
        """The price of the other jobs."""
        return sum(self._credits_by_job.values()) - self.credits

    def tell(self, *, as_json: bool) -> None:
        """Print the outcome."""
        if as_json:
            say_json(self.as_json())
        else:
            self.print_text()

    def print_text(self) -> None:
        """Print a table of results, then the images without one, why, and what to do."""
        terminal = Terminal(is_wide=True)
        if rows := [row for drop in self.drops for row in self._rows(drop)]:
            heads = ["Image", "Size", "Mode", "Credits", "Seconds", "Result", ""]
            terminal.say("")
            right = frozenset({"Credits", "Seconds"})
            terminal.show(Table(heads, rows, right, spare=("Result", "Seconds")))
        terminal.say(*self._closing_lines())

    def as_json(self) -> dict[str, Any]:
        """Return the outcome as one JSON object; a drop's `manifest` is the one in the results."""
        drops = [
            {
                **as_json_object(drop),
                "seconds": round(drop.seconds, 3),
                "charges": [
                    {
                        "fingerprint": charge.job.fingerprint,
                        "credits": charge.credits,
                        "free_because": charge.free_because,
                    }
                    for charge in self.charges[drop.key]
                ],
            }
            for drop in self.drops
        ]
        return {
            "as_asked": self.is_as_asked,
            "charged": self.is_charged,
            "credits": self.credits,
            "credits_before": self.credits_before,
            "ignored": len(self.ignored),
            "ignored_files": self.ignored.as_json(),
            "page": self.page and str(self.page),
            "resume": self.resume if self._is_any_given_up else None,
            "drops": drops,
        }

    def _rows(self, drop: FollowedDrop) -> Iterator[Sequence[str]]:
        if drop.manifest is None:
            return
        if drop.state is DropState.SKIPPED:
            size = f"{drop.manifest.source.width}x{drop.manifest.source.height}"
            yield drop.key, size, "", "0", f"{drop.seconds:.1f}", "skipped: large enough", ""
        outputs = [job.output.key for job in drop.manifest.jobs if job.output]
        is_all = len(outputs) == len(drop.files)
        files = dict(zip(outputs, drop.files, strict=True)) if is_all else {}
        for charge in self.charges[drop.key]:
            job = charge.job
            is_shown = drop.is_as_asked and job.state is not DropState.SUPERSEDED
            if not is_shown and not charge.credits:
                continue
            where = files.get(job.output.key) if job.output else None
            key = job.output.key if job.output else manifest_key(drop.key)
            yield (
                drop.key,
                _sizes(drop.manifest, job),
                job.mode,
                str(charge.credits),
                f"{drop.seconds:.1f}",
                str(where or f"{self.results}{key}") if is_shown else job.state.value,
                charge.free_because or "",
            )

    def _closing_lines(self) -> Iterator[str]:
        for drop in self.drops:
            for warning in drop.manifest.warnings if drop.manifest else ():
                if warning.code is not WarningCode.FORGOTTEN:  # A person knows.
                    yield f"Warning: {drop.key}: {warning}"
        left = [drop for drop in self.drops if not drop.is_as_asked]
        for drop in left:
            yield from explanation(drop)
        yield from self.ignored.lines()
        yield ""
        done = len(self.drops) - len(left)
        charged = "charged" if self.is_charged else "not charged: embedded API"
        before = f"; paid before: {self.credits_before}" if self.credits_before else ""
        ignored = f"; other files ignored: {self.ignored}" if self.ignored else ""
        of_all = f"{done} of {len(self.drops)} done"
        yield f"{of_all}, {self.credits} credits ({charged}){before}{ignored}"
        if self.resume and self._is_any_given_up:
            yield f"Nothing is lost. To continue later: {self.resume}"
        if self.page:
            yield str(self.page)

    @property
    def _is_any_given_up(self) -> bool:
        return any(drop.is_given_up for drop in self.drops)

    @cached_property
    def _credits_by_job(self) -> dict[str, int]:
        charged: dict[str, int] = {}
        for job in (job for drop in self.drops for job in _jobs(drop)):
            told = job.credits_charged or 0
            charged[job.fingerprint] = max(told, charged.get(job.fingerprint, 0))
        return charged


def as_json_object(drop: FollowedDrop) -> dict[str, Any]:
    """Return an image as JSON shows it."""
    return {
        "key": drop.key,
        "as_asked": drop.is_as_asked,
        "files": [str(file) for file in drop.files],
        "trouble": drop.trouble,
        "given_up": drop.is_given_up,
        "manifest": drop.manifest and drop.manifest.model_dump(mode="json"),
    }


def explanation(drop: FollowedDrop) -> Iterator[str]:
    """Yield the state of an image that did not end as asked, why, and what to do."""
    yield ""
    yield f"{drop.key}: {state_in_words(drop)}"
    for text in reason_lines(drop):
        yield from (f"  {line}" for line in text.splitlines())


def _jobs(drop: FollowedDrop) -> tuple[ManifestJob, ...]:
    return drop.manifest.jobs if drop.manifest else ()


def _sizes(manifest: Manifest, job: ManifestJob) -> str:
    before = f"{manifest.source.width}x{manifest.source.height}"
    return f"{before} → {job.output.width}x{job.output.height}" if job.output else before
