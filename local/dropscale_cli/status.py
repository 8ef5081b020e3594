"""`dropscale status`: what the ledger of an output folder says, without a stack."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from dropscale.ledger.records import Drop
from dropscale.results.manifest import manifest_of
from dropscale_cli.collect import is_collected
from dropscale_cli.errors import UnusablePath
from dropscale_cli.kept_ledger import KeptLedger
from dropscale_cli.progress import state_in_words
from dropscale_cli.round_trip import FollowedDrop
from dropscale_cli.state_folder import StateFolder
from dropscale_cli.summary import as_json_object, console_for_outcomes, explanation


def status(out: Path, *, as_json: bool, only_failed: bool) -> int:
    """Print where each image stands that was ever dropped into a folder's stack.

    Return the exit code: 0 if all came to what their specs ask for, else 1.

    Raises:
        UnusablePath: no run has been there, or its journal cannot be read.
    """
    folder = StateFolder(out)
    if folder.api_name() is None:
        raise UnusablePath(f"{out}: no run has been here; name its folder with --out.")
    ledger = KeptLedger.read(folder)
    drops = [as_kept(drop, out) for _, drop in sorted(ledger.drops.items())]
    shown = [drop for drop in drops if is_failed(drop)] if only_failed else drops
    done = sum(drop.is_as_asked for drop in drops)
    if as_json:
        outcome = {"as_asked": done == len(drops), "drops": [as_json_object(d) for d in shown]}
        click.echo(json.dumps(outcome, indent=2, ensure_ascii=False))
    else:
        _print(shown)
        click.echo(f"\n{done} of {len(drops)} done")
    return 0 if done == len(drops) else 1


def as_kept(drop: Drop, out: Path) -> FollowedDrop:
    """Return an image as the ledger has it, together with its results in the output folder."""
    manifest = manifest_of(drop)
    outputs = [job.output for job in manifest.jobs if job.output]
    missing = [output.key for output in outputs if not is_collected(out, output)]
    followed = FollowedDrop(
        key=drop.source.key,
        version_id=drop.source.version_id,
        dropped_at=0.0,
        manifest=manifest,
        files=tuple(out / output.key for output in outputs if output.key not in missing),
    )
    if missing:
        command = shlex.join(["dropscale", "retry", drop.source.key, "--out", str(out)])
        return replace(followed, trouble=f"{out / missing[0]} is missing; free again by: {command}")
    return followed


def is_failed(drop: FollowedDrop) -> bool:
    """Whether the pipeline is done with an image that did not come to what was asked."""
    return drop.is_settled and not drop.is_as_asked


def _print(drops: Sequence[FollowedDrop]) -> None:
    console = console_for_outcomes()
    table = Table("Image", "State", "Since", box=None, pad_edge=False)
    for drop in drops:
        timeline = drop.manifest.timeline if drop.manifest else ()
        since = f"{timeline[-1].at:%Y-%m-%d %H:%M:%S} UTC" if timeline else ""
        table.add_row(Text(drop.key), state_in_words(drop), since)
    if drops:
        console.print(table)
    for drop in drops:
        if is_failed(drop):
            for line in explanation(drop):
                console.print(line)
