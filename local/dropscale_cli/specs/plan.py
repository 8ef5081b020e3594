"""`dropscale plan`: what a stack would do with files on this machine, at what price."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from dropscale.coded_warning import CodedWarning
from dropscale.errors import DropscaleError
from dropscale.image.carry import foresee_losses
from dropscale.ledger.budget import Budget
from dropscale.ledger.drops import Rendition, Source
from dropscale.pipeline.parts.claim_names import PlannedNames
from dropscale.pipeline.parts.plan import LargeEnough, plan_renditions
from dropscale.pipeline.parts.ports import ObjectVersion
from dropscale.pipeline.parts.source_image import SourceImage, image_of, require_size
from dropscale.pipeline.parts.spec_resolver import DropSpecs, SpecResolver
from dropscale.results.output_key import foreseen_key
from dropscale.specs.effective import MetadataChoice
from dropscale.specs.faults import Fault
from dropscale.specs.keys import SPEC_SUFFIXES
from dropscale.upscaler import DOLLARS_PER_CREDIT
from dropscale_cli.files.drops import (
    Drops,
    IgnoredFiles,
    LocalBucket,
    find_drops,
    list_names,
    refusal_as_json,
    specs_above,
)
from dropscale_cli.files.state_folder import KeptLedger, StateFolder
from dropscale_cli.options import (
    PATH,
    ended_by_signals,
    examples,
    format_option,
    out_option,
    sidecar_suffixes_option,
)
from dropscale_cli.stacks.local_stack import chosen_api
from dropscale_cli.terminal import Table, Terminal, say_json
from dropscale_cli.tracking.progress import progress_on

if TYPE_CHECKING:
    from dropscale_cli.stacks.account import AccountReport


_NO_BUDGET = Budget()


@dataclass(frozen=True)
class PlannedDrop:
    """The plan for one drop: its renditions, or why it gets none."""

    source: Source
    renditions: Sequence[Rendition] = ()
    warnings: Sequence[Fault] = ()
    refusal: DropscaleError | None = None
    losses: Sequence[CodedWarning] = ()
    """What its results will lack that the image has, judging by its header."""

    @property
    def is_skipped(self) -> bool:
        """Whether it is skipped because it is large enough."""
        return isinstance(self.refusal, LargeEnough)


@dataclass(frozen=True)
class Charge:
    """What one rendition adds to the price, in credits; if nothing, why."""

    drop: PlannedDrop
    rendition: Rendition
    credits: int
    free_because: str | None = None


@dataclass(frozen=True)
class Plan:
    """The plan for all drops on a stack that continues from `ledger`."""

    drops: Sequence[PlannedDrop]
    ledger: KeptLedger

    @property
    def charges(self) -> Iterator[Charge]:
        """What each rendition adds: images that share a job pay once, and paid jobs are free."""
        first: dict[str, str] = {}
        for drop in self.drops:
            for rendition in drop.renditions:
                job = rendition.fingerprint
                if job in self.ledger.paid:
                    yield Charge(drop, rendition, 0, "paid before")
                elif job in first:
                    yield Charge(drop, rendition, 0, shared_with(first[job], drop.source.key))
                else:
                    first[job] = drop.source.key
                    yield Charge(drop, rendition, rendition.parameters.credits)

    @property
    def credits(self) -> int:
        """What will be charged: for the drops, and for jobs that earlier runs have left unpaid."""
        return sum(charge.credits for charge in self.charges) + self.credits_left

    @property
    def scale_factors(self) -> frozenset[int]:
        """The scale factors of the jobs that will be charged."""
        jobs = self.ledger.jobs
        left = (jobs[job].parameters for job in self.ledger.unpaid_prices)
        here = (charge.rendition.parameters for charge in self.charges if charge.credits)
        return frozenset(parameters.scale_factor for parameters in (*here, *left))

    @property
    def credits_left(self) -> int:
        """The price of jobs that earlier runs have left unpaid, and that no drop here shares."""
        here = {charge.rendition.fingerprint for charge in self.charges}
        left = self.ledger.unpaid_prices.items()
        return sum(price for job, price in left if job not in here)

    @property
    def credits_before(self) -> int:
        """The credits paid before for jobs of these drops."""
        renditions = [charge.rendition for charge in self.charges]
        prices = {one.fingerprint: one.parameters.credits for one in renditions}
        return sum(price for job, price in prices.items() if job in self.ledger.paid)


def shared_with(first: str, key: str) -> str:
    """Return why a job costs nothing at a drop, if the drop with the key `first` pays for it."""
    return "same upscale" if first == key else f"shared with {first}"


def plan_of(drops: Drops, ledger: KeptLedger) -> Plan:
    """Plan all drops on a stack that continues from `ledger`; faulty ones cost nothing."""
    bucket = drops.bucket
    specs, names = bucket.specs(), PlannedNames(ledger.claim)
    planned = [drop for key in drops.to_follow for drop in _plan_drop(key, bucket, specs, names)]
    return Plan(planned, ledger)


def planned_drop(
    source: Source,
    version: ObjectVersion,
    specs: SpecResolver,
    image_of: Callable[[DropSpecs], SourceImage],
    names: PlannedNames,
    budget: Budget = _NO_BUDGET,
) -> PlannedDrop | None:
    """Plan one drop, deciding in the order of submit; None if it is another tool's file.

    Raises:
        SidecarMissing: the drop waits for its sidecar.
    """
    try:
        require_size(version, source.key)
        found = specs.resolve_drop(source.bucket, source.key)
        if found is None:
            return None
        source = image_of(found).describe(source)
        resolved = found.for_image(source)
        renditions = plan_renditions(source, resolved.effective, budget)
        names.take(source.key, resolved.effective, renditions.values())
    except DropscaleError as error:
        return PlannedDrop(source, refusal=error)
    return PlannedDrop(source, tuple(renditions.values()), resolved.warnings)


def _plan_drop(
    key: str, bucket: LocalBucket, specs: SpecResolver, names: PlannedNames
) -> Iterator[PlannedDrop]:
    source = Source(bucket="", key=key, etag="")
    version = bucket.head("", key)
    with ExitStack() as open_objects:
        if version is not None:
            planned = planned_drop(
                source,
                version,
                specs,
                lambda found: image_of(bucket, source, found, open_objects),
                names,
            )
            if planned is not None:
                with bucket.paths[key].open("rb") as file:
                    yield replace(planned, losses=losses_of(planned, file))


def losses_of(drop: PlannedDrop, file: BinaryIO) -> list[CodedWarning]:
    """Return what a drop's results will lack that the image has.

    The file may be only the beginning of the image.
    """
    if drop.source.type is None or not drop.renditions:
        return []
    settings = [rendition.output_settings for rendition in drop.renditions]
    strips = all(each.metadata is MetadataChoice.STRIP for each in settings)
    formats = [str(each.format) for each in settings if each.metadata is not MetadataChoice.STRIP]
    return foresee_losses(file, drop.source.type, formats, strip=strips)


def tell_plan(
    path: Path,
    out: Path,
    environment: Mapping[str, str],
    *,
    as_json: bool,
    suffixes: Sequence[str] = SPEC_SUFFIXES,
) -> int:
    """Print what `dropscale run` with the same arguments would do and charge.

    With an API key in the environment, also print whether the account allows it; without one,
    nothing is sent. Return the exit code: 1 if any drop would be refused, else 0.

    Raises:
        NothingToDrop, UnusablePath: see `find_drops`.
    """
    with progress_on(Terminal(to_stderr=True), f"Looking through {path}"):
        drops = find_drops(path, out, suffixes=suffixes)
        planned = plan_of(drops, KeptLedger.read(StateFolder(out)))
        api = chosen_api(environment, None)
        ignored = IgnoredFiles.of(drops.ignored)
        report = _Report(planned, ignored, api.account(planned.credits, planned.scale_factors))
    Terminal(to_stderr=True).say(*specs_above(path))
    if as_json:
        say_json(report.as_json())
    else:
        report.print_text()
    return int(any(_state(drop) == "rejected" for drop in report.plan.drops))


@dataclass(frozen=True)
class _Report:
    plan: Plan
    ignored: IgnoredFiles
    account: AccountReport | None

    def print_text(self) -> None:
        terminal = Terminal(is_wide=True)
        rows = [list(_row(charge)) for charge in self.plan.charges]
        if rows:
            heads = ["Image", "Size", "Parameters", "Credits", ""]
            terminal.show(Table(heads, rows, right=frozenset({"Credits"})))
        terminal.say(*self._closing_lines())

    def as_json(self) -> dict[str, Any]:
        charges = {
            key: list(found)
            for key, found in groupby(self.plan.charges, lambda charge: charge.drop.source.key)
        }
        return {
            "credits": self.plan.credits,
            "credits_before": self.plan.credits_before,
            "credits_left": self.plan.credits_left,
            "dollars": {name.lower(): float(dollars) for name, dollars in self._dollars.items()},
            "ignored": len(self.ignored),
            "ignored_files": self.ignored.as_json(),
            "account": self.account and self.account.as_json(),
            "drops": [
                _drop_as_json(drop, charges.get(drop.source.key, [])) for drop in self.plan.drops
            ],
        }

    @property
    def _dollars(self) -> dict[str, Any]:
        return {name: rate * self.plan.credits for name, rate in DOLLARS_PER_CREDIT.items()}

    def _closing_lines(self) -> Iterator[str]:
        warnings = dict.fromkeys(fault for drop in self.plan.drops for fault in drop.warnings)
        yield from (f"Warning: {fault}" for fault in warnings)
        yield from loss_lines((drop.source.key, drop.losses) for drop in self.plan.drops)
        by_refusal: dict[str, list[PlannedDrop]] = {}
        for drop in self.plan.drops:
            if drop.refusal is not None:
                by_refusal.setdefault(drop.refusal.message, []).append(drop)
        for drops in by_refusal.values():
            yield from _list_refusals(drops)
        yield from self.ignored.lines()
        yield ""
        yield self._totals()
        if self.account:
            yield from self.account.lines()

    def _totals(self) -> str:
        plan = self.plan
        states = [_state(drop) for drop in plan.drops]
        dollars = " to ".join(f"${amount:.2f} ({name})" for name, amount in self._dollars.items())
        facts = {
            "paid before": plan.credits_before,
            "of this left unpaid by earlier runs": plan.credits_left,
            "skipped": states.count("skipped"),
            "rejected": states.count("rejected"),
        }
        more = "".join(f"; {name}: {count}" for name, count in facts.items() if count)
        more += f"; other files ignored: {self.ignored}" if self.ignored else ""
        jobs = {(one.drop.source.key, one.rendition.fingerprint) for one in plan.charges}
        upscales, images = len(jobs), states.count("planned")
        what = f"{upscales} upscale{'s' * (upscales != 1)} of {images} image{'s' * (images != 1)}"
        cost = f"{plan.credits} credits" + (f", {dollars}" if plan.credits else "")
        return f"{what}: {cost}{more}"


def _row(charge: Charge) -> Iterator[str]:
    source, parameters = charge.drop.source, charge.rendition.parameters
    yield source.key
    sizes = _size(source, 1), _size(source, parameters.scale_factor)
    yield " → ".join(f"{size[0]}x{size[1]}" for size in sizes if size)
    told = [f"{parameters.scale_factor}x {parameters.mode}"]
    told += [f"prompt {parameters.prompt!r}"] if parameters.prompt else []
    told += [f"revision {parameters.revision}"] if parameters.revision else []
    jobs = [one.fingerprint for one in charge.drop.renditions]
    if charge.rendition.output_settings.name or jobs.count(charge.rendition.fingerprint) > 1:
        told.append(f"as {PurePosixPath(foreseen_key(source.key, charge.rendition)).name}")
    yield ", ".join(told)
    yield str(charge.credits)
    yield charge.free_because or ""


def _list_refusals(drops: list[PlannedDrop]) -> Iterator[str]:
    yield ""
    yield f"{list_names([drop.source.key for drop in drops])}: {_state(drops[0])}"
    if drops[0].refusal is not None:
        yield from (f"  {line}" for line in str(drops[0].refusal).splitlines())


def loss_lines(losses: Iterable[tuple[str, Sequence[CodedWarning]]]) -> Iterator[str]:
    """Yield what will be lost, with the keys of the drops."""
    by_loss: dict[CodedWarning, list[str]] = {}
    for key, found in losses:
        for loss in found:
            by_loss.setdefault(loss, []).append(key)
    yield from (f"Warning: {list_names(keys)}: {loss}" for loss, keys in by_loss.items())


def _drop_as_json(drop: PlannedDrop, charges: list[Charge]) -> dict[str, Any]:
    source, refusal = drop.source, drop.refusal
    return {
        "key": source.key,
        "state": _state(drop),
        "image_path": source.image_path,
        "width": source.width,
        "height": source.height,
        "renditions": [_rendition_as_json(charge) for charge in charges],
        "warnings": [fault.model_dump(mode="json") for fault in drop.warnings],
        "losses": [{"code": loss.code, "message": loss.message} for loss in drop.losses],
        "reason": refusal and refusal_as_json(refusal),
    }


def _rendition_as_json(charge: Charge) -> dict[str, Any]:
    rendition = charge.rendition
    width, height = _size(charge.drop.source, rendition.parameters.scale_factor) or (None, None)
    return {
        **rendition.parameters.model_dump(mode="json"),
        "download_directory": rendition.directory,
        "output": rendition.output_settings.model_dump(mode="json"),
        "width": width,
        "height": height,
        "price": rendition.parameters.credits,
        "credits": charge.credits,
        "free_because": charge.free_because,
        "fingerprint": rendition.fingerprint,
    }


def _state(drop: PlannedDrop) -> str:
    if drop.refusal is None:
        return "planned"
    return "skipped" if drop.is_skipped else "rejected"


def _size(source: Source, scale_factor: int) -> tuple[int, int] | None:
    """Return an image's size in pixels; None for an image stored elsewhere."""
    if source.width is None or source.height is None:
        return None
    return source.width * scale_factor, source.height * scale_factor


@click.command(
    "plan", epilog=examples("dropscale plan photos", "dropscale plan photos --format json")
)
@click.argument("path", type=PATH)
@out_option("The output folder of earlier runs: what they paid for is not paid for again.")
@format_option()
@sidecar_suffixes_option
def plan(*, path: Path, out: Path, output_format: str, suffixes: tuple[str, ...]) -> None:
    """Show what `dropscale run` would do with PATH, and the exact price.

    With MAGIC_HOUR_API_KEY set, it also checks whether the account's tier and credits suffice,
    which is free. Without it, nothing leaves this machine.

    Exits with 0 if every image would be upscaled or skipped, 1 if any would be rejected.
    """
    with ended_by_signals():
        as_json = output_format == "json"
        sys.exit(tell_plan(path, out, os.environ, as_json=as_json, suffixes=suffixes))
