"""`dropscale apply`: has a stack look again at what already lies in its input bucket."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dropscale_cli.deployed_stack import deployed_target
from dropscale_cli.errors import PriceUnconfirmed
from dropscale_cli.stack_plan import PlannedChange, StackPlanner
from dropscale_cli.summary import console_for_outcomes


@dataclass(frozen=True)
class ApplyOptions:
    """What `dropscale apply` was asked for.

    Attributes:
        bucket: The stack's input bucket.
        prefix: What the keys begin with.
        stack: The stack's name.
        is_agreed: Whether no question is to be asked.
        as_json: Whether standard output takes one JSON object and nothing else.
    """

    bucket: str
    prefix: str
    stack: str
    is_agreed: bool
    as_json: bool


@dataclass
class _Totals:
    looked_at: int = 0
    applied: int = 0
    left: int = 0
    refused: int = 0
    credits: int = 0


def apply(options: ApplyOptions, console: Console, is_terminal: bool) -> int:
    """Plan page by page what new specs change, and have the stack do what is agreed to.

    Return the exit code: 0 if all that changes was applied, else 1.

    Raises:
        StackUnreachable: as its name says.
        PriceUnconfirmed: something would be paid, and there is nobody to ask.
        click.UsageError: the bucket is not the stack's input bucket.
    """
    target = deployed_target(options.stack)
    if options.bucket != target.input_bucket:
        raise click.UsageError(
            f"{options.bucket} is not the input bucket of stack {options.stack}; "
            f"that is {target.input_bucket}."
        )
    planner = StackPlanner.of(target)
    totals, shown, ask = _Totals(), list[PlannedChange](), not options.is_agreed
    for page in planner.pages(options.prefix):
        totals.looked_at += page.looked_at
        totals.refused += sum(change.refusal is not None for change in page.changes)
        if not page.changes:
            continue
        shown += page.changes
        console.print(_table(page.changes))
        answer = _answer(page.changes, is_terminal=is_terminal) if ask else "yes"
        ask = ask and answer != "all"
        if answer == "no":
            totals.left += len(page.changes)
            continue
        planner.apply(page.changes)
        totals.applied += len(page.changes)
        totals.credits += sum(change.credits for change in page.changes)
    _report(totals, shown, as_json=options.as_json)
    return 1 if totals.left or totals.refused else 0


def _answer(changes: Sequence[PlannedChange], *, is_terminal: bool) -> str:
    price = sum(change.credits for change in changes)
    offer = f"Apply to these {len(changes)}, for up to {price} credits?"
    if not is_terminal:
        raise PriceUnconfirmed(f"{offer} To agree, add --yes.")
    choices = click.Choice(["yes", "no", "all"])
    answer: str = click.prompt(offer, type=choices, default="no", err=True)
    return answer


def _table(changes: Sequence[PlannedChange]) -> Table:
    table = Table("Drop", "Now", "Then", box=None, pad_edge=False)
    table.add_column("Credits", justify="right")
    for change in changes:
        table.add_row(Text(change.key), Text(change.now), Text(change.then), str(change.credits))
    return table


def _report(totals: _Totals, changes: Sequence[PlannedChange], *, as_json: bool) -> None:
    if as_json:
        outcome: dict[str, Any] = {
            **vars(totals),
            "changes": [change.as_json() for change in changes],
        }
        click.echo(json.dumps(outcome, indent=2, ensure_ascii=False))
        return
    console_for_outcomes().print(
        f"Looked at {totals.looked_at}: {totals.applied} applied, for up to {totals.credits} "
        f"credits; {totals.left} left; {totals.refused} cannot be done as their specs say."
    )
