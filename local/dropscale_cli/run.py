"""`dropscale run`: a stack for as long as it takes to bring some images through it."""

import os
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
from rich.console import Console

from dropscale.upscaler import DEFAULT_BASE_URL
from dropscale_cli.drops import Drops, find_drops
from dropscale_cli.errors import PriceDeclined, PriceUnconfirmed, UnusablePath
from dropscale_cli.local_stack import (
    MagicHour,
    embedded_api,
    embedded_parameters,
    engine_named,
    local_cloud,
)
from dropscale_cli.price import highest_price
from dropscale_cli.progress import progress_on
from dropscale_cli.round_trip import RoundTrip
from dropscale_cli.summary import Summary
from dropscale_cli.target import S3Target

_LOOK_SECONDS = 0.2


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

    Return the exit code: 0 if every image came to what its spec asks for, else 1.

    Raises:
        click.ClickException: one of `dropscale_cli.errors`, or a contradiction in the options.
    """
    drops = find_drops(options.path, options.out)
    _make_folder(options.out)
    console = Console(stderr=options.as_json, highlight=False, markup=False, soft_wrap=True)
    api_key = environment.get("MAGIC_HOUR_API_KEY")
    with ExitStack() as started:
        if api_key:
            base_url = environment.get("MAGIC_HOUR_BASE_URL") or DEFAULT_BASE_URL
            _agree_to_price(drops, base_url, options, console)
            api, parameters = MagicHour(base_url.rstrip("/"), api_key), {}
        else:
            engine = engine_named(options.engine)
            console.print(f"Nothing is charged. Engine: {engine.description}")
            api, parameters = started.enter_context(embedded_api(engine)), embedded_parameters()
        # Specs are dropped before images, so nothing needs time to settle.
        parameters["SettleSeconds"] = "0"
        cloud = started.enter_context(local_cloud(api, parameters, log=options.log))
        target = S3Target.of_stack(cloud.client("s3"), cloud.outputs)
        reporter = started.enter_context(progress_on(console))
        pause = partial(time.sleep, _LOOK_SECONDS)
        followed = RoundTrip(target, options.out, reporter, time.monotonic, pause)(drops)
    summary = Summary(followed, options.out, is_charged=bool(api_key), ignored=drops.ignored)
    if options.as_json:
        click.echo(summary.as_json())
    else:
        summary.print_text()
    return 0 if summary.is_as_asked else 1


def _make_folder(out: Path) -> None:
    """Find out before anything is paid that there is no place for results."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnusablePath(f"{out}: cannot be made: {error.strerror}") from error
    if not os.access(out, os.W_OK | os.X_OK):
        raise UnusablePath(f"{out}: cannot be written to; choose another with --out.")


def _agree_to_price(drops: Drops, base_url: str, options: RunOptions, console: Console) -> None:
    if options.engine is not None:
        raise click.UsageError(
            "--engine is the embedded API's, but MAGIC_HOUR_API_KEY is set; leave out one of them."
        )
    price = highest_price(drops)
    offer = (
        f"Images: {len(drops.images)}. They cost up to {price} credits, charged at {base_url}. "
        "A job once paid goes on there, even if you interrupt."
    )
    if price and not options.is_agreed and not sys.stdin.isatty():
        raise PriceUnconfirmed(f"{offer} To agree, add --yes.")
    console.print(offer)
    if price and not options.is_agreed and not click.confirm("Go on?", err=True):
        raise PriceDeclined("Nothing was dropped, nothing is charged.")
