"""What a command will cost at most, and whether that is agreed to."""

import hashlib
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console

from dropscale.errors import DropscaleError
from dropscale.image.header import read_header, require_upscalable
from dropscale.ledger.records import Parameters
from dropscale.pipeline.price import require_affordable
from dropscale.pipeline.sidecars import SpecResolver
from dropscale.spec.keys import SIDECAR_SUFFIXES
from dropscale.spec.model import Spec, Style
from dropscale.upscaler import Mode
from dropscale_cli.drops import Drops
from dropscale_cli.errors import PriceDeclined, PriceUnconfirmed
from dropscale_cli.kept_ledger import KeptLedger

DEFAULTS = Spec(scale_factor=2, style=Style(mode=Mode.BALANCED))
"""What an image gets whose specs say nothing, in a stack that `run` starts."""


@dataclass(frozen=True)
class _SpecFiles:
    """As much of an input bucket as it takes to resolve specs."""

    paths: Mapping[str, Path]

    def read(self, bucket: str, key: str, limit: int) -> bytes | None:
        if key not in self.paths:
            return None
        with self.paths[key].open("rb") as file:
            return file.read(limit)


def highest_price(drops: Drops, ledger: KeptLedger) -> int:
    """Return the credits that a run costs if every paid job succeeds.

    Faulty images and specs cost nothing, images that share a job pay once, and what was paid
    before is not paid again. What earlier runs left unpaid goes on with this one.
    """
    resolve = SpecResolver(
        _SpecFiles(drops.specs), DEFAULTS, SIDECAR_SUFFIXES, sidecar_required=False
    )
    credits_by_job = dict(ledger.unpaid_prices)
    for key, path in drops.images.items():
        with suppress(DropscaleError), path.open("rb") as file:
            require_upscalable(read_header(file, key), key)
            spec = resolve("", key)
            if spec is not None:
                parameters = Parameters.of(spec)
                require_affordable(parameters.credits, key, spec)
                file.seek(0)
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                credits_by_job[parameters.fingerprint(sha256)] = parameters.credits
    return sum(price for job, price in credits_by_job.items() if job not in ledger.paid)


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
