"""`dropscale apply`: has a stack look again at what it was given before, or was never told of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import click

from dropscale_cli.chosen_api import chosen_api, remembered_api
from dropscale_cli.deployed_stack import deployed_target
from dropscale_cli.drops import find_drops
from dropscale_cli.errors import PriceUnconfirmed
from dropscale_cli.file_listing import FileListing
from dropscale_cli.kept_ledger import KeptLedger
from dropscale_cli.plan_report import loss_lines
from dropscale_cli.run import RunOptions, run_drops
from dropscale_cli.stack_limits import stack_limit_warnings
from dropscale_cli.stack_plan import Page, PlannedChange, StackPlanner
from dropscale_cli.state_folder import StateFolder
from dropscale_cli.terminal import Table, Terminal, choose, say, say_json


@dataclass(frozen=True)
class Agreement:
    """How a person agrees to a plan.

    Attributes:
        is_agreed: Whether no question is to be asked.
        is_terminal: Whether there is somebody to ask.
        as_json: Whether standard output takes one JSON object and nothing else.
    """

    is_agreed: bool
    is_terminal: bool
    as_json: bool


@dataclass(frozen=True)
class _Outcome:
    looked_at: int = 0
    applied: tuple[PlannedChange, ...] = ()
    left: tuple[PlannedChange, ...] = ()

    @property
    def is_as_asked(self) -> bool:
        return not self.left and not any(change.refusal for change in self.applied)


def apply_to_stack(bucket: str, prefix: str, stack: str, agreement: Agreement) -> int:
    """Plan page by page what a new look changes below a prefix, and have done what is agreed to.

    Return the exit code: 0 if all that changes was applied, and can be done, else 1.

    Raises:
        StackUnreachable, PriceUnconfirmed: as their names say.
        click.UsageError: that is not where the stack takes drops.
    """
    target = deployed_target(stack)
    if bucket != target.input_bucket:
        raise click.UsageError(
            f"{bucket} is not the input bucket of stack {stack}; that is {target.input_bucket}."
        )
    below = target.settings.input_prefix
    if not (prefix.startswith(below) or below.startswith(prefix)):
        raise click.UsageError(f"Stack {stack} takes drops below {below} only.")
    pages = StackPlanner.of(target).pages(max(prefix, below, key=len))
    outcome = _agreed(
        pages,
        agreement,
        lambda change: target.look_again(change.key, change.version),
        lambda price: stack_limit_warnings(target, price),
    )
    _report(outcome, agreement)
    return 0 if outcome.is_as_asked else 1


def apply_to_files(
    options: RunOptions, agreement: Agreement, environment: Mapping[str, str]
) -> int:
    """Plan what a new look at files changes since earlier runs, and run what is agreed to.

    Return the exit code: 0 if nothing changes, or as `dropscale run` does.

    Raises:
        click.ClickException: one of `dropscale_cli.errors`.
    """
    drops = find_drops(options.path, options.out, suffixes=options.suffixes)
    folder = StateFolder(options.out)
    ledger, bucket = KeptLedger.read(folder), drops.bucket
    name = next((drop.source.bucket for drop in ledger.drops.values()), "")
    planner = StackPlanner(FileListing(drops, name), bucket, bucket.specs(), ledger)
    outcome = _agreed(planner.pages(""), agreement, lambda change: None)
    if not outcome.applied:
        _report(outcome, agreement)
        return 0 if outcome.is_as_asked else 1
    keys = {change.key for change in outcome.applied}
    chosen = replace(
        drops,
        images={key: path for key, path in drops.images.items() if key in keys},
        stand_alone={key: path for key, path in drops.stand_alone.items() if key in keys},
    )
    api_name = folder.api_name()
    api = (
        remembered_api(api_name, environment)
        if api_name
        else chosen_api(environment, options.engine)
    )
    code = run_drops(chosen, replace(options, is_agreed=True), api)
    return code or (1 if outcome.left else 0)


def _agreed(
    pages: Iterator[Page],
    agreement: Agreement,
    act: Callable[[PlannedChange], None],
    warnings: Callable[[int], Iterable[str]] = lambda price: (),
) -> _Outcome:
    """Show each page's changes, and act on those that are agreed to.

    `warnings` are about the price of a page together with all that were agreed to before.
    """
    console = Terminal(to_stderr=agreement.as_json)
    outcome, ask = _Outcome(), not agreement.is_agreed
    for page in pages:
        outcome = replace(outcome, looked_at=outcome.looked_at + page.looked_at)
        if not page.changes:
            continue
        console.show(_table(page))
        for line in loss_lines((change.key, change.losses) for change in page.changes):
            console.say(line)
        for warning in warnings(_price([*outcome.applied, *page.changes])):
            console.say(warning)
        answer = _answer(page, agreement) if ask else "yes"
        ask = ask and answer != "all"
        if answer == "no":
            outcome = replace(outcome, left=(*outcome.left, *page.changes))
            continue
        for change in page.changes:
            act(change)
        outcome = replace(outcome, applied=(*outcome.applied, *page.changes))
    return outcome


def _answer(page: Page, agreement: Agreement) -> str:
    price = _price(page.changes)
    offer = f"Apply this to {len(page.changes)} of {page.looked_at}, for up to {price} credits?"
    if not agreement.is_terminal:
        raise PriceUnconfirmed(f"{offer} To agree, add --yes.")
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
