"""Options that several commands share, the format of their help, and how a command ends."""

import re
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import Any, TypeVar

import click

from dropscale.specs.keys import SPEC_SUFFIXES
from dropscale_cli.errors import Declined, Unconfirmed
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
_NOTHING_CONTINUES = "Nothing runs here any more; paid results are kept, and paid jobs continue."
"""For a command that stops its stack when it ends."""

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
    """Add the option for the suffixes of sidecar names."""
    return click.option(
        "--sidecar-suffixes",
        "suffixes",
        envvar="DROPSCALE_SIDECAR_SUFFIXES",
        callback=_as_suffixes,
        default=",".join(SPEC_SUFFIXES),
        show_default=True,
        help="The endings of sidecar names, like the stack's parameter SidecarSuffixes. Give fewer "
        "if other tools leave files with such names.",
    )(command)


def _as_suffixes(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
    suffixes = tuple(value.split(","))
    if not set(suffixes) <= set(SPEC_SUFFIXES):
        allowed = ", ".join(SPEC_SUFFIXES)
        raise click.BadParameter(f"allowed: one or more of {allowed}", context, parameter)
    return suffixes


root_option = click.option(
    "--root",
    type=FOLDER,
    help="The top folder of the spec cascade.  [default: the working directory if it contains "
    "PATH; else the folder itself, or the file's folder]",
)
"""The option for the root of a tree of specs."""


stack_option = click.option(
    "--stack",
    default="dropscale",
    show_default=True,
    help="The stack's name, in the account and region of the AWS CLI.",
)


def place_options(command: Command) -> Command:
    """Add the options that name a stack, or the output folder of earlier runs."""
    stack = click.option(
        "--stack",
        metavar="NAME",
        help="A stack on AWS instead, in the account and region of the AWS CLI.",
    )
    return out_option("The output folder of an earlier run.")(stack(command))


def format_option(help_text: str | None = None, *others: str) -> Callable[[Command], Command]:
    """Add the option for the output format: text, JSON and others."""
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
    """Convert `90`, `90s` or `10m` to seconds; the callback of an option."""
    if value is None:
        return None
    found = _DURATION.fullmatch(value)
    if found is None:
        raise click.BadParameter(
            f"{value!r} is not a duration; give 90, 90s or 10m.", context, parameter
        )
    return float(found[1]) * _SECONDS[found[2]]


def examples(*commands: str) -> str:
    """Return the examples at the end of a command's help."""
    return "\n".join(["\b", "Examples:", *(f"  {command}" for command in commands)])


def agree_to_price(price: int, offer: str, console: Terminal, *, is_agreed: bool) -> None:
    """Show an offer, and ask whether to continue if there is anything to pay.

    Raises:
        Unconfirmed, Declined: see `agree`.
    """
    is_agreed = is_agreed or not price
    agree(offer, console, "Continue?", "Nothing was done or charged.", is_agreed=is_agreed)


def agree(offer: str, console: Terminal, question: str, undone: str, *, is_agreed: bool) -> None:
    """Show an offer, and ask a question unless a person has agreed; `undone` follows a no.

    Raises:
        Unconfirmed: there is nobody to ask. Declined: the answer was no.
    """
    if not is_agreed and not sys.stdin.isatty():
        raise Unconfirmed(f"{offer} To agree, add --yes.")
    console.say(offer)
    if not is_agreed and not confirm(question):
        raise Declined(undone)


def what_continues(stack: str | None) -> str:
    """Return what continues after an interruption: on a stack, or on this machine (None)."""
    return f"Stack {stack} continues its work." if stack else _NOTHING_CONTINUES


_EXIT_CODE = 130
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_AGAIN_SECONDS = 0.05


@contextmanager
def ended_by_signals(
    goes_on: str = "", purpose: str = "To resume", arguments: Sequence[str] = ()
) -> Iterator[None]:
    """On SIGINT or SIGTERM, unwind the block, print what continues, and exit with 130.

    It also prints the next command, from its arguments; without arguments, the same command again,
    which does the remaining work.

    A second signal is ignored: the block is being stopped already.
    """
    for number in _SIGNALS:
        signal.signal(number, _interrupt)
    before = sys.unraisablehook
    sys.unraisablehook = partial(_interrupt_again, before)
    try:
        yield
    except (KeyboardInterrupt, click.Abort):
        # While exiting, Python restores the system's default handlers, which would kill the
        # process.
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        command = shlex.join(["dropscale", *(arguments or sys.argv[1:])])
        say(f"Interrupted. {goes_on}".rstrip(), f"{purpose}: {command}", to_stderr=True)
        sys.exit(_EXIT_CODE)
    finally:
        sys.unraisablehook = before


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    for number in _SIGNALS:
        signal.signal(number, _pass)
    raise KeyboardInterrupt


def _interrupt_again(otherwise: Callable[[Any], object], unraisable: Any) -> None:
    """Interrupt once more, soon, where Python has dropped the interrupt.

    It drops what is raised in a finaliser or in a callback of the garbage collector.
    """
    if not isinstance(unraisable.exc_value, KeyboardInterrupt):
        otherwise(unraisable)
        return
    signal.signal(signal.SIGINT, _interrupt)
    # To the main thread itself, which may be waiting.
    to_it = (threading.get_ident(), signal.SIGINT)
    threading.Timer(_AGAIN_SECONDS, signal.pthread_kill, to_it).start()


def _pass(_number: int, _frame: FrameType | None) -> None:
    """Do nothing; with SIG_IGN, Python would report an error for a second pending signal."""
