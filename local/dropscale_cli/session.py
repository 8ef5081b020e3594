"""A stack on an output folder, for as long as one command takes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dropscale_cli.chosen_api import ChosenApi
from dropscale_cli.errors import JournalStopped, StartFailed
from dropscale_cli.live_page import LivePage
from dropscale_cli.local_stack import local_cloud, target_of
from dropscale_cli.progress import progress_on
from dropscale_cli.round_trip import PATIENCE_SECONDS, FollowedDrop, Reporter, RoundTrip
from dropscale_cli.state_folder import StateFolder
from dropscale_cli.terminal import Terminal
from dropscale_embedded.durable_sqlite import FileUnusable
from dropscale_embedded.journal import Journal, JournalFailed

if TYPE_CHECKING:
    from dropscale_cli.aws_target import AwsTarget

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
