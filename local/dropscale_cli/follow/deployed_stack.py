"""A deployed stack, as a place that images are brought to."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from dropscale.ledger.drops import Drop
from dropscale.magichour.urls import is_loopback
from dropscale_cli.files.drops import Drops, FileListing
from dropscale_cli.files.state_folder import KeptLedger
from dropscale_cli.follow.places import Session, TellsAll, followed_drop_of
from dropscale_cli.follow.stack_plan import PlannedChange, StackPlanner
from dropscale_cli.page.gallery import LivePage
from dropscale_cli.specs.bill import loss_lines
from dropscale_cli.stacks.account import stack_limit_warnings
from dropscale_cli.stacks.aws_target import AwsTarget, deployed_target
from dropscale_cli.stacks.local_stack import STACK
from dropscale_cli.terminal import Terminal
from dropscale_cli.tracking.progress import progress_on
from dropscale_cli.tracking.round_trip import FollowedDrop, RoundTrip

_LOOK_SECONDS = 2.0
"""Each look at a deployed stack makes a few requests."""


@dataclass(frozen=True)
class DeployedStack:
    """A `Place` on AWS; results are collected into `out`, if it is given."""

    target: AwsTarget
    stack: str
    out: Path | None = None

    @classmethod
    def named(cls, stack: str, out: Path | None = None) -> DeployedStack:
        """Return the stack of that name.

        Raises:
            StackUnreachable: the stack does not exist or cannot be reached.
        """
        return cls(deployed_target(stack), stack, out)

    @property
    def name(self) -> str:
        """See `Place.name`."""
        return f"{STACK}{self.stack}"

    @property
    def input_prefix(self) -> str:
        """See `Place.input_prefix`."""
        return self.target.settings.input_prefix

    @property
    def sidecar_suffixes(self) -> Sequence[str]:
        """See `Place.sidecar_suffixes`."""
        return self.target.settings.sidecar_suffixes

    def plan_run(self, drops: Drops) -> StackRun:
        """See `Place.plan_run`: by the contents of its input bucket and its ledger."""
        listing = FileListing(drops, self.target.input_bucket)
        pages = StackPlanner.of(self.target, listing, drops.bucket).pages("")
        return StackRun(
            self.target, drops, {one.key: one for page in pages for one in page.changes}
        )

    @property
    def charged_at(self) -> str | None:
        """See `Place.charged_at`; an API on this machine is embedded."""
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
        """See `Place.held`; the stack itself handles concurrent commands."""
        return nullcontext()

    def ledger(self, key: str | None = None) -> KeptLedger:
        """See `Place.ledger`."""
        return KeptLedger.of(self.target.records(key))

    def as_it_stands(self, drop: Drop) -> FollowedDrop:
        """See `Place.as_it_stands`."""
        return followed_drop_of(drop)

    def price(self, ledger: KeptLedger, prices: Mapping[str, int]) -> int:
        """See `Place.price`."""
        return sum(prices.values())

    @contextmanager
    def session(
        self, console: Terminal, *, retried: Collection[str] = (), dropped: Collection[str] = ()
    ) -> Iterator[Session]:
        """See `Place.session`; its bucket has the drops, so it needs no keys."""
        with ExitStack() as started:
            progress = started.enter_context(progress_on(console))
            page = started.enter_context(LivePage.kept_up(self.out)) if self.out else None
            started.callback(setattr, progress, "doing", "Writing the page")
            told = TellsAll([progress, page] if page else [progress])
            trip = RoundTrip(
                self.target, self.out, told, time.monotonic, lambda: time.sleep(_LOOK_SECONDS)
            )
            yield Session(self.target, trip, page)


@dataclass(frozen=True)
class StackRun:
    """A `PlannedRun` on a stack that also has other drops.

    Attributes:
        changes: What the stack would do, by key, for the keys where it would do anything.
    """

    target: AwsTarget
    drops: Drops
    changes: Mapping[str, PlannedChange]

    @property
    def price(self) -> int:
        """See `PlannedRun.price`."""
        return sum(change.credits for change in self.changes.values())

    def warnings(self) -> Iterable[str]:
        """See `PlannedRun.warnings`."""
        yield from loss_lines((key, change.losses) for key, change in self.changes.items())
        yield from stack_limit_warnings(self.target, self.price)

    def bring(self, trip: RoundTrip, say: Callable[[str], None]) -> None:
        """See `PlannedRun.bring`: files that would change nothing are not uploaded again.

        All specs are uploaded before the first image, so no image needs to wait SettleSeconds.
        """
        told = trip.counter("comparing with the stack", len(self.drops.paths), "files")
        for number, (key, path) in enumerate(self.drops.specs.items(), 1):
            if self.target.uploaded(key, path) is None:
                trip.drop_spec(key, path)
            told(number)
        known = list(self._upload_images(trip, told, say))
        told(len(self.drops.paths))
        trip.follow(known)

    def _upload_images(
        self, trip: RoundTrip, told: Callable[[int], None], say: Callable[[str], None]
    ) -> Iterator[tuple[str, str | None]]:
        """Yield the key and version of images that the stack already has."""
        may_tell = True
        for number, (key, path) in enumerate(self.drops.to_follow.items(), len(self.drops.specs)):
            told(number)
            change = self.changes.get(key)
            if change is None:
                yield key, self.target.version_of(key)
                continue
            if not change.is_known and (version := self.target.uploaded(key, path)):
                # A run was interrupted before the stack recorded it, or its event was lost.
                yield key, version.version_id
            else:
                trip.drop(key, path)
            if may_tell and not self.target.look_at_once(key):
                may_tell = False
                say(
                    "You lack sqs:SendMessage on the stack's drop queue, so each image waits for "
                    "its own event, and SettleSeconds more."
                )

    def paid_before(self, followed: Sequence[FollowedDrop]) -> frozenset[str]:
        """See `PlannedRun.paid_before`: from the plan, or the manifests of unchanged images."""
        paid: set[str] = set()
        for drop in followed:
            if drop.key in self.changes:
                paid.update(self.changes[drop.key].paid)
            elif drop.key in self.drops.to_follow and drop.manifest:
                paid.update(job.fingerprint for job in drop.manifest.jobs)
        return frozenset(paid)
