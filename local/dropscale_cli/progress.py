"""Shows a run's progress: a live table on a terminal, a line per change elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import MappingProxyType

from dropscale.ledger.states import OPEN_STATES, DropState, WaitReason
from dropscale_cli.round_trip import FollowedDrop, Reporter
from dropscale_cli.terminal import Table, Terminal, on_one_line

_SPARE_LINES = 4
"""The table's frame, its caption, and the prompt."""

_WAITS = MappingProxyType(
    {
        WaitReason.SIDECAR: "waiting for its sidecar",
        WaitReason.ACCESS: "waiting for access to it",
        WaitReason.SLOT: "waiting for a free slot",
        WaitReason.BUDGET: "waiting for the budget",
        WaitReason.THROTTLED: "waiting until Magic Hour takes more",
        WaitReason.ACCOUNT: "waiting for the account",
        WaitReason.UNREADABLE: "waiting until Magic Hour itself answers",
    }
)


def state_in_words(drop: FollowedDrop) -> str:
    """Say in a few words where an image stands."""
    if drop.trouble:
        return "not in the folder"
    if drop.manifest is None:
        return "dropped"
    if drop.state is DropState.WAITING and drop.manifest.waiting_for:
        words = _WAITS[drop.manifest.waiting_for]
        if drop.manifest.waiting_for is WaitReason.ACCOUNT and drop.manifest.reason is None:
            words += ": is the API key right, are credits left?"
    else:
        words = drop.manifest.state.replace("_", " ")
    return f"{words}, no longer waited for" if drop.is_given_up else words


def progress_in_words(drop: FollowedDrop) -> str:
    """Say where an image stands, and as long as it is on its way, also what holds it up."""
    words = state_in_words(drop)
    if drop.trouble or not (drop.manifest and drop.state in OPEN_STATES and drop.manifest.reason):
        return words
    return f"{words}: {on_one_line(drop.manifest.reason.message)}"


@contextmanager
def progress_on(console: Terminal) -> Iterator[Reporter]:
    """Show progress on a console until the block ends."""
    if not console.is_terminal:
        yield LineProgress(console)
        return
    table = TableProgress(console)
    with console.keep_showing(table.table, goes_away=True):
        yield table


class LineProgress:
    """Prints a line whenever an image comes to another state."""

    def __init__(self, console: Terminal) -> None:
        self._console = console
        self._printed: dict[str, str] = {}

    def update(self, drop: FollowedDrop) -> None:
        """See `Reporter.update`."""
        words = progress_in_words(drop)
        if self._printed.get(drop.key) != words:
            self._printed[drop.key] = words
            after = f" after {drop.seconds:.1f} s" if drop.is_settled else ""
            self._console.say(f"{drop.key}: {words}{after}")


class TableProgress:
    """Keeps a table of the images; where the terminal is too low for all, of those in motion."""

    def __init__(self, console: Terminal) -> None:
        self._console = console
        self._drops: dict[str, FollowedDrop] = {}

    def update(self, drop: FollowedDrop) -> None:
        """See `Reporter.update`."""
        self._drops[drop.key] = drop

    def table(self) -> Table:
        """Return the table as it is now; called from the thread that refreshes the terminal."""
        drops = list(self._drops.values())
        settled = sum(drop.is_settled for drop in drops)
        room = max(1, self._console.height - _SPARE_LINES)
        if len(drops) > room:
            drops = sorted(drops, key=lambda drop: (drop.is_settled, drop.manifest is None))[:room]
        return Table(
            ["Image", "State", "Seconds"],
            [
                (drop.key, progress_in_words(drop), f"{drop.seconds:.1f}" * drop.is_settled)
                for drop in drops
            ],
            right=frozenset({"Seconds"}),
            caption=f"{settled} of {len(self._drops)}",
            is_cut=True,
        )
