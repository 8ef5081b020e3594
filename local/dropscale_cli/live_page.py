"""Keeps the page of an output folder up to date while images are on their way."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

from dropscale_cli.errors import PageUnwritable
from dropscale_cli.gallery import drops_in, write_page
from dropscale_cli.round_trip import FollowedDrop
from dropscale_cli.terminal import say

_PAUSE_SECONDS = 2.0
_PAUSE_RATIO = 10
"""How many times as long as it takes to write the page there is a pause before the next time."""


@dataclass
class LivePage:
    """A `Reporter` that shows what it is told beside what lies in the folder `out`.

    Attributes:
        path: Where the page is, once it is written.
    """

    out: Path
    path: Path | None = None
    _drops: dict[str, FollowedDrop] = field(default_factory=dict)
    _news: Event = field(default_factory=Event)
    _end: Event = field(default_factory=Event)

    @classmethod
    @contextmanager
    def kept_up(cls, out: Path) -> Iterator["LivePage"]:
        """Write the page again and again until the block ends, and then once more.

        A page that cannot be written is warned of at the end: the results are there without it.
        """
        page = cls(out)
        page._drops.update({drop.key: drop for drop in drops_in(out)})
        page._news.set()
        writer = Thread(target=page._keep_up, name="page", daemon=True)
        writer.start()
        try:
            yield page
        finally:
            page._end.set()
            page._news.set()
            writer.join()
            try:
                page._write(is_live=False)
            except PageUnwritable as error:
                say(f"Warning: {error.message}", to_stderr=True)

    def update(self, drop: FollowedDrop) -> None:
        """See `Reporter.update`."""
        self._drops[drop.key] = drop
        self._news.set()

    def _keep_up(self) -> None:
        while self._news.wait() and not self._end.is_set():
            self._news.clear()
            began = time.monotonic()
            try:
                self._write(is_live=True)
            except PageUnwritable:
                return
            took = time.monotonic() - began
            self._end.wait(max(_PAUSE_SECONDS, _PAUSE_RATIO * took))

    def _write(self, *, is_live: bool) -> None:
        drops = [drop for _, drop in sorted(self._drops.copy().items())]
        self.path = write_page(self.out, drops, is_live=is_live)
