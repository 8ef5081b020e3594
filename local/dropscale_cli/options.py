"""Options that several commands have, the form of their help, and how a command ends."""

import re
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import TypeVar

import click

from dropscale.specs.keys import SPEC_SUFFIXES
from dropscale_cli.errors import PriceDeclined, PriceUnconfirmed
from dropscale_cli.terminal import Terminal, confirm, say

_DURATION = re.compile(r"(\d+(?:\.\d+)?)([sm]?)")
_SECONDS = MappingProxyType({"": 1.0, "s": 1.0, "m": 60.0})


FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
PATH = click.Path(exists=True, path_type=Path)
ENGINES = click.Choice(["model", "stub"])
LOG_HELP = "Append the stack's log to this file."
YES_HELP = "Do not ask for confirmation."
PROGRESS_HELP = "With json, progress goes to standard error."
NOTHING_GOES_ON = "Nothing runs here any more; what is paid is kept, and paid jobs go on."
"""For a command whose stack ends with it."""

Command = TypeVar("Command", bound=Callable[..., object])


def out_option(help_text: str) -> Callable[[Command], Command]:
    """Add the option that names the output folder."""
    return click.option(
        "--out",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path("out"),
        show_default=True,
        help=help_text,
    )


def sidecar_suffixes_option(command: Command) -> Command:
    """Add the option that says what sidecars' names end in."""
    return click.option(
        "--sidecar-suffixes",
        "suffixes",
        envvar="DROPSCALE_SIDECAR_SUFFIXES",
        callback=_as_suffixes,
        default=",".join(SPEC_SUFFIXES),
        show_default=True,
        help="What a sidecar's name ends in, as the stack's parameter SidecarSuffixes. Narrow it "
        "where other tools leave such files.",
    )(command)


def _as_suffixes(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
    suffixes = tuple(value.split(","))
    if not set(suffixes) <= set(SPEC_SUFFIXES):
        allowed = ", ".join(SPEC_SUFFIXES)
        raise click.BadParameter(f"allowed are some of {allowed}", context, parameter)
    return suffixes


root_option = click.option(
    "--root",
    type=FOLDER,
    help="Where the cascade of specs begins.  [default: the working directory, for what lies "
    "below it; else the folder itself, or the file's]",
)
"""Add the option that names the root of a tree of specs."""


stack_option = click.option(
    "--stack",
    default="dropscale",
    show_default=True,
    help="The stack's name; account and region are those that the AWS CLI uses.",
)


def place_options(command: Command) -> Command:
    """Add the options that name a stack, or the output folder of earlier runs."""
    stack = click.option(
        "--stack",
        metavar="NAME",
        help="A stack on AWS instead, in the account and region that the AWS CLI uses.",
    )
    return out_option("Where an earlier run has put its results.")(stack(command))


def format_option(help_text: str | None = None, *others: str) -> Callable[[Command], Command]:
    """Add the option that chooses between text, JSON and other formats."""
    return click.option(
        "--format",
        "output_format",
        type=click.Choice(["text", "json", *others]),
        default="text",
        show_default=True,
        help=help_text,
    )


def as_seconds(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> float | None:
    """Return what `90`, `90s` or `10m` is in seconds; the callback of an option."""
    if value is None:
        return None
    found = _DURATION.fullmatch(value)
    if found is None:
        raise click.BadParameter(
            f"{value!r} is no duration; say 90, 90s or 10m.", context, parameter
        )
    return float(found[1]) * _SECONDS[found[2]]


def examples(*commands: str) -> str:
    """Return what a command's help ends with."""
    return "\n".join(["\b", "Examples:", *(f"  {command}" for command in commands)])


def agree_to_price(price: int, offer: str, console: Terminal, *, is_agreed: bool) -> None:
    """Show an offer, and ask a person whether to go on, unless nothing is to be paid.

    Raises:
        PriceUnconfirmed, PriceDeclined: as their names say.
    """
    if price and not is_agreed and not sys.stdin.isatty():
        raise PriceUnconfirmed(f"{offer} To agree, add --yes.")
    console.say(offer)
    if price and not is_agreed and not confirm("Go on?"):
        raise PriceDeclined("Nothing was done, nothing is charged.")


_EXIT_CODE = 130
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def ended_by_signals(
    goes_on: str = "", purpose: str = "To resume", arguments: Sequence[str] = ()
) -> Iterator[None]:
    """Let SIGINT and SIGTERM unwind the block, say what goes on, and exit with 130.

    Then name the command to give next, by its arguments: if there are none, the same again, which
    does what was not done yet.

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
        command = shlex.join(["dropscale", *(arguments or sys.argv[1:])])
        say(f"Interrupted. {goes_on}".rstrip(), f"{purpose}: {command}", to_stderr=True)
        sys.exit(_EXIT_CODE)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    for number in _SIGNALS:
        signal.signal(number, _pass)
    raise KeyboardInterrupt


def _pass(_number: int, _frame: FrameType | None) -> None:
    """Do nothing; SIG_IGN would make Python complain of a signal that came with the first."""
