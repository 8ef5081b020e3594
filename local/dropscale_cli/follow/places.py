"""Where commands find a ledger and its stack: in an output folder, or elsewhere."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dropscale.ledger.drops import Drop
from dropscale.magichour.urls import is_loopback
from dropscale.results.manifest import manifest_of
from dropscale_cli.errors import JournalStopped, StartFailed, UnusablePath
from dropscale_cli.files.results import collected_file
from dropscale_cli.files.state_folder import KeptLedger, StateFolder
from dropscale_cli.follow.progress import progress_on
from dropscale_cli.follow.round_trip import PATIENCE_SECONDS, FollowedDrop, Reporter, RoundTrip
from dropscale_cli.page.gallery import LivePage
from dropscale_cli.stacks.local_stack import ChosenApi, local_cloud, remembered_api, target_of
from dropscale_cli.terminal import Terminal
from dropscale_embedded.durable_sqlite import FileUnusable
from dropscale_embedded.journal import Journal, JournalFailed

if TYPE_CHECKING:
    from dropscale_cli.stacks.aws_target import AwsTarget


_LOOK_SECONDS = 0.2
"""Between two looks at the least, however much is written."""
_QUIET_SECONDS = 0.5
"""And more where nothing is."""


@dataclass(frozen=True)
class Session:
    """A running stack, what follows images on it into the output folder, and the page of them."""

    target: AwsTarget
    round_trip: RoundTrip
    page: LivePage | None


@contextmanager
def session(
    folder: StateFolder,
    api: ChosenApi,
    console: Terminal,
    log: Path | None,
    patience: float = PATIENCE_SECONDS,
) -> Iterator[Session]:
    """Run the stack of an output folder, which this process holds, until the block ends.

    `patience` is that of its `RoundTrip`.

    Raises:
        StartFailed: the stack could not start.
        JournalStopped: while images were followed, the journal could no longer be written.
    """
    folder.bind(api.name)
    with ExitStack() as started:
        try:
            journal = started.enter_context(Journal.opened(folder.journal))
        except FileUnusable as error:
            raise StartFailed(str(error)) from error
        page = started.enter_context(LivePage.kept_up(folder.out))
        served, parameters = started.enter_context(api.opened(folder.account, console))
        # Specs are dropped before images, so nothing needs time to settle.
        parameters["SettleSeconds"] = "0"
        parameters["SidecarSuffixes"] = ",".join(folder.sidecar_suffixes())
        progress = started.enter_context(progress_on(console, "Starting the stack"))
        cloud = started.enter_context(local_cloud(served, parameters, log=log, journal=journal))
        started.callback(setattr, progress, "doing", "Stopping the stack")

        def pause() -> None:
            time.sleep(_LOOK_SECONDS)
            cloud.wait_for_object(_QUIET_SECONDS)
            try:
                journal.require_working()
            except JournalFailed as error:
                raise JournalStopped(f"{folder.journal}: {error.__cause__}") from error

        target = target_of(cloud)
        told = TellsAll([progress, page])
        trip = RoundTrip(target, folder.out, told, time.monotonic, pause, patience)
        progress.doing = None
        yield Session(target, trip, page)


@dataclass(frozen=True)
class TellsAll:
    """A `Reporter` that tells others."""

    others: Sequence[Reporter]

    def update(self, drop: FollowedDrop) -> None:
        """See `Reporter.update`."""
        for other in self.others:
            other.update(drop)


_STACK_LOOK_SECONDS = 2.0
"""Each look at a stack elsewhere is a few requests."""


class Place(Protocol):
    """An output folder with what runs have left there, or a stack elsewhere."""

    @property
    def charged_at(self) -> str | None:
        """Whose credits are spent, in words; None: nothing is charged."""

    @property
    def results(self) -> str:
        """Where results lie, as what their keys come after."""

    def command(self, *arguments: str) -> str:
        """Return a `dropscale` command on it, for a shell."""

    def held(self) -> AbstractContextManager[None]:
        """Keep other commands away from it, if two at once would be one too many."""

    def ledger(self, key: str | None = None) -> KeptLedger:
        """Return all that the ledger knows, or what it knows of one drop."""

    def as_it_stands(self, drop: Drop) -> FollowedDrop:
        """Return a drop of the ledger, together with its results."""

    def price(self, ledger: KeptLedger, prices: Mapping[str, int]) -> int:
        """Return what it costs to have these jobs paid, in credits."""

    def session(self, console: Terminal) -> AbstractContextManager[Session]:
        """Have the stack run until the block ends."""


@dataclass(frozen=True)
class OutputFolder:
    """A `Place` on this machine, whose stack runs only for a command.

    Attributes:
        environment: Holds the key of a real API.
        log: Where the stack logs; None: nowhere.
    """

    folder: StateFolder
    environment: Mapping[str, str]
    log: Path | None = None

    @classmethod
    def at(cls, out: Path, environment: Mapping[str, str], log: Path | None = None) -> OutputFolder:
        """Return the place of an output folder.

        Raises:
            UnusablePath: no run has been there.
        """
        folder = StateFolder(out)
        if folder.api_name() is None:
            raise UnusablePath(f"{out}: no run has been here; name its folder with --out.")
        return cls(folder, environment, log)

    @cached_property
    def api(self) -> ChosenApi:
        """The API that the folder's runs were on."""
        return remembered_api(self.folder.api_name() or "", self.environment)

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
        """See `Place.ledger`; it always knows all."""
        return KeptLedger.read(self.folder)

    def as_it_stands(self, drop: Drop) -> FollowedDrop:
        """See `Place.as_it_stands`."""
        out, followed = self.folder.out, _followed_drop_of(drop)
        outputs = [job.output for job in manifest_of(drop).jobs if job.output]
        found = {output.key: collected_file(out, output) for output in outputs}
        missing = [key for key, file in found.items() if file is None]
        followed = replace(followed, files=tuple(file for file in found.values() if file))
        if missing:
            command = self.command("retry", drop.source.key)
            trouble = f"{self.results}{missing[0]} is missing; free again by: {command}"
            return replace(followed, trouble=trouble)
        return followed

    def price(self, ledger: KeptLedger, prices: Mapping[str, int]) -> int:
        """See `Place.price`: when its stack starts, it also pays what was left unpaid."""
        return sum({**ledger.unpaid_prices, **prices}.values())

    def session(self, console: Terminal) -> AbstractContextManager[Session]:
        """See `Place.session`."""
        return session(self.folder, self.api, console, self.log)


@dataclass(frozen=True)
class DeployedStack:
    """A `Place` that others keep running; results are collected into `out`, if that is named."""

    target: AwsTarget
    stack: str
    out: Path | None = None

    @property
    def charged_at(self) -> str | None:
        """See `Place.charged_at`; an API on this machine is an embedded one."""
        url = self.target.settings.api_base_url
        return None if is_loopback(url) else url

    @property
    def results(self) -> str:
        """See `Place.results`."""
        settings = self.target.settings
        bucket = f"s3://{settings.results_bucket}/{settings.results_prefix}"
        return f"{self.out}/" if self.out else bucket

    def command(self, *arguments: str) -> str:
        """See `Place.command`."""
        return shlex.join(["dropscale", *arguments, "--stack", self.stack])

    def held(self) -> AbstractContextManager[None]:
        """See `Place.held`; the stack itself sees to it."""
        return nullcontext()

    def ledger(self, key: str | None = None) -> KeptLedger:
        """See `Place.ledger`."""
        return KeptLedger.of(self.target.records(key))

    def as_it_stands(self, drop: Drop) -> FollowedDrop:
        """See `Place.as_it_stands`."""
        return _followed_drop_of(drop)

    def price(self, ledger: KeptLedger, prices: Mapping[str, int]) -> int:
        """See `Place.price`."""
        return sum(prices.values())

    @contextmanager
    def session(self, console: Terminal) -> Iterator[Session]:
        """See `Place.session`."""
        with ExitStack() as started:
            reporters = [started.enter_context(progress_on(console))]
            page = started.enter_context(LivePage.kept_up(self.out)) if self.out else None
            told = TellsAll([*reporters, page] if page else reporters)
            trip = RoundTrip(
                self.target, self.out, told, time.monotonic, lambda: time.sleep(_STACK_LOOK_SECONDS)
            )
            yield Session(self.target, trip, page)


def place_of(
    stack: str | None, out: Path, environment: Mapping[str, str], log: Path | None = None
) -> Place:
    """Return the stack of that name, or if none is named, the output folder.

    Raises:
        StackUnreachable, UnusablePath: as their names say.
    """
    if stack is None:
        return OutputFolder.at(out, environment, log)
    from dropscale_cli.stacks.aws_target import deployed_target  # noqa: PLC0415 # see main

    return DeployedStack(deployed_target(stack), stack)


def _followed_drop_of(drop: Drop) -> FollowedDrop:
    source = drop.source
    return FollowedDrop(source.key, source.version_id, dropped_at=0.0, manifest=manifest_of(drop))
