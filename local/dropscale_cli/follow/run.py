"""`dropscale run`: brings images through a stack that runs as long as needed."""

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import click

from dropscale.specs.keys import SPEC_SUFFIXES
from dropscale_cli.errors import NothingToDrop
from dropscale_cli.files.drops import Drops, IgnoredFiles, find_drops, specs_above
from dropscale_cli.files.state_folder import StateFolder
from dropscale_cli.follow.batch_report import write_run_report
from dropscale_cli.follow.places import OutputFolder, Place, PlannedRun, Session, place_of
from dropscale_cli.follow.summary import Summary
from dropscale_cli.follow.watch import WatchedFolder, watch
from dropscale_cli.options import (
    ENGINES,
    FILE,
    LOG_HELP,
    PROGRESS_HELP,
    YES_HELP,
    agree_to_price,
    as_seconds,
    ended_by_signals,
    format_option,
    out_option,
    sidecar_suffixes_option,
    what_continues,
)
from dropscale_cli.page.gallery import PAGE_NAME
from dropscale_cli.stacks.local_stack import chosen_api
from dropscale_cli.terminal import Terminal
from dropscale_cli.tracking.progress import progress_on
from dropscale_cli.tracking.round_trip import PATIENCE_SECONDS


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How a command asks and reports.

    Attributes:
        is_agreed: Whether a price needs no confirmation.
        as_json: Whether standard output gets one JSON object and nothing else.
    """

    is_agreed: bool
    as_json: bool


@dataclass(frozen=True, kw_only=True)
class RunOptions(Agreement):
    """The options of `dropscale run`.

    Attributes:
        path: A folder, or one image.
        out: The folder for results.
        is_watching: Whether files added to the folder later are also dropped, until interrupted.
        suffixes: The endings of sidecar names.
    """

    path: Path
    out: Path
    is_watching: bool = False
    suffixes: Sequence[str] = SPEC_SUFFIXES


def run(options: RunOptions, place: Place) -> int:
    """Bring the images at a path through the stack of a place, and print a summary.

    What earlier runs have delivered or paid for is not paid for again. Return the exit code: 0 if
    every image ended as its spec asks, else 1.

    Raises:
        click.ClickException: one of `dropscale_cli.errors`, or a contradiction in the options.
    """
    prefix = place.input_prefix
    if prefix and options.is_watching:
        raise click.UsageError(f"--watch cannot drop below the stack's prefix, {prefix}.")
    options = replace(options, suffixes=place.sidecar_suffixes or options.suffixes)
    with progress_on(Terminal(to_stderr=options.as_json), f"Looking through {options.path}"):
        drops = found_drops(options).below(prefix)
    return run_drops(drops, options, place)


def run_drops(drops: Drops, options: RunOptions, place: Place) -> int:
    """Do as `run` does, with these drops.

    The folder is bound to the place, and files are sent, only after the price is agreed to.
    """
    folder = StateFolder(options.out)
    folder.make()
    console = Terminal(to_stderr=options.as_json)
    with folder.held():
        folder.require_api(place.name)
        with progress_on(console, "Planning"):
            planned = place.plan_run(drops)
            warnings = [*specs_above(options.path), *planned.warnings()]
        console.say(*warnings)
        _agree(planned, place, len(drops.to_follow), options, console)
        folder.bind(place.name)
        folder.remember_suffixes(options.suffixes)
        folder.remember_originals(options.path if options.path.is_dir() else options.path.parent)
        running = None
        try:
            with place.session(console, dropped=drops.to_follow) as running:
                if options.is_watching:
                    watch_folder(options, running, console)
                planned.bring(running.round_trip, console.say)
        except KeyboardInterrupt:
            # A watch ends only by an interrupt. Its summary is printed once nothing changes any
            # more.
            if options.is_watching and running:
                _report(options, place, running, planned)
            raise
    return 0 if _report(options, place, running, planned, drops).is_as_asked else 1


def found_drops(options: RunOptions) -> Drops:
    """Return the files to drop; for a watch, there may be none yet.

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
    """Drop files that are added to the folder, until an exception ends it."""
    console.say(f"Watching {options.path}; Ctrl-C ends it. See {options.out / PAGE_NAME}")
    folder = WatchedFolder(options.path, options.out, time.monotonic, console.say, options.suffixes)
    watch(folder, running.round_trip)


def _report(
    options: RunOptions,
    place: Place,
    running: Session,
    planned: PlannedRun,
    drops: Drops | None = None,
) -> Summary:
    followed = running.round_trip.followed
    summary = Summary(
        followed,
        place.results,
        place.charged_at is not None,
        IgnoredFiles.of(drops.ignored if drops else {}),
        planned.paid_before(followed),
        running.page.path if running.page else None,
        place.command("run", str(options.path)),
    )
    if running.page:
        warning = write_run_report(options.out, options.path.resolve().name, followed)
        Terminal(to_stderr=True).say(*filter(None, [warning]))
    summary.tell(as_json=options.as_json)
    return summary


def _agree(
    planned: PlannedRun, place: Place, images: int, options: RunOptions, console: Terminal
) -> None:
    if place.charged_at is None:
        return
    offer = (
        f"Images: {images}. They cost up to {planned.price} credits, charged at "
        f"{place.charged_at}. Paid jobs continue there, even if you interrupt."
    )
    if options.is_watching:
        offer += " Each image added later is also charged, without asking again."
    at_stake = max(planned.price, 1) if options.is_watching else planned.price
    agree_to_price(at_stake, offer, console, is_agreed=options.is_agreed)


@click.command("run")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@out_option("The output folder; a run with the same one resumes there.")
@click.option(
    "--stack",
    metavar="NAME",
    help="Use this stack on AWS, in the account and region of the AWS CLI.",
)
@click.option("--yes", is_flag=True, help=YES_HELP)
@click.option(
    "--engine",
    type=ENGINES,
    help="The engine, unless MAGIC_HOUR_API_KEY is set: model is a real AI model, stub a quick "
    "imitation.  [default: model]",
)
@click.option(
    "--watch",
    is_flag=True,
    help="Also upscale files that are added or changed later, until Ctrl-C.",
)
@click.option(
    "--patience",
    callback=as_seconds,
    metavar="SECONDS|MINUTES",
    help="How long to wait for an image while Magic Hour's answers are inconclusive (an error "
    "page, an unknown status): 90, 90s, 10m.  [default: 10m]",
)
@format_option(PROGRESS_HELP)
@click.option("--log", type=FILE, help=LOG_HELP)
@sidecar_suffixes_option
def run_command(  # noqa: PLR0913 # all by name
    *,
    path: Path,
    out: Path,
    stack: str | None,
    yes: bool,
    engine: str | None,
    watch: bool,
    patience: float | None,
    output_format: str,
    log: Path | None,
    suffixes: tuple[str, ...],
) -> None:
    """Upscale the image PATH, or all images in the folder PATH.

    Specs in the folder apply. The stack runs on this machine until the command ends. It uses an
    embedded, free copy of the Magic Hour API, or, if MAGIC_HOUR_API_KEY is set, the real one (or
    the one at MAGIC_HOUR_BASE_URL); then you are shown the price and asked first. With --stack, a
    stack that you have deployed does the work.

    An interrupted run resumes when you run it again with the same --out, and nothing is paid for
    twice. Unfinished images of earlier runs continue, too.

    The last line printed is the path of a page that shows all results; it is written at the start
    and kept up to date.

    Exits with 0 if all images ended as asked, 1 if not, 2 on wrong usage or if a price needs --yes,
    130 if interrupted.
    """
    options = RunOptions(
        path=path,
        out=out,
        is_agreed=yes,
        as_json=output_format == "json",
        is_watching=watch,
        suffixes=suffixes,
    )
    if stack is not None and (engine or log or patience is not None):
        raise click.UsageError("--engine, --log and --patience are for the stack on this machine.")
    with ended_by_signals(f"{what_continues(stack)} Results so far are in {out}."):
        sys.exit(run(options, _place(options, stack, engine, log, patience)))


def _place(
    options: RunOptions,
    stack: str | None,
    engine: str | None,
    log: Path | None,
    patience: float | None,
) -> Place:
    if stack is not None:
        return place_of(stack, options.out, {}, are_results_kept=True)
    api = chosen_api(os.environ, engine)
    waits = PATIENCE_SECONDS if patience is None else patience
    return OutputFolder(StateFolder(options.out), os.environ, log, api, waits)
