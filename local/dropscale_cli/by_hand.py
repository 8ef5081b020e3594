"""`dropscale retry` and `dropscale resolve`: what a person does about images between runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from dropscale.errors import DropscaleError
from dropscale.ledger.records import Drop
from dropscale.ledger.states import DropState, JobState
from dropscale.magichour.errors import MagicHourError
from dropscale.pipeline.resolve import Decision
from dropscale_cli.chosen_api import ChosenApi, remembered_api
from dropscale_cli.errors import NotResolved, UnknownImage, UnusablePath
from dropscale_cli.kept_ledger import KeptLedger
from dropscale_cli.price import agree_to_price
from dropscale_cli.round_trip import FollowedDrop
from dropscale_cli.session import Session, session
from dropscale_cli.state_folder import StateFolder
from dropscale_cli.status import as_kept
from dropscale_cli.summary import Summary

if TYPE_CHECKING:
    from dropscale_cli.aws_target import AwsTarget

_AT_VENDOR = frozenset({DropState.SUBMITTED, DropState.RENDERING})


@dataclass(frozen=True)
class ByHandOptions:
    """What `retry` and `resolve` have in common.

    Attributes:
        out: The output folder.
        is_agreed: Whether a price needs no question.
        as_json: Whether standard output takes one JSON object and nothing else.
        log: Where the stack logs; None: nowhere.
    """

    out: Path
    is_agreed: bool
    as_json: bool
    log: Path | None


def retry(key: str | None, options: ByHandOptions, environment: Mapping[str, str]) -> int:
    """Try an image again that did not come out, or all of them (None).

    Return the exit code: 0 if all of them have come to what was asked, else 1.

    Raises:
        click.ClickException: one of `dropscale_cli.errors`, or an API key is missing.
    """
    with _kept(options, environment) as kept:
        chosen = kept.ledger.drops.values() if key is None else [kept.drop(key)]
        # Who names an image that was not to be waited for wants its result now.
        left = {
            drop.source.key: drop
            for drop in chosen
            if (key and drop.state is DropState.SUBMITTED)
            or not as_kept(drop, options.out).is_as_asked
        }
        if not left:
            click.echo("Nothing to retry.", err=options.as_json)
            return kept.report([]) if options.as_json else 0
        with kept.session(kept.prices(left.values(), JobState.ERROR)) as running:
            moving = {
                key: drop.source.version_id
                for key, drop in left.items()
                if running.target.retry(key) or drop.state in _AT_VENDOR
            }
            followed = running.round_trip.follow(moving.items(), is_collected=True)
        now = KeptLedger.read(kept.folder).drops
        others = [as_kept(now[key], options.out) for key in left if key not in moving]
        return kept.report([*followed, *others], running.page.path)


def resolve(
    key: str, decision: Decision | str, options: ByHandOptions, environment: Mapping[str, str]
) -> int:
    """Settle an image whose create may have been paid: by a decision, or by a project's id.

    Return the exit code: 0 if it was abandoned as asked, or came to what its spec asks for; else 1.

    Raises:
        click.ClickException: one of `dropscale_cli.errors`, or an API key is missing.
    """
    with _kept(options, environment) as kept:
        drop = kept.drop(key)
        # A stack that is started calls unknown what was about to be paid when it was stopped.
        states = (JobState.UNKNOWN, JobState.SUBMITTING) if decision is Decision.PAY_AGAIN else ()
        with kept.session(kept.prices([drop], *states)) as running:
            _settle(running.target, key, decision)
            followed = running.round_trip.follow([(key, drop.source.version_id)])
        code = kept.report(followed, running.page.path)
        return 0 if decision is Decision.ABANDON else code


def _settle(target: AwsTarget, key: str, decision: Decision | str) -> None:
    try:
        if isinstance(decision, Decision):
            target.decide(key, decision)
        else:
            target.adopt(key, decision)
    except (DropscaleError, MagicHourError) as error:
        raise NotResolved(str(error)) from error


@contextmanager
def _kept(options: ByHandOptions, environment: Mapping[str, str]) -> Iterator[_Kept]:
    """Hold an output folder that a run has been in, until the block ends."""
    folder = StateFolder(options.out)
    api_name = folder.api_name()
    if api_name is None:
        raise UnusablePath(f"{options.out}: no run has been here; name its folder with --out.")
    api = remembered_api(api_name, environment)
    with folder.held():
        yield _Kept(options, folder, api, KeptLedger.read(folder))


@dataclass(frozen=True)
class _Kept:
    """What an earlier run has left in its output folder."""

    options: ByHandOptions
    folder: StateFolder
    api: ChosenApi
    ledger: KeptLedger

    def drop(self, key: str) -> Drop:
        if key not in self.ledger.drops:
            raise UnknownImage(f"{key}: no such image was dropped here; see dropscale status.")
        return self.ledger.drops[key]

    def prices(self, drops: Iterable[Drop], *states: JobState) -> dict[str, int]:
        """Return what the drops' jobs in these states cost, by fingerprint."""
        jobs = (self.ledger.jobs.get(name) for drop in drops for name in drop.renditions)
        return {
            job.fingerprint: job.parameters.credits for job in jobs if job and job.state in states
        }

    @contextmanager
    def session(self, prices: Mapping[str, int]) -> Iterator[Session]:
        """Run the stack, once its price is agreed to: this, and what waits to be paid anyway."""
        options = self.options
        console = Console(stderr=options.as_json, highlight=False, markup=False, soft_wrap=True)
        price = sum({**self.ledger.unpaid_prices, **prices}.values())
        if self.api.is_charged and price:
            offer = f"This costs up to {price} credits, charged at {self.api.name}."
            agree_to_price(price, offer, console, is_agreed=options.is_agreed)
        with session(self.folder, self.api, console, options.log) as running:
            yield running

    def report(self, drops: Sequence[FollowedDrop], page: Path | None = None) -> int:
        """Print what became of images; return the exit code."""
        out, paid = self.options.out, self.ledger.paid
        summary = Summary(drops, out, self.api.is_charged, paid_before=paid, page=page)
        if self.options.as_json:
            click.echo(summary.as_json())
        else:
            summary.print_text()
        return 0 if summary.is_as_asked else 1
