"""`dropscale forget`: deletes the vendor's copies of a delivered image's results."""

from __future__ import annotations

import os
from pathlib import Path

import click

from dropscale.errors import DropscaleError
from dropscale.ledger.drops import Drop
from dropscale.magichour.errors import MagicHourError
from dropscale_cli.errors import NotForgotten
from dropscale_cli.follow.by_hand import dropped_image, reading, session_at, with_place
from dropscale_cli.follow.places import Place, place_of
from dropscale_cli.follow.run import Agreement
from dropscale_cli.options import agree, ended_by_signals, what_continues
from dropscale_cli.terminal import Terminal, say_json


def forget_image(key: str, place: Place, options: Agreement) -> None:
    """Ask, and delete the projects of an image's results, once all that share them have theirs.

    Raises:
        click.ClickException: one of `dropscale_cli.errors`, or an API key is missing.
    """
    console = Terminal(to_stderr=options.as_json)
    with place.held():
        with reading():
            ledger = place.ledger(key)
        agree_to_deletion(dropped_image(key, ledger), console, is_agreed=options.is_agreed)
        with session_at({}, [key], place, ledger, options) as running:
            try:
                deleted = running.target.forget(key)
            except (DropscaleError, MagicHourError) as error:
                raise NotForgotten(str(error)) from error
            now = place.ledger(key).drops.values()
            noted = [drop for drop in now if drop != ledger.drops.get(drop.source.key)]
            running.round_trip.follow((one.source.key, one.source.version_id) for one in noted)
    if options.as_json:
        say_json({"key": key, "deleted": deleted})
    else:
        console.say(
            f"{key}: deleted at Magic Hour: {', '.join(deleted) or 'nothing was left to delete'}"
        )


def agree_to_deletion(drop: Drop, console: Terminal, *, is_agreed: bool) -> None:
    """Say what will be deleted, and ask.

    Raises:
        Unconfirmed, Declined: see `agree`.
    """
    projects = ", ".join(
        dict.fromkeys(filter(None, (r.project_id for r in drop.renditions.values())))
    )
    offer = (
        f"{drop.source.key}: this deletes {projects or 'its projects'} at Magic Hour, for good. "
        "Delivered files stay; an image of the same bytes that is dropped later gets a copy of "
        "them. The image that was sent stays at Magic Hour for up to seven days."
    )
    agree(offer, console, "Delete?", "Nothing was deleted.", is_agreed=is_agreed)


@click.command("forget")
@click.argument("key")
@with_place
def forget(
    *, key: str, out: Path, stack: str | None, yes: bool, output_format: str, log: Path | None
) -> None:
    """Delete the results of the image KEY at Magic Hour, for good.

    Only once every image that shares them has its file. If interrupted, give the command again.

    Exits with 0 if they are deleted, else 1.
    """
    with ended_by_signals(what_continues(stack)):
        place = place_of(stack, out, os.environ, log)
        forget_image(key, place, Agreement(is_agreed=yes, as_json=output_format == "json"))
