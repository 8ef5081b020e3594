"""`dropscale status`: the ledger's states of an output folder or a deployed stack."""

import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

import click

from dropscale.ledger.states import OPEN_STATES
from dropscale_cli.follow.places import Place, place_of
from dropscale_cli.follow.summary import as_json_object, explanation
from dropscale_cli.options import ended_by_signals, format_option, place_options
from dropscale_cli.terminal import Table, Terminal, say, say_json
from dropscale_cli.tracking.progress import progress_on, reason_lines, state_in_words
from dropscale_cli.tracking.round_trip import FollowedDrop

_PAUSE_SECONDS = 2.0
_SPARE_LINES = 4


def tell_status(place: Place, *, as_json: bool, only_failed: bool) -> int:
    """Print the state of each drop.

    Return the exit code: 0 if all ended as their specs ask, else 1.
    """
    with progress_on(Terminal(to_stderr=True), "Reading the ledger"):
        drops = _drops(place)
    shown = [drop for drop in drops if is_failed(drop)] if only_failed else drops
    done = sum(drop.is_as_asked for drop in drops)
    if as_json:
        outcome = {
            "as_asked": done == len(drops),
            "states": dict(_count_states(drops)),
            "drops": [as_json_object(drop) for drop in shown],
        }
        say_json(outcome)
    else:
        _tell(shown)
        say("", _totals(drops))
    return 0 if done == len(drops) else 1


def show_changes(place: Place, *, only_failed: bool) -> NoReturn:
    """Show the state of each drop repeatedly, until an exception ends it.

    On a terminal as a table, else as a line for each change.
    """
    terminal, shown, told = Terminal(), _table([]), ""
    with ExitStack() as ended:
        if terminal.is_terminal:
            ended.enter_context(terminal.keep_showing(lambda: shown, goes_away=False))
        while True:
            drops = _drops(place)
            totals = _totals(drops)
            chosen = [drop for drop in drops if is_failed(drop)] if only_failed else drops
            # The latest changes come first, as far as there is room.
            latest = sorted(chosen, key=_since, reverse=True)[: terminal.height - _SPARE_LINES]
            shown = _table(latest, totals)
            if not terminal.is_terminal and totals != told:
                say(totals)
            told = totals
            time.sleep(_PAUSE_SECONDS)


def is_failed(drop: FollowedDrop) -> bool:
    """Whether an image is settled, but not as its spec asks."""
    return drop.is_settled and not drop.is_as_asked


def _drops(place: Place) -> list[FollowedDrop]:
    return [place.as_it_stands(drop) for _, drop in sorted(place.ledger().drops.items())]


def _count_states(drops: Sequence[FollowedDrop]) -> list[tuple[str, int]]:
    return Counter(state_in_words(drop) for drop in drops).most_common()


def _totals(drops: Sequence[FollowedDrop]) -> str:
    done = sum(drop.is_as_asked for drop in drops)
    states = ", ".join(f"{count} {words}" for words, count in _count_states(drops))
    return f"{done} of {len(drops)} done{f': {states}' if states else ''}"


def _since(drop: FollowedDrop) -> str:
    timeline = drop.manifest.timeline if drop.manifest else ()
    return f"{timeline[-1].at:%Y-%m-%d %H:%M:%S} UTC" if timeline else ""


def _table(drops: Sequence[FollowedDrop], totals: str | None = None) -> Table:
    rows = [(drop.key, state_in_words(drop), _since(drop)) for drop in drops]
    return Table(["Image", "State", "Since"], rows, caption=totals)


def _tell(drops: Sequence[FollowedDrop]) -> None:
    terminal = Terminal(is_wide=True)
    if drops:
        terminal.show(_table(drops))
    for drop in drops:
        if is_failed(drop) or (drop.state in OPEN_STATES and list(reason_lines(drop))):
            terminal.say(*explanation(drop))


@click.command("status")
@place_options
@format_option()
@click.option("--failed", is_flag=True, help="Show only images without a result.")
@click.option("--watch", is_flag=True, help="Keep showing it until Ctrl-C.")
def status(*, out: Path, stack: str | None, output_format: str, failed: bool, watch: bool) -> None:
    """Show the state of each image of earlier runs, or of a stack.

    Exits with 0 if all images ended as asked, 1 if not.
    """
    with ended_by_signals():
        place = place_of(stack, out, os.environ)
        if watch:
            show_changes(place, only_failed=failed)
        sys.exit(tell_status(place, as_json=output_format == "json", only_failed=failed))
