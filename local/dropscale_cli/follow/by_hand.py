"""`dropscale retry` and `dropscale resolve`: decisions about images between runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dropscale.errors import DropscaleError
from dropscale.ledger.drops import Drop
from dropscale.ledger.states import AT_VENDOR_STATES, DropState, JobState
from dropscale.magichour.errors import MagicHourError
from dropscale.pipeline.parts.delivery_errors import ProjectUnnamed
from dropscale.pipeline.parts.ownership import MayNotPay
from dropscale.pipeline.resolve import Decision, Trust
from dropscale_cli.errors import NotResolved, UnknownImage
from dropscale_cli.files.state_folder import KeptLedger
from dropscale_cli.follow.places import Place, Session, place_of
from dropscale_cli.follow.run import Agreement
from dropscale_cli.follow.summary import Summary
from dropscale_cli.options import (
    FILE,
    LOG_HELP,
    PROGRESS_HELP,
    YES_HELP,
    Command,
    agree_to_price,
    ended_by_signals,
    format_option,
    place_options,
    what_continues,
)
from dropscale_cli.terminal import Terminal, confirm, say
from dropscale_cli.tracking.progress import Progress, progress_on
from dropscale_cli.tracking.round_trip import FollowedDrop

if TYPE_CHECKING:
    from dropscale_cli.stacks.aws_target import AwsTarget


@dataclass(frozen=True)
class Adoption:
    """A project that a person has found; `anyway`: adopt it whatever its name is."""

    project_id: str
    anyway: bool


def retry_images(key: str | None, place: Place, options: Agreement) -> int:
    """Retry an image without a result, or all of them (None).

    Return the exit code: 0 if all of them ended as asked, else 1.

    Raises:
        click.ClickException: one of `dropscale_cli.errors`, or an API key is missing.
    """
    with place.held():
        with reading():
            ledger = place.ledger(key)
            chosen = ledger.drops.values() if key is None else [dropped_image(key, ledger)]
            # A user who names an image whose spec does not wait for a result wants the result now.
            left = {
                drop.source.key: drop
                for drop in chosen
                if (key and drop.state in {DropState.SUBMITTED, DropState.COMPLETE})
                or not place.as_it_stands(drop).is_as_asked
            }
        if not left:
            say("Nothing to retry.", to_stderr=options.as_json)
            return _report([], place, ledger, options) if options.as_json else 0
        prices = _prices(left.values(), ledger, JobState.ERROR)
        with session_at(prices, left, place, ledger, options) as running:
            moving = {
                key: drop.source.version_id
                for key, drop in left.items()
                if running.target.retry(key) or drop.state in AT_VENDOR_STATES
            }
            followed = running.round_trip.follow(moving.items(), is_collected=True)
        now = place.ledger(key).drops
        others = [place.as_it_stands(now[key]) for key in left if key not in moving]
        return _report([*followed, *others], place, ledger, options, running)


def settle_image(key: str, decision: Decision | Adoption, place: Place, options: Agreement) -> int:
    """Settle an image whose create may have been paid, by a decision or a project.

    Return the exit code: 0 if it was abandoned as asked, or ended as its spec asks; else 1.

    Raises:
        click.ClickException: one of `dropscale_cli.errors`, or an API key is missing.
    """
    with place.held():
        with reading():
            ledger = place.ledger(key)
        drop = dropped_image(key, ledger)
        # On start, a stack marks as unknown any job that was about to be paid when it was stopped.
        states = (JobState.UNKNOWN, JobState.SUBMITTING) if decision is Decision.PAY_AGAIN else ()
        prices = _prices([drop], ledger, *states)
        what = upscales_to_pay_again(key, prices, ledger)
        with session_at(prices, [key], place, ledger, options, what) as running:
            _settle(running.target, key, decision, options)
            followed = running.round_trip.follow([(key, drop.source.version_id)])
        code = _report(followed, place, ledger, options, running)
        return 0 if decision is Decision.ABANDON else code


def upscales_to_pay_again(key: str, prices: Iterable[str], ledger: KeptLedger) -> str:
    """Name the upscales of an image that are paid again, if there are several."""
    names = [f'"{ledger.jobs[fingerprint].project_name}"' for fingerprint in prices]
    if len(names) <= 1:
        return ""
    which = ", ".join(names)
    return (
        f"{len(names)} upscales of {key} have an unknown outcome, and all are paid for again: "
        f"{which}. "
    )


def _settle(target: AwsTarget, key: str, decision: Decision | Adoption, options: Agreement) -> None:
    try:
        if isinstance(decision, Decision):
            target.decide(key, decision)
        else:
            adopt_project(target, key, decision, options)
    except (DropscaleError, MagicHourError) as error:
        raise NotResolved(str(error)) from error


def adopt_project(target: AwsTarget, key: str, adoption: Adoption, options: Agreement) -> None:
    """Adopt a project; ask about one whose name does not say which job it belongs to."""
    trust = Trust.UNNAMED if options.is_agreed else Trust.NAME
    try:
        target.adopt(key, adoption.project_id, Trust.ANYWAY if adoption.anyway else trust)
    except ProjectUnnamed as error:
        if not sys.stdin.isatty():
            raise
        if not confirm(f"{error.message}. Adopt it anyway?"):
            raise NotResolved("Nothing was changed.") from None
        target.adopt(key, adoption.project_id, Trust.UNNAMED)


def reading() -> AbstractContextManager[Progress]:
    """Show that the ledger is being read."""
    return progress_on(Terminal(to_stderr=True), "Reading the ledger and the results")


def dropped_image(key: str, ledger: KeptLedger) -> Drop:
    """Return the drop of an image.

    Raises:
        UnknownImage: there is none.
    """
    if key not in ledger.drops:
        raise UnknownImage(f"{key}: there is no such image here; run dropscale status.")
    return ledger.drops[key]


def _prices(drops: Iterable[Drop], ledger: KeptLedger, *states: JobState) -> dict[str, int]:
    """Return the prices of the drops' jobs in these states, by fingerprint."""
    jobs = (ledger.jobs.get(name) for drop in drops for name in drop.fingerprints)
    return {
        job.fingerprint: job.parameters.credits
        for job in jobs
        if job and job.state in states and (job.is_refunded or job.state is not JobState.ERROR)
    }


@contextmanager
def session_at(
    prices: Mapping[str, int],
    keys: Collection[str],
    place: Place,
    ledger: KeptLedger,
    options: Agreement,
    what: str = "",
) -> Iterator[Session]:
    """Run the stack once the price is agreed to."""
    console = Terminal(to_stderr=options.as_json)
    price = place.price(ledger, prices)
    if place.charged_at and price:
        offer = f"{what}This costs up to {price} credits, charged at {place.charged_at}."
        agree_to_price(price, offer, console, is_agreed=options.is_agreed)
    with place.session(console, retried=keys) as running:
        try:
            yield running
        except MayNotPay as error:
            raise NotResolved(str(error)) from error


def _report(
    drops: Sequence[FollowedDrop],
    place: Place,
    ledger: KeptLedger,
    options: Agreement,
    running: Session | None = None,
) -> int:
    """Print the states of images; return the exit code."""
    given_up = [drop.key for drop in drops if drop.is_given_up]
    which = given_up[0] if len(given_up) == 1 else "--all"
    summary = Summary(
        drops,
        place.results,
        is_charged=place.charged_at is not None,
        paid_before=ledger.paid,
        page=running.page.path if running and running.page else None,
        resume=place.command("retry", which),
    )
    summary.tell(as_json=options.as_json)
    return 0 if summary.is_as_asked else 1


def with_place(command: Command) -> Command:
    """Add the options that `retry`, `resolve` and `forget` share."""
    for option in (
        click.option("--log", type=FILE, help=LOG_HELP),
        format_option(PROGRESS_HELP),
        click.option("--yes", is_flag=True, help=YES_HELP),
        place_options,
    ):
        command = option(command)
    return command


@click.command("retry")
@click.argument("key", required=False)
@click.option("--all", "retry_all", is_flag=True, help="Every image without a result.")
@with_place
def retry(
    *,
    key: str | None,
    retry_all: bool,
    out: Path,
    stack: str | None,
    yes: bool,
    output_format: str,
    log: Path | None,
) -> None:
    """Retry the image KEY, which has no result or whose result is no longer in the output folder.

    Paid results are fetched, free; jobs whose credits were refunded are paid for again. A job that
    may have been charged is never repeated: see `dropscale resolve`.

    Exits with 0 if the images ended as asked, 1 if not.
    """
    if retry_all == (key is not None):
        raise click.UsageError("Give KEY or --all.")
    with ended_by_signals(what_continues(stack)):
        place = place_of(stack, out, os.environ, log)
        options = Agreement(is_agreed=yes, as_json=output_format == "json")
        sys.exit(retry_images(key, place, options))


@click.command("resolve")
@click.argument("key")
@click.option("--adopt", "project_id", metavar="ID", help="Use this project's result.")
@click.option("--anyway", is_flag=True, help="Adopt it even if its name is not the expected one.")
@click.option(
    "--pay-again", is_flag=True, help="There is no project: pay again for every unknown upscale."
)
@click.option("--abandon", is_flag=True, help="Give up the image.")
@with_place
def resolve(  # noqa: PLR0913 # all by name
    *,
    key: str,
    project_id: str | None,
    anyway: bool,
    pay_again: bool,
    abandon: bool,
    out: Path,
    stack: str | None,
    yes: bool,
    output_format: str,
    log: Path | None,
) -> None:
    """Settle the image KEY, whose upscale may have been charged.

    First look for its project in your Magic Hour library, then decide.

    Exits with 0 if the image was abandoned or ended as asked, 1 if not.
    """
    if (project_id is not None) + pay_again + abandon != 1:
        raise click.UsageError("Give one of --adopt ID, --pay-again and --abandon.")
    if anyway and project_id is None:
        raise click.UsageError("--anyway needs --adopt ID.")
    # To decide once more, unseen, could pay once more.
    status = ["status", *(["--stack", stack] if stack else ["--out", str(out)])]
    with ended_by_signals(what_continues(stack), "To see its state", status):
        place = place_of(stack, out, os.environ, log)
        options = Agreement(is_agreed=yes, as_json=output_format == "json")
        decided = Decision.PAY_AGAIN if pay_again else Decision.ABANDON
        adoption = None if project_id is None else Adoption(project_id, anyway)
        sys.exit(settle_image(key, adoption or decided, place, options))
