"""Whether what a command will cost at most is agreed to."""

import sys

from dropscale_cli.errors import PriceDeclined, PriceUnconfirmed
from dropscale_cli.terminal import Terminal, confirm


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
