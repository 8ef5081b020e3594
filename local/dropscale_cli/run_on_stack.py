"""`dropscale run --stack`: brings images through a stack that others keep running."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import click

from dropscale_cli.aws_target import AwsTarget
from dropscale_cli.chosen_api import STACK
from dropscale_cli.deployed_stack import deployed_target
from dropscale_cli.drops import Drops
from dropscale_cli.file_listing import FileListing
from dropscale_cli.ignored import IgnoredFiles
from dropscale_cli.places import DeployedStack
from dropscale_cli.plan_report import loss_lines
from dropscale_cli.price import agree_to_price
from dropscale_cli.round_trip import FollowedDrop
from dropscale_cli.run import RunOptions, found_drops, watch_folder
from dropscale_cli.session import Session
from dropscale_cli.stack_limits import stack_limit_warnings
from dropscale_cli.stack_plan import PlannedChange, StackPlanner
from dropscale_cli.state_folder import StateFolder
from dropscale_cli.summary import Summary
from dropscale_cli.terminal import Terminal


def run_on_stack(stack: str, options: RunOptions) -> int:
    """Drop what lies at a path on a stack, follow it to its end, and collect the results.

    What the stack has already, and would not do otherwise now, is not uploaded again, so that an
    interrupted run goes on where it was. Return the exit code: 0 if every image came to what its
    spec asks for, else 1.

    Raises:
        click.ClickException: one of `dropscale_cli.errors`, or a contradiction in the options.
    """
    target = deployed_target(stack)
    prefix = target.settings.input_prefix
    if prefix and options.is_watching:
        raise click.UsageError(f"--watch cannot drop below the stack's prefix, {prefix}.")
    options = replace(options, suffixes=target.settings.sidecar_suffixes)
    drops = found_drops(options).below(prefix)
    place = DeployedStack(target, stack, options.out)
    folder = StateFolder(options.out)
    folder.make()
    console = Terminal(to_stderr=options.as_json)
    with folder.held():
        folder.require_api(f"{STACK}{stack}")
        folder.bind(f"{STACK}{stack}")
        changes = _changes(target, drops)
        _agree(changes, drops, place, options, console)
        folder.remember_originals(options.path if options.path.is_dir() else options.path.parent)
        running = None
        try:
            with place.session(console) as running:
                if options.is_watching:
                    watch_folder(options, running, console)
                _bring(drops, changes, target, running)
        except KeyboardInterrupt:
            # A watch has no other end.
            if options.is_watching and running:
                _report(options, place, running, drops, changes)
            raise
    return 0 if _report(options, place, running, drops, changes).is_as_asked else 1


def _report(
    options: RunOptions,
    place: DeployedStack,
    running: Session,
    drops: Drops,
    changes: dict[str, PlannedChange],
) -> Summary:
    followed, page = running.round_trip.followed, running.page.path if running.page else None
    planned = [drop for drop in followed if drop.key in drops.to_follow]
    paid = frozenset(_paid_before(planned, changes))
    charged = place.charged_at is not None
    summary = Summary(followed, place.results, charged, IgnoredFiles.of(drops.ignored), paid, page)
    summary.tell(as_json=options.as_json)
    return summary


def _paid_before(
    followed: Sequence[FollowedDrop], changes: dict[str, PlannedChange]
) -> Iterator[str]:
    """Yield the jobs that were paid before: known by the plan, or those of what did not change."""
    for drop in followed:
        if drop.key in changes:
            yield from changes[drop.key].paid
        elif drop.manifest:
            yield from (job.fingerprint for job in drop.manifest.jobs)


def _changes(target: AwsTarget, drops: Drops) -> dict[str, PlannedChange]:
    """Return what the stack would do with the files, by the keys that it would do anything for."""
    bucket = drops.bucket
    planner = StackPlanner.of(target, FileListing(drops, target.input_bucket), bucket)
    return {change.key: change for page in planner.pages("") for change in page.changes}


def _agree(
    changes: dict[str, PlannedChange],
    drops: Drops,
    place: DeployedStack,
    options: RunOptions,
    console: Terminal,
) -> None:
    price = sum(change.credits for change in changes.values())
    for line in loss_lines((key, change.losses) for key, change in changes.items()):
        console.say(line)
    for warning in stack_limit_warnings(place.target, price):
        console.say(warning)
    at_stake = max(price, 1) if options.is_watching else price
    if place.charged_at and at_stake:
        offer = (
            f"Images: {len(drops.to_follow)}. They cost up to {price} credits, charged at "
            f"{place.charged_at}. A job once paid goes on there, even if you interrupt."
        )
        agree_to_price(at_stake, offer, console, is_agreed=options.is_agreed)


def _bring(
    drops: Drops, changes: dict[str, PlannedChange], target: AwsTarget, running: Session
) -> None:
    trip, known = running.round_trip, list[tuple[str, str | None]]()
    for key, path in drops.specs.items():
        if target.uploaded(key, path) is None:
            trip.drop_spec(key, path)
    for key, path in drops.to_follow.items():
        change = changes.get(key)
        if change is None:
            known.append((key, target.version_of(key)))
        elif not change.is_known and (version := target.uploaded(key, path)):
            # It was interrupted before the stack took note, or the stack never was told.
            target.look_again(key, version)
            known.append((key, version.version_id))
        else:
            trip.drop(key, path)
    trip.follow(known)
