"""`dropscale status`: what the ledger says, of an output folder or of a stack elsewhere."""

import json
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from typing import NoReturn

import click
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dropscale.ledger.states import OPEN_STATES
from dropscale_cli.places import Place
from dropscale_cli.progress import state_in_words
from dropscale_cli.round_trip import FollowedDrop
from dropscale_cli.summary import as_json_object, console_for_outcomes, explanation, reason_lines

_PAUSE_SECONDS = 2.0
_SPARE_LINES = 4


def status(place: Place, *, as_json: bool, only_failed: bool) -> int:
    """Print where each drop stands.

    Return the exit code: 0 if all came to what their specs ask for, else 1.
    """
    drops = _drops(place)
    shown = [drop for drop in drops if is_failed(drop)] if only_failed else drops
    done = sum(drop.is_as_asked for drop in drops)
    if as_json:
        outcome = {
            "as_asked": done == len(drops),
            "states": dict(_counted(drops)),
            "drops": [as_json_object(drop) for drop in shown],
        }
        click.echo(json.dumps(outcome, indent=2, ensure_ascii=False))
    else:
        _print(shown)
        click.echo(f"\n{_totals(drops)}")
    return 0 if done == len(drops) else 1


def watch(place: Place, *, only_failed: bool) -> NoReturn:
    """Show where each drop stands, again and again, until an exception ends it."""
    console = Console(highlight=False, markup=False)
    told = ""
    with (
        Live(console=console, auto_refresh=False) if console.is_terminal else nullcontext() as live
    ):
        while True:
            drops = _drops(place)
            totals = _totals(drops)
            if live:
                shown = [drop for drop in drops if is_failed(drop)] if only_failed else drops
                # What has changed last comes first, as far as there is room.
                latest = sorted(shown, key=_since, reverse=True)[: console.height - _SPARE_LINES]
                live.update(Group(_table(latest), "", totals), refresh=True)
            elif totals != told:
                click.echo(totals)
            told = totals
            time.sleep(_PAUSE_SECONDS)


def is_failed(drop: FollowedDrop) -> bool:
    """Whether the pipeline is done with an image that did not come to what was asked."""
    return drop.is_settled and not drop.is_as_asked


def _drops(place: Place) -> list[FollowedDrop]:
    return [place.as_it_stands(drop) for _, drop in sorted(place.ledger().drops.items())]


def _counted(drops: Sequence[FollowedDrop]) -> list[tuple[str, int]]:
    return Counter(state_in_words(drop) for drop in drops).most_common()


def _totals(drops: Sequence[FollowedDrop]) -> str:
    done = sum(drop.is_as_asked for drop in drops)
    states = ", ".join(f"{count} {words}" for words, count in _counted(drops))
    return f"{done} of {len(drops)} done{f': {states}' if states else ''}"


def _since(drop: FollowedDrop) -> str:
    timeline = drop.manifest.timeline if drop.manifest else ()
    return f"{timeline[-1].at:%Y-%m-%d %H:%M:%S} UTC" if timeline else ""


def _table(drops: Sequence[FollowedDrop]) -> Table:
    table = Table("Image", "State", "Since", box=None, pad_edge=False)
    for drop in drops:
        table.add_row(Text(drop.key), state_in_words(drop), _since(drop))
    return table


def _print(drops: Sequence[FollowedDrop]) -> None:
    console = console_for_outcomes()
    if drops:
        console.print(_table(drops))
    for drop in drops:
        if is_failed(drop) or (drop.state in OPEN_STATES and list(reason_lines(drop))):
            for line in explanation(drop):
                console.print(line)
