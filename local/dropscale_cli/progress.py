"""Shows a run's progress: a live table on a terminal, a line per change elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import MappingProxyType

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dropscale.ledger.states import DropState, WaitReason
from dropscale_cli.round_trip import FollowedDrop, Reporter

_SPARE_LINES = 4
"""The table's frame, its caption, and the prompt."""

_WAITS = MappingProxyType(
    {
        WaitReason.SIDECAR: "waiting for its sidecar",
        WaitReason.SLOT: "waiting for a free slot",
        WaitReason.BUDGET: "waiting for the budget",
        WaitReason.THROTTLED: "waiting until Magic Hour takes more",
        WaitReason.ACCOUNT: "waiting for the account: is the API key right, are credits left?",
    }
)


def state_in_words(drop: FollowedDrop) -> str:
    """Say in a few words where an image stands."""
    if drop.trouble:
        return "not in the folder"
    if drop.manifest is None:
        return "dropped"
    if drop.state is DropState.WAITING and drop.manifest.waiting_for:
        return _WAITS[drop.manifest.waiting_for]
    return drop.manifest.state.replace("_", " ")


@contextmanager
def progress_on(console: Console) -> Iterator[Reporter]:
    """Show progress on a console until the block ends."""
    if not console.is_terminal:
        yield LineProgress(console)
        return
    table = TableProgress(console)
    with Live(get_renderable=table.render, console=console, transient=True):
        yield table


class LineProgress:
    """Prints a line whenever an image comes to another state."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._printed: dict[str, str] = {}

    def update(self, drop: FollowedDrop) -> None:
        """See `Reporter.update`."""
        words = state_in_words(drop)
        if self._printed.get(drop.key) != words:
            self._printed[drop.key] = words
            after = f" after {drop.seconds:.1f} s" if drop.is_settled else ""
            self._console.print(f"{drop.key}: {words}{after}")


class TableProgress:
    """Keeps a table of the images; where the terminal is too low for all, of those in motion."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._drops: dict[str, FollowedDrop] = {}

    def update(self, drop: FollowedDrop) -> None:
        """See `Reporter.update`."""
        self._drops[drop.key] = drop

    def render(self) -> Table:
        """Return the table as it is now; called from the thread that refreshes the terminal."""
        drops = list(self._drops.values())
        settled = sum(drop.is_settled for drop in drops)
        room = max(1, self._console.height - _SPARE_LINES)
        if len(drops) > room:
            drops = sorted(drops, key=lambda drop: (drop.is_settled, drop.manifest is None))[:room]
        table = Table(box=None, caption=f"{settled} of {len(self._drops)}", caption_justify="left")
        table.add_column("Image", overflow="ellipsis", no_wrap=True)
        table.add_column("State", overflow="ellipsis", no_wrap=True)
        table.add_column("Seconds", justify="right")
        for drop in drops:
            seconds = f"{drop.seconds:.1f}" if drop.is_settled else ""
            table.add_row(Text(drop.key), state_in_words(drop), seconds)
        return table
