"""`dropscale run`: a stack for as long as it takes to bring some images through it."""

import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import click

from dropscale.specs.keys import SPEC_SUFFIXES
from dropscale_cli.errors import NothingToDrop, PriceDeclined, PriceUnconfirmed
from dropscale_cli.files.drops import Drops, IgnoredFiles, find_drops
from dropscale_cli.files.state_folder import KeptLedger, StateFolder
from dropscale_cli.follow.places import Session, session
from dropscale_cli.follow.round_trip import PATIENCE_SECONDS
from dropscale_cli.follow.summary import Summary
from dropscale_cli.follow.watch import WatchedFolder, watch
from dropscale_cli.page.gallery import PAGE_NAME
from dropscale_cli.specs.plan import plan_of
from dropscale_cli.stacks.local_stack import ChosenApi, chosen_api
from dropscale_cli.terminal import Terminal, confirm


def agree_to_price(price: int, offer: str, console: Terminal, *, is_agreed: bool) -> None:
    """Show an offer, and ask a person whether to go on, unless nothing is to be paid.

    Raises:
        PriceUnconfirmed, PriceDeclined: as their names say.
    """
    if price and not is_agreed and not sys.stdin.isatty():
        raise PriceUnconfirmed(f"{offer} To agree, add --yes.")
    console.say(offer)
    if price and not is_agreed and not confirm("Go on?"):
        raise PriceDeclined("Nothing was done, nothing is charged.")


@dataclass(frozen=True)
class RunOptions:
    """What `dropscale run` was asked for.

    Attributes:
        path: A folder, or one image.
        out: The folder for results.
        is_agreed: Whether the price needs no question.
        engine: The embedded API's engine; None: not chosen.
        as_json: Whether standard output takes one JSON object and nothing else.
        log: Where the stack logs; None: nowhere.
        is_watching: Whether what comes into the folder later is dropped, too, until interrupted.
        patience: For how many seconds an image is waited for that is passing; None: by default.
        suffixes: What a sidecar's name ends in.
    """

    path: Path
    out: Path
    is_agreed: bool
    engine: str | None
    as_json: bool
    log: Path | None
    is_watching: bool = False
    patience: float | None = None
    suffixes: Sequence[str] = SPEC_SUFFIXES

    @property
    def command(self) -> str:
        """The command that goes on with what this one has left."""
        return shlex.join(["dropscale", "run", str(self.path), "--out", str(self.out)])


def run(options: RunOptions, environment: Mapping[str, str]) -> int:
    """Drop what lies at a path on a stack of its own, collect the results, print a summary.

    What earlier runs have brought into the output folder, or paid, is not paid again. Return the
    exit code: 0 if every image came to what its spec asks for, else 1.

    Raises:
        click.ClickException: one of `dropscale_cli.errors`, or a contradiction in the options.
    """
    return run_drops(found_drops(options), options, chosen_api(environment, options.engine))


def run_drops(drops: Drops, options: RunOptions, api: ChosenApi) -> int:
    """Do as `run` does, with these drops, on this API."""
    folder = StateFolder(options.out)
    folder.make()
    console = Terminal(to_stderr=options.as_json)
    with folder.held():
        folder.require_api(api.name)
        ledger = KeptLedger.read(folder)
        if api.is_charged:
            _agree(drops, ledger, api, console, options)
        folder.remember_suffixes(options.suffixes)
        folder.remember_originals(options.path if options.path.is_dir() else options.path.parent)
        running = None
        try:
            patience = PATIENCE_SECONDS if options.patience is None else options.patience
            with session(folder, api, console, options.log, patience) as running:
                if options.is_watching:
                    watch_folder(options, running, console)
                else:
                    running.round_trip(drops)
        except KeyboardInterrupt:
            # A watch has no other end. What it came to is told when nothing moves any more.
            if options.is_watching and running:
                _report(options, api, running, ledger)
            raise
    return 0 if _report(options, api, running, ledger, drops).is_as_asked else 1


def found_drops(options: RunOptions) -> Drops:
    """Return what is to be dropped; for a watch, that may be nothing yet.

    Raises:
        click.ClickException: one of `dropscale_cli.errors`, or a contradiction in the options.
    """
    if not options.is_watching:
        return find_drops(options.path, options.out, suffixes=options.suffixes)
    if not options.path.is_dir():
        raise click.UsageError(f"--watch needs a folder, but {options.path} is a file.")
    try:
        return find_drops(options.path, options.out, lambda _: None, options.suffixes)
    except NothingToDrop:
        return Drops({}, {})


def watch_folder(options: RunOptions, running: Session, console: Terminal) -> NoReturn:
    """Drop what comes into the folder, until an exception ends it."""
    console.say(f"Watching {options.path}; Ctrl-C ends it. See {options.out / PAGE_NAME}")
    folder = WatchedFolder(options.path, options.out, time.monotonic, console.say, options.suffixes)
    watch(folder, running.round_trip)


def _report(
    options: RunOptions,
    api: ChosenApi,
    running: Session,
    ledger: KeptLedger,
    drops: Drops | None = None,
) -> Summary:
    followed, page = running.round_trip.followed, running.page.path if running.page else None
    results = f"{options.out}/"
    ignored = IgnoredFiles.of(drops.ignored if drops else {})
    summary = Summary(
        followed, results, api.is_charged, ignored, ledger.paid, page, options.command
    )
    summary.tell(as_json=options.as_json)
    return summary


def _agree(
    drops: Drops, ledger: KeptLedger, api: ChosenApi, console: Terminal, options: RunOptions
) -> None:
    plan = plan_of(drops, ledger)
    price = plan.credits
    if account := api.account(price, plan.scale_factors):
        for line in account.lines():
            console.say(line)
    offer = (
        f"Images: {len(drops.to_follow)}. They cost up to {price} credits, charged at {api.name}. "
        "A job once paid goes on there, even if you interrupt."
    )
    if options.is_watching:
        offer += " Each image that comes later is charged, too, and nobody is asked again."
    at_stake = max(price, 1) if options.is_watching else price
    agree_to_price(at_stake, offer, console, is_agreed=options.is_agreed)
