"""How a command ends when it is told to stop."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click

from dropscale_cli.terminal import say

EXIT_CODE = 130
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def ended_by_signals(farewell: str) -> Iterator[None]:
    """Let SIGINT and SIGTERM unwind the block, print `farewell`, and exit with 130.

    A second signal changes nothing: what the block started is being stopped by then.
    """
    for number in _SIGNALS:
        signal.signal(number, _interrupt)
    try:
        yield
    except (KeyboardInterrupt, click.Abort):
        # While it exits, Python hands its handlers' signals back to the system, which would kill.
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        say(farewell, to_stderr=True)
        sys.exit(EXIT_CODE)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    for number in _SIGNALS:
        signal.signal(number, _pass)
    raise KeyboardInterrupt


def _pass(_number: int, _frame: FrameType | None) -> None:
    """Do nothing; SIG_IGN would make Python complain of a signal that came with the first."""
