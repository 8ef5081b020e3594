"""Where commands find a ledger and its stack: in an output folder, or on AWS."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

from dropscale.aws.object_events import created_objects
from dropscale.ledger.drops import Drop, Output, Source
from dropscale.pipeline.parts.ports import OutputLabels
from dropscale.results.manifest import manifest_of
from dropscale_cli.errors import JournalStopped, StartFailed, UnusablePath
from dropscale_cli.files.drops import Drops
from dropscale_cli.files.results import advice_on_missing, collected_file
from dropscale_cli.files.state_folder import KeptLedger, StateFolder
from dropscale_cli.page.gallery import LivePage
from dropscale_cli.specs.bill import Bill, bill_for, lines_about
from dropscale_cli.stacks.local_stack import (
    STACK,
    ChosenApi,
    local_cloud,
    remembered_api,
    target_of,
)
from dropscale_cli.terminal import Terminal, on_one_line
from dropscale_cli.tracking.progress import progress_on
from dropscale_cli.tracking.round_trip import (
    PATIENCE_SECONDS,
    FollowedDrop,
    Reporter,
    RoundTrip,
    Transfer,
)
from dropscale_embedded.durable_sqlite import FileUnusable
from dropscale_embedded.journal import Journal, JournalFailed

if TYPE_CHECKING:
    from dropscale_cli.stacks.aws_target import AwsTarget


_LOOK_SECONDS = 0.2
"""The shortest pause between two looks, however much is written."""
_QUIET_SECONDS = 0.5
"""The further pause when nothing is written."""


@dataclass(frozen=True)
class Session:
    """A running stack, the round trip of images through it, and their page."""

    target: AwsTarget
    round_trip: RoundTrip
    page: LivePage | None


@contextmanager
def _session(
    place: OutputFolder,
    console: Terminal,
    originals: Iterable[tuple[Source, Path]],
    outputs: Iterable[tuple[Output, OutputLabels, Path]],
) -> Iterator[Session]:
    """Run the stack of an output folder, which this process holds, until the block ends.

    `originals` and `outputs` are files that it may need and does not have.

    Raises:
        StartFailed: the stack could not start.
        JournalStopped: while images were followed, the journal could no longer be written.
    """
    folder, log = place.folder, place.log
    with ExitStack() as started:
        try:
            journal = started.enter_context(Journal.opened(folder.journal))
        except FileUnusable as error:
            raise StartFailed(str(error)) from error
        served, parameters = started.enter_context(place.api.opened(folder.account, console))
        # Specs are dropped before images, so no image needs time to settle.
        parameters["SettleSeconds"] = "0"
        parameters["SidecarSuffixes"] = ",".join(folder.sidecar_suffixes())
        progress = started.enter_context(progress_on(console, "Starting the stack"))
        page = started.enter_context(LivePage.kept_up(folder.out))
        started.callback(setattr, progress, "doing", "Writing the page")
        if log is None:
            log = folder.log
            log.unlink(missing_ok=True)
        cloud = started.enter_context(
            local_cloud(
                served, parameters, log=log, journal=journal, originals=originals, outputs=outputs
            )
        )
        started.callback(setattr, progress, "doing", "Stopping the stack")

        def pause() -> None:
            time.sleep(_LOOK_SECONDS)
            cloud.wait_for_object(_QUIET_SECONDS)
            for body in cloud.take_failed():
                console.say(*failure_lines(body, log))
            try:
                journal.require_working()
            except JournalFailed as error:
                raise JournalStopped(f"{folder.journal}: {error.__cause__}") from error

        target = target_of(cloud)
        told = TellsAll([progress, page])
        trip = RoundTrip(target, folder.out, told, time.monotonic, pause, place.patience)
        progress.doing = None
        yield Session(target, trip, page)


def failure_lines(body: str, log: Path) -> Iterator[str]:
    """Say which images the stack failed on, and why, according to its log."""
    keys = [key for _, key in created_objects(json.loads(body))]
    reasons = dict.fromkeys(keys, "the log does not say why")
    for line in log.read_text("utf-8", "replace").splitlines() if log.is_file() else ():
        with suppress(ValueError, TypeError, KeyError):
            entry = json.loads(line)
            if entry["key"] in reasons and "exception_name" in entry:
                reasons[entry["key"]] = entry["exception"].strip().splitlines()[-1]
    for key, reason in reasons.items():
        yield f"{key}: the stack failed: {on_one_line(reason)}"
    yield (
        "The stack tries again within 12 minutes, or at once if you stop it and run again. Log: "
        f"{log}"
    )


@dataclass(frozen=True)
class TellsAll:
    """A `Reporter` that passes reports to others."""

    others: Sequence[Reporter]

    def update(self, drop: FollowedDrop) -> None:
        """See `Reporter.update`."""
        for other in self.others:
            other.update(drop)

    def moved(self, transfer: Transfer) -> None:
        """See `Reporter.moved`."""
        for other in self.others:
            other.moved(transfer)


class PlannedRun(Protocol):
    """What a place would do with files that are not dropped yet."""

    @property
    def price(self) -> int:
        """The highest price, in credits."""

    def warnings(self) -> Iterable[str]:
        """Yield what a person should know before agreeing to the price."""

    def bring(self, trip: RoundTrip, say: Callable[[str], None]) -> None:
        """Upload files that the place does not have yet, and follow all images to their end.

        `say` reports problems.

        Raises:
            UnusablePath: a file could not be read.
        """

    def paid_before(self, followed: Sequence[FollowedDrop]) -> frozenset[str]:
        """Return the fingerprints of jobs that this run did not pay for."""


class Place(Protocol):
    """An output folder with the state of its runs, or a deployed stack."""

    @property
    def name(self) -> str:
        """The name that an output folder remembers."""

    @property
    def input_prefix(self) -> str:
        """The prefix that keys of drops must have."""

    @property
    def sidecar_suffixes(self) -> Sequence[str] | None:
        """The suffixes of sidecar names there; None: those of the command's option."""

    def plan_run(self, drops: Drops) -> PlannedRun:
        """Plan a run of these drops."""

    @property
    def charged_at(self) -> str | None:
        """Where credits are charged, in words; None: nothing is charged."""

    @property
    def results(self) -> str:
        """The location of results, to put before their keys."""

    def command(self, *arguments: str) -> str:
        """Return a `dropscale` command on it, for a shell."""

    def held(self) -> AbstractContextManager[None]:
        """Lock it against other commands, if only one may use it at a time."""

    def ledger(self, key: str | None = None) -> KeptLedger:
        """Return the whole ledger, or its records of one drop."""

    def as_it_stands(self, drop: Drop) -> FollowedDrop:
        """Return a drop of the ledger, together with its results."""

    def price(self, ledger: KeptLedger, prices: Mapping[str, int]) -> int:
        """Return the price of these jobs, in credits."""

    def session(
        self,
        console: Terminal,
        *,
        retried: Collection[str] = (),
        dropped: Collection[str] = (),
    ) -> AbstractContextManager[Session]:
        """Run the stack until the block ends.

        The keys `retried` will be retried, and the keys `dropped` dropped again.
        """


@dataclass(frozen=True)
class OutputFolder:
    """A `Place` on this machine, whose stack runs only for a command.

    Attributes:
        environment: Contains the key of a real API.
        log: Where the stack logs; None: nowhere.
        chosen: The API of a run; None: that of earlier runs.
        patience: See `RoundTrip`.
    """

    folder: StateFolder
    environment: Mapping[str, str]
    log: Path | None = None
    chosen: ChosenApi | None = None
    patience: float = PATIENCE_SECONDS
    input_prefix: ClassVar[str] = ""
    sidecar_suffixes: ClassVar[None] = None

    @classmethod
    def at(cls, out: Path, environment: Mapping[str, str], log: Path | None = None) -> OutputFolder:
        """Return the place of an output folder.

        Raises:
            UnusablePath: no run used the folder, or one on a deployed stack did.
        """
        folder = StateFolder(out)
        known = folder.api_name()
        if known is None:
            raise UnusablePath(
                f"{out}: no run has used this folder; name its output folder with --out."
            )
        if known.startswith(STACK):
            name = shlex.quote(known.removeprefix(STACK))
            raise UnusablePath(f"{out}: has the results of {known}; add --stack {name}.")
        return cls(folder, environment, log)

    @cached_property
    def api(self) -> ChosenApi:
        """The API that it calls."""
        return self.chosen or remembered_api(self.folder.api_name() or "", self.environment)

    @property
    def name(self) -> str:
        """See `Place.name`."""
        return self.api.name

    def plan_run(self, drops: Drops) -> PlannedRun:
        """See `Place.plan_run`."""
        return _LocalRun(drops, self.ledger(), self.api)

    @property
    def charged_at(self) -> str | None:
        """See `Place.charged_at`."""
        return self.api.name if self.api.is_charged else None

    @property
    def results(self) -> str:
        """See `Place.results`."""
        return f"{self.folder.out}/"

    def command(self, *arguments: str) -> str:
        """See `Place.command`."""
        return shlex.join(["dropscale", *arguments, "--out", str(self.folder.out)])

    def held(self) -> AbstractContextManager[None]:
        """See `Place.held`."""
        return self.folder.held()

    def ledger(self, key: str | None = None) -> KeptLedger:
        """See `Place.ledger`; it is always the whole one."""
        return KeptLedger.read(self.folder)

    def as_it_stands(self, drop: Drop) -> FollowedDrop:
        """See `Place.as_it_stands`."""
        out, followed = self.folder.out, followed_drop_of(drop)
        manifest = manifest_of(drop)
        outputs = [job.output for job in manifest.jobs if job.output]
        found = {output.key: collected_file(out, output) for output in outputs}
        missing = [key for key, file in found.items() if file is None]
        followed = replace(followed, files=tuple(file for file in found.values() if file))
        if missing:
            advice = advice_on_missing(manifest, self.command("retry", drop.source.key))
            trouble = f"{self.results}{missing[0]} is missing; {advice}"
            return replace(followed, trouble=trouble)
        return followed

    def price(self, ledger: KeptLedger, prices: Mapping[str, int]) -> int:
        """See `Place.price`: when its stack starts, it also pays for jobs that were left unpaid."""
        return sum({**ledger.unpaid_prices, **prices}.values())

    def session(
        self,
        console: Terminal,
        *,
        retried: Collection[str] = (),
        dropped: Collection[str] = (),
    ) -> AbstractContextManager[Session]:
        """See `Place.session`; results that are not finished need their originals."""

        def is_needed(drop: Drop) -> bool:
            key = drop.source.key
            if drop.source.sha256 is None or not drop.renditions:
                return False  # Only a spec was dropped, or nothing can be delivered.
            is_to_come = key not in dropped and not followed_drop_of(drop).is_settled
            return key in retried or is_to_come

        ledger = self.ledger()
        needed = [drop.source for drop in ledger.drops.values() if is_needed(drop)]
        originals = self._originals(needed, console)
        return _session(self, console, originals, self._outputs(ledger, retried))

    def _outputs(
        self, ledger: KeptLedger, retried: Collection[str]
    ) -> Iterator[tuple[Output, OutputLabels, Path]]:
        """Yield files of jobs whose results the API may have deleted, or may delete soon.

        For each forgotten job one file; for those of the keys `retried`, all their files.
        """
        asked = {name for key in retried for name in ledger.drops[key].fingerprints}
        gone = {job.fingerprint for job in ledger.jobs.values() if job.forgetting_since}
        for drop in ledger.drops.values():
            for rendition in drop.renditions.values():
                name, output = rendition.fingerprint, rendition.output or rendition.earlier_output
                if output is None or name not in asked | gone:
                    continue
                if file := collected_file(self.folder.out, output):
                    gone -= {name}
                    labels = OutputLabels(name, drop.id, output.sha256, rendition.project_id)
                    yield output, labels, file

    def _originals(
        self, sources: Iterable[Source], console: Terminal
    ) -> Iterator[tuple[Source, Path]]:
        """Yield dropped images with their paths; warn about any that cannot be found."""
        for source in sources:
            if file := self.folder.original_of(source):
                yield source, file
                continue
            folders = ", ".join(str(folder) for folder in self.folder.originals())
            console.say(
                f"Warning: {source.key}: the image is not in {folders} or has changed, so its "
                "result will lack its metadata. To fix it, put the image back, delete the "
                "result, and run: " + self.command("retry", source.key)
            )


@dataclass(frozen=True)
class _LocalRun:
    """A `PlannedRun` of a stack started for it; if nothing is charged, no file is read."""

    drops: Drops
    ledger: KeptLedger
    api: ChosenApi

    @cached_property
    def _bill(self) -> Bill:
        return bill_for(self.drops, self.ledger.records)

    @property
    def price(self) -> int:
        """See `PlannedRun.price`."""
        return self._bill.credits if self.api.is_charged else 0

    def warnings(self) -> Iterable[str]:
        """See `PlannedRun.warnings`."""
        if not self.api.is_charged:
            return []
        account = self.api.account(self.price, self._bill.scale_factors)
        return [*lines_about(self._bill.losses), *(account.lines() if account else [])]

    def bring(self, trip: RoundTrip, say: Callable[[str], None]) -> None:
        """See `PlannedRun.bring`; the stack's buckets are empty, so all files are uploaded."""
        trip(self.drops)

    def paid_before(self, followed: Sequence[FollowedDrop]) -> frozenset[str]:
        """See `PlannedRun.paid_before`."""
        return self.ledger.paid


def place_of(
    stack: str | None,
    out: Path,
    environment: Mapping[str, str],
    log: Path | None = None,
    *,
    are_results_kept: bool = False,
) -> Place:
    """Return the stack of that name; without a name, the output folder.

    If `are_results_kept`, the stack's results are also downloaded into the output folder.

    Raises:
        StackUnreachable: the stack does not exist or cannot be reached. UnusablePath: see
            `OutputFolder.at`.
    """
    if stack is None:
        return OutputFolder.at(out, environment, log)
    # Importing boto3 is slow, and an output folder does not need it.
    from dropscale_cli.follow.deployed_stack import DeployedStack  # noqa: PLC0415 # see above

    return DeployedStack.named(stack, out if are_results_kept else None)


def followed_drop_of(drop: Drop) -> FollowedDrop:
    """Return a drop as its row describes it."""
    source = drop.source
    return FollowedDrop(source.key, source.version_id, dropped_at=0.0, manifest=manifest_of(drop))
