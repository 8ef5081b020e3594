"""`dropscale apply`: has a stack look again at its images, including any whose events it missed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from dropscale_cli.errors import Unconfirmed
from dropscale_cli.files.drops import FileListing, find_drops
from dropscale_cli.files.state_folder import KeptLedger, StateFolder
from dropscale_cli.follow.places import OutputFolder
from dropscale_cli.follow.run import Agreement, RunOptions, run_drops
from dropscale_cli.follow.stack_plan import Page, PlannedChange, StackPlanner
from dropscale_cli.options import (
    FILE,
    ended_by_signals,
    examples,
    format_option,
    out_option,
    sidecar_suffixes_option,
    stack_option,
)
from dropscale_cli.specs.bill import loss_lines
from dropscale_cli.stacks.account import stack_limit_warnings
from dropscale_cli.stacks.aws_target import deployed_target
from dropscale_cli.stacks.local_stack import chosen_api
from dropscale_cli.terminal import Table, Terminal, choose, say, say_json
from dropscale_cli.tracking.progress import progress_on

_S3 = "s3://"


@dataclass(frozen=True)
class _Outcome:
    looked_at: int = 0
    applied: tuple[PlannedChange, ...] = ()
    left: tuple[PlannedChange, ...] = ()

    @property
    def is_as_asked(self) -> bool:
        return not self.left and not any(change.refusal for change in self.applied)


def apply_to_stack(bucket: str, prefix: str, stack: str, agreement: Agreement) -> int:
    """Plan page by page what a new look at a prefix changes, and apply what is agreed to.

    Return the exit code: 0 if all changes were applied and are possible, else 1.

    Raises:
        StackUnreachable: there is no such stack. Unconfirmed: there is nobody to ask.
        click.UsageError: the stack does not take drops there.
    """
    target = deployed_target(stack)
    if bucket != target.input_bucket:
        raise click.UsageError(
            f"{bucket} is not the input bucket of stack {stack}, which is {target.input_bucket}."
        )
    below = target.settings.input_prefix
    if not (prefix.startswith(below) or below.startswith(prefix)):
        raise click.UsageError(f"Stack {stack} takes drops only under {below}.")
    pages = StackPlanner.of(target).pages(max(prefix, below, key=len))
    outcome = _agreed(
        pages,
        agreement,
        lambda change: target.look_again(change.key),
        lambda price: stack_limit_warnings(target, price),
    )
    _report(outcome, agreement)
    return 0 if outcome.is_as_asked else 1


def apply_to_files(
    options: RunOptions, environment: Mapping[str, str], log: Path | None = None
) -> int:
    """Plan what has changed in files since earlier runs, and run what is agreed to.

    Return the exit code: 0 if nothing changes, else that of `dropscale run`.

    Raises:
        click.ClickException: one of `dropscale_cli.errors`.
    """
    with progress_on(Terminal(to_stderr=True), f"Looking through {options.path}"):
        drops = find_drops(options.path, options.out, suffixes=options.suffixes)
    folder = StateFolder(options.out)
    ledger, bucket = KeptLedger.read(folder), drops.bucket
    name = next((drop.source.bucket for drop in ledger.drops.values()), "")
    planner = StackPlanner(FileListing(drops, name), bucket, bucket.specs(), ledger)
    outcome = _agreed(planner.pages(""), options, lambda change: None)
    if not outcome.applied:
        _report(outcome, options)
        return 0 if outcome.is_as_asked else 1
    keys = {change.key for change in outcome.applied}
    chosen = replace(
        drops,
        images={key: path for key, path in drops.images.items() if key in keys},
        stand_alone={key: path for key, path in drops.stand_alone.items() if key in keys},
    )
    api = None if folder.api_name() else chosen_api(environment, None)
    place = OutputFolder(folder, environment, log, api)
    code = run_drops(chosen, replace(options, is_agreed=True), place)
    return code or (1 if outcome.left else 0)


def _agreed(
    pages: Iterator[Page],
    agreement: Agreement,
    act: Callable[[PlannedChange], None],
    warnings: Callable[[int], Iterable[str]] = lambda price: (),
) -> _Outcome:
    """Show each page's changes, and apply those that are agreed to.

    `warnings` are about the price of a page plus all pages agreed to before.
    """
    console = Terminal(to_stderr=agreement.as_json)
    outcome, ask = _Outcome(), not agreement.is_agreed
    while page := _next(pages, console):
        outcome = replace(outcome, looked_at=outcome.looked_at + page.looked_at)
        if not page.changes:
            continue
        console.show(_table(page))
        for line in loss_lines((change.key, change.losses) for change in page.changes):
            console.say(line)
        for warning in warnings(_price([*outcome.applied, *page.changes])):
            console.say(warning)
        answer = _answer(page) if ask else "yes"
        ask = ask and answer != "all"
        if answer == "no":
            outcome = replace(outcome, left=(*outcome.left, *page.changes))
            continue
        for change in page.changes:
            act(change)
        outcome = replace(outcome, applied=(*outcome.applied, *page.changes))
    return outcome


def _next(pages: Iterator[Page], console: Terminal) -> Page | None:
    with progress_on(console, "Planning"):
        return next(pages, None)


def _answer(page: Page) -> str:
    price = _price(page.changes)
    offer = f"Apply this to {len(page.changes)} of {page.looked_at}, for up to {price} credits?"
    if not sys.stdin.isatty():
        raise Unconfirmed(f"{offer} To agree, add --yes.")
    return choose(offer, ["yes", "no", "all"], default="no")


def _price(changes: Iterable[PlannedChange]) -> int:
    return sum(change.credits for change in changes)


def _table(page: Page) -> Table:
    return Table(
        ["Drop", "Now", "Then", "Credits"],
        [(each.key, each.now, each.then, str(each.credits)) for each in page.changes],
        right=frozenset({"Credits"}),
    )


def _report(outcome: _Outcome, agreement: Agreement) -> None:
    price = _price(outcome.applied)
    if agreement.as_json:
        told: dict[str, Any] = {
            "as_asked": outcome.is_as_asked,
            "looked_at": outcome.looked_at,
            "credits": price,
            "applied": [change.as_json() for change in outcome.applied],
            "left": [change.as_json() for change in outcome.left],
        }
        say_json(told)
        return
    applied, left = len(outcome.applied), len(outcome.left)
    say(
        f"Looked at {outcome.looked_at}: {applied} applied, for up to {price} credits; {left} left."
    )


@click.command(
    "apply",
    epilog=examples(
        "dropscale apply s3://my-input-bucket/photos/",
        "dropscale apply photos --out out",
    ),
)
@click.argument("place", metavar="PATH|s3://BUCKET/PREFIX")
@stack_option
@out_option("The output folder of earlier runs of PATH.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@format_option("With json, the plan goes to standard error.")
@click.option("--log", type=FILE, help="Append the stack's log to this file; only with PATH.")
@sidecar_suffixes_option
def apply(
    *,
    place: str,
    stack: str,
    out: Path,
    yes: bool,
    output_format: str,
    log: Path | None,
    suffixes: tuple[str, ...],
) -> None:
    """Look again at all images in a folder or a prefix, for example after a folder spec changed.

    Uploading a folder spec starts no upscale, and a stack does not know images that were in the
    bucket before it. This command shows page by page what changes and what it costs, asks, and
    applies it.

    Exits with 0 if all changes were applied, 1 if not, 2 if a price needs --yes.
    """
    with ended_by_signals("Applied changes continue."):
        as_json = output_format == "json"
        if place.startswith(_S3):
            url = urlsplit(place)
            prefix = place.removeprefix(f"{_S3}{url.netloc}").removeprefix("/")
            agreement = Agreement(is_agreed=yes, as_json=as_json)
            sys.exit(apply_to_stack(url.netloc, prefix, stack, agreement))
        path = Path(place)
        if not path.exists():
            raise click.UsageError(f"{place} does not exist.")
        options = RunOptions(path=path, out=out, is_agreed=yes, as_json=as_json, suffixes=suffixes)
        sys.exit(apply_to_files(options, os.environ, log))
