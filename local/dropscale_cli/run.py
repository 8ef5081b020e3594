"""`dropscale run`: a stack for as long as it takes to bring some images through it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console

from dropscale_cli.chosen_api import ChosenApi, chosen_api
from dropscale_cli.drops import Drops, find_drops
from dropscale_cli.kept_ledger import KeptLedger
from dropscale_cli.plan import plan_of
from dropscale_cli.price import agree_to_price
from dropscale_cli.session import session
from dropscale_cli.state_folder import StateFolder
from dropscale_cli.summary import Summary


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
    """

    path: Path
    out: Path
    is_agreed: bool
    engine: str | None
    as_json: bool
    log: Path | None


def run(options: RunOptions, environment: Mapping[str, str]) -> int:
    """Drop what lies at a path on a stack of its own, collect the results, print a summary.

    What earlier runs have brought into the output folder, or paid, is not paid again. Return the
    exit code: 0 if every image came to what its spec asks for, else 1.

    Raises:
        click.ClickException: one of `dropscale_cli.errors`, or a contradiction in the options.
    """
    drops = find_drops(options.path, options.out)
    return run_drops(drops, options, chosen_api(environment, options.engine))


def run_drops(drops: Drops, options: RunOptions, api: ChosenApi) -> int:
    """Do as `run` does, with these drops, on this API."""
    folder = StateFolder(options.out)
    folder.make()
    console = Console(stderr=options.as_json, highlight=False, markup=False, soft_wrap=True)
    with folder.held():
        folder.require_api(api.name)
        ledger = KeptLedger.read(folder)
        if api.is_charged:
            _agree(drops, ledger, api, console, is_agreed=options.is_agreed)
        with session(folder, api, console, options.log) as running:
            followed = running.round_trip(drops)
    summary = Summary(followed, options.out, api.is_charged, drops.ignored, ledger.paid)
    if options.as_json:
        click.echo(summary.as_json())
    else:
        summary.print_text()
    return 0 if summary.is_as_asked else 1


def _agree(
    drops: Drops, ledger: KeptLedger, api: ChosenApi, console: Console, *, is_agreed: bool
) -> None:
    price = plan_of(drops, ledger).credits
    offer = (
        f"Images: {len(drops.to_follow)}. They cost up to {price} credits, charged at {api.name}. "
        "A job once paid goes on there, even if you interrupt."
    )
    agree_to_price(price, offer, console, is_agreed=is_agreed)
