"""Whether what a command will cost at most is agreed to."""

import sys

import click
from rich.console import Console

from dropscale_cli.errors import PriceDeclined, PriceUnconfirmed


def agree_to_price(price: int, offer: str, console: Console, *, is_agreed: bool) -> None:
    """Show an offer, and ask a person whether to go on, unless nothing is to be paid.

    Raises:
        PriceUnconfirmed, PriceDeclined: as their names say.
    """
    if price and not is_agreed and not sys.stdin.isatty():
        raise PriceUnconfirmed(f"{offer} To agree, add --yes.")
    console.print(offer)
    if price and not is_agreed and not click.confirm("Go on?", err=True):
        raise PriceDeclined("Nothing was done, nothing is charged.")
