"""Shows a run's progress: a live table on a terminal, a line per change elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from types import MappingProxyType
from typing import Protocol

from dropscale.ledger.states import OPEN_STATES, DropState, WaitReason
from dropscale_cli.terminal import Table, Terminal, Verbosity, on_one_line
from dropscale_cli.tracking.round_trip import FollowedDrop, Reporter, Transfer

_SPARE_LINES = 4
"""For the table's frame, its caption, and the prompt."""

_FIRST_SECONDS = 0.6
"""The longest time without output."""

_TICK_SECONDS = 1.5
_TICK_RATIO = 0.1
"""The pause between lines, as a share of the time without news: a log of hours is not flooded."""

_WAITS = MappingProxyType(
    {
        WaitReason.SIDECAR: "waiting for its sidecar",
        WaitReason.ACCESS: "waiting for access",
        WaitReason.LEDGER: "waiting for the ledger",
        WaitReason.SLOT: "waiting for a free slot",
        WaitReason.BUDGET: "waiting for the budget",
        WaitReason.THROTTLED: "waiting until Magic Hour accepts more",
        WaitReason.ACCOUNT: "waiting for the account",
        WaitReason.UNREADABLE: "waiting for a readable answer from Magic Hour",
    }
)


def state_in_words(drop: FollowedDrop) -> str:
    """Return an image's state in a few words."""
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


def reason_lines(drop: FollowedDrop) -> Iterator[str]:
    """Yield the reason of an image's state and what to do; nothing if all is well."""
    if drop.trouble:
        yield drop.trouble
    elif drop.manifest is None:
        yield "The stack reported nothing about it. Run again with --log FILE, and read the log."
    elif drop.manifest.reason:
        yield drop.manifest.reason.message
        yield drop.manifest.reason.fix


def progress_in_words(drop: FollowedDrop) -> str:
    """Return an image's state and, until it is settled, what delays it."""
    words = state_in_words(drop)
    if drop.trouble or not (drop.manifest and drop.state in OPEN_STATES and drop.manifest.reason):
        return words
    return f"{words}: {on_one_line(drop.manifest.reason.message)}"


class Progress(Reporter, Protocol):
    """A `Reporter` for people; it also shows that work continues while there is no news.

    Attributes:
        doing: The current work besides the images; None: there is none.
    """

    doing: str | None


@contextmanager
def progress_on(
    console: Terminal, doing: str | None = None, *, began: float | None = None
) -> Iterator[Progress]:
    """Show progress on a console until the block ends, as the command's options require.

    The seconds shown are those since `began`, a `time.monotonic`; None: since now.
    """
    verbosity = Verbosity.chosen()
    if verbosity is Verbosity.QUIET:
        yield _Counted(console, doing)
        return
    if console.is_terminal and verbosity is Verbosity.NORMAL:
        table = TableProgress(console, doing, began=began)
        with console.keep_showing(table.table, goes_away=True):
            yield table
        return
    is_verbose = verbosity is Verbosity.VERBOSE
    lines = LineProgress(console, doing, is_verbose=is_verbose, began=began)
    end = Event()
    ticker = Thread(target=lines.tick_until, args=(end,), name="progress", daemon=True)
    ticker.start()
    try:
        yield lines
    finally:
        end.set()
        ticker.join()


@dataclass
class _Counted:
    """A `Progress` that counts the images and the settled ones."""

    console: Terminal
    doing: str | None = None
    clock: Callable[[], float] = time.monotonic
    is_verbose: bool = False
    began: float | None = None
    _by_key: dict[str, FollowedDrop] = field(default_factory=dict, init=False)
    _transfer: Transfer | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._began = self.clock() if self.began is None else self.began

    def moved(self, transfer: Transfer) -> None:
        """See `Reporter.moved`."""
        self._transfer = None if transfer.is_over else transfer

    def update(self, drop: FollowedDrop) -> None:
        """See `Reporter.update`."""
        self._by_key[drop.key] = drop

    def _in_words(self) -> str | None:
        """Return the current work, or the images' progress; None if all are settled."""
        drops = list(self._by_key.values())
        settled = sum(drop.is_settled for drop in drops)
        is_moving = any(not (drop.is_settled or drop.is_given_up) for drop in drops)
        words = [f"{settled} of {len(drops)} done"] if is_moving else []
        words += [str(self._transfer)] if self._transfer else []
        return self.doing or ", ".join(words) or None


class LineProgress(_Counted):
    """Prints a line whenever an image changes its state, and now and then in between."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._printed: dict[str, str] = {}
        self._last_news = self._last_line = self.clock()
        self._pause = _FIRST_SECONDS
        if self.is_verbose and self.doing:
            self.console.say(self.doing)

    def moved(self, transfer: Transfer) -> None:
        """See `Reporter.moved`."""
        super().moved(transfer)
        if self.is_verbose and transfer.is_over:
            self.console.say(f"{transfer}")

    def update(self, drop: FollowedDrop) -> None:
        """See `Reporter.update`."""
        super().update(drop)
        words = progress_in_words(drop)
        if self._printed.get(drop.key) != words:
            self._printed[drop.key] = words
            after = f" after {drop.seconds:.1f} s" if drop.is_settled else ""
            self._last_news = self._last_line = self.clock()
            self._pause = _TICK_SECONDS
            self.console.say(f"{drop.key}: {words}{after}")

    def tick(self) -> None:
        """Print a line if there was none for a while; the longer without news, the rarer."""
        now = self.clock()
        pause = max(self._pause, (now - self._last_news) * _TICK_RATIO)
        words = self._in_words()
        if words and now - self._last_line >= pause:
            self._last_line, self._pause = now, _TICK_SECONDS
            self.console.say(f"{words}, {now - self._began:.0f} s")

    def tick_until(self, end: Event) -> None:
        """Tick until the event is set."""
        while not end.wait(_FIRST_SECONDS / 4):
            self.tick()


class TableProgress(_Counted):
    """Keeps a table of the images; if the terminal is too small for all, of the unsettled ones."""

    def table(self) -> Table:
        """Return the table as it is now; called from the thread that refreshes the terminal."""
        drops = list(self._by_key.values())
        words = self._in_words()
        seconds = f", {self.clock() - self._began:.0f} s" if words else ""
        caption = f"{words or f'{len(drops)} of {len(drops)} done'}{seconds}"
        room = max(1, self.console.height - _SPARE_LINES)
        if len(drops) > room:
            drops = sorted(drops, key=lambda drop: (drop.is_settled, drop.manifest is None))[:room]
        return Table(
            ["Image", "State", "Seconds"] if drops else [],
            [
                (drop.key, progress_in_words(drop), f"{drop.seconds:.1f}" * drop.is_settled)
                for drop in drops
            ],
            right=frozenset({"Seconds"}),
            caption=caption,
            is_cut=True,
        )
