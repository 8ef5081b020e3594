"""`dropscale plan`: what a stack would do with files on this machine, at what price."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import click

from dropscale.errors import DropscaleError
from dropscale.ledger.drops import Source
from dropscale.results.output_key import foreseen_key
from dropscale.specs.keys import SPEC_SUFFIXES
from dropscale.upscaler import DOLLARS_PER_CREDIT
from dropscale_cli.files.drops import (
    Drops,
    IgnoredFiles,
    drops_by_folder,
    find_drops,
    refusal_as_json,
    specs_above,
)
from dropscale_cli.files.state_folder import StateFolder, kept_records
from dropscale_cli.options import (
    PATH,
    ended_by_signals,
    examples,
    format_option,
    out_option,
    sidecar_suffixes_option,
)
from dropscale_cli.specs.bill import Bill, Charge, PlannedDrop, Total, lines_about, planned_drops
from dropscale_cli.stacks.local_stack import chosen_api
from dropscale_cli.terminal import Table, Terminal, say_json_with_list
from dropscale_cli.tracking.progress import progress_on

if TYPE_CHECKING:
    from dropscale_cli.stacks.account import AccountReport

_PAGE_LENGTH = 500
"""Drops that are planned before they are printed; their rows are aligned."""

_MOST_TOTALS = 20
"""The rows for folders, for presets, and for rules; JSON has all."""


def tell_plan(
    path: Path,
    out: Path,
    environment: Mapping[str, str],
    *,
    as_json: bool,
    suffixes: Sequence[str] = SPEC_SUFFIXES,
) -> int:
    """Print what `dropscale run` with the same arguments would do and charge.

    Drops are printed while further ones are planned, and not kept. With an API key in the
    environment, also print whether the account allows it; without one, nothing is sent. Return the
    exit code: 1 if any drop would be refused, else 0.

    Raises:
        NothingToDrop, UnusablePath: see `find_drops`; nothing was printed.
    """
    with Bill.after(kept_records(StateFolder(out))) as bill:
        report = _Report(path, out, suffixes, environment, bill)
        report.look_through()
        Terminal(to_stderr=True).say(*specs_above(path))
        if as_json:
            drops = (_drop_as_json(*planned) for page in report.pages() for planned in page)
            say_json_with_list("drops", drops, report.totals_as_json)
        else:
            report.print_text()
    return int(bool(bill.states["rejected"]))


@dataclass
class _Report:
    path: Path
    out: Path
    suffixes: Sequence[str]
    environment: Mapping[str, str]
    bill: Bill
    count: int = 0
    ignored: IgnoredFiles = field(default_factory=lambda: IgnoredFiles({}))

    def look_through(self) -> None:
        """Count the files; raise if one cannot be used, or none is a drop."""
        ignored: dict[str, DropscaleError | None] = {}
        with progress_on(Terminal(to_stderr=True), f"Looking through {self.path}"):
            for folder in self._folders():
                self.count += len(folder.images) + len(folder.stand_alone)
                ignored |= IgnoredFiles.of(folder.ignored).refusals
            if not self.count:
                find_drops(self.path, self.out, suffixes=self.suffixes)
        self.ignored = IgnoredFiles(ignored)

    def pages(self) -> Iterator[list[tuple[PlannedDrop, list[Charge]]]]:
        """Plan all drops and add them to the bill; no progress is shown while a page is printed."""
        began, done = time.monotonic(), 0
        drops = planned_drops(self._folders(), self.bill.names)
        is_more = True
        while is_more:
            page: list[tuple[PlannedDrop, list[Charge]]] = []
            doing = f"Planned {done:,} of {self.count:,}"
            with progress_on(Terminal(to_stderr=True), doing, began=began) as progress:
                for drop in islice(drops, _PAGE_LENGTH):
                    page.append((drop, self.bill.add(drop)))
                    done += 1
                    progress.doing = f"Planned {done:,} of {self.count:,}"
            is_more = bool(page)
            yield page

    def print_text(self) -> None:
        """Print a table of renditions, then what else there is to know, totals, and the price."""
        terminal = Terminal(is_wide=True)
        for page in self.pages():
            rows = [list(_row(drop, charge)) for drop, charges in page for charge in charges]
            if rows:
                heads = ["Image", "Size", "Parameters", "Credits", ""]
                terminal.show(Table(heads, rows, right=frozenset({"Credits"})))
        terminal.say(*self._reasons(), "")
        if rows := [row for total in self._totals().values() for row in _total_rows(total)]:
            heads = ["Total", "Images", "Upscales", "Credits"]
            terminal.show(Table(heads, rows, right=frozenset(heads[1:])))
            terminal.say("")
        terminal.say(self._sum(), *(account.lines() if (account := self._account()) else ()))

    def totals_as_json(self) -> dict[str, Any]:
        """Return what JSON shows besides the drops."""
        account = self._account()
        return {
            "credits": self.bill.credits,
            "credits_before": self.bill.credits_before,
            "credits_left": self.bill.credits_left,
            "dollars": {name.lower(): float(dollars) for name, dollars in self._dollars.items()},
            "totals": {
                kind: [{"name": name, **asdict(total)} for name, total in found.items()]
                for kind, found in self._totals().items()
            },
            "ignored": len(self.ignored),
            "ignored_files": self.ignored.as_json(),
            "account": account and account.as_json(),
        }

    def _folders(self) -> Iterator[Drops]:
        return drops_by_folder(self.path, self.out, suffixes=self.suffixes)

    def _account(self) -> AccountReport | None:
        with progress_on(Terminal(to_stderr=True), "Reading the account"):
            api = chosen_api(self.environment, None)
            return api.account(self.bill.credits, self.bill.scale_factors)

    @property
    def _dollars(self) -> dict[str, Any]:
        return {name: rate * self.bill.credits for name, rate in DOLLARS_PER_CREDIT.items()}

    def _totals(self) -> dict[str, dict[str, Total]]:
        """Return the totals by kind and name; presets and rules are named as `explain` does."""
        parts = {"presets": self.bill.by_preset, "rules": self.bill.by_rule}
        return {
            "folders": dict(self.bill.by_folder),
            **{
                kind: {f"{file} ({part})": total for (file, part), total in found.items()}
                for kind, found in parts.items()
            },
        }

    def _reasons(self) -> Iterator[str]:
        bill = self.bill
        yield from (f"Warning: {fault}" for fault, _ in bill.warnings)
        yield from bill.warnings.left_out("warnings")
        yield from lines_about(bill.losses)
        for (state, reason), names in bill.refusals:
            yield ""
            yield f"{names}: {state}"
            yield from (f"  {line}" for line in reason.splitlines())
        yield from bill.refusals.left_out("images are skipped or rejected")
        yield from self.ignored.lines()

    def _sum(self) -> str:
        bill = self.bill
        dollars = " to ".join(f"${amount:.2f} ({name})" for name, amount in self._dollars.items())
        facts = {
            "paid before": bill.credits_before,
            "of this left unpaid by earlier runs": bill.credits_left,
            "skipped": bill.states["skipped"],
            "rejected": bill.states["rejected"],
        }
        more = "".join(f"; {name}: {count}" for name, count in facts.items() if count)
        more += f"; other files ignored: {self.ignored}" if self.ignored else ""
        upscales, images = bill.total.upscales, bill.total.images
        what = f"{upscales} upscale{'s' * (upscales != 1)} of {images} image{'s' * (images != 1)}"
        cost = f"{bill.credits} credits" + (f", {dollars}" if bill.credits else "")
        return f"{what}: {cost}{more}"


def _total_rows(totals: Mapping[str, Total]) -> Iterator[list[str]]:
    """Yield a row for each total, or for the largest ones; none if there is only one folder."""
    if list(totals) in ([], [""]):
        return
    most = sorted(totals, key=lambda name: -totals[name].credits)[:_MOST_TOTALS]
    for name in (name for name in totals if name in most):
        total = totals[name]
        yield [name or "./", f"{total.images}", f"{total.upscales}", f"{total.credits}"]
    if more := len(totals) - len(most):
        yield [f"{more} more; --format json has all", "", "", ""]


def _row(drop: PlannedDrop, charge: Charge) -> Iterator[str]:
    source, parameters = drop.source, charge.rendition.parameters
    yield source.key
    sizes = _size(source, 1), _size(source, parameters.scale_factor)
    yield " → ".join(f"{size[0]}x{size[1]}" for size in sizes if size)
    told = [f"{parameters.scale_factor}x {parameters.mode}"]
    told += [f"prompt {parameters.prompt!r}"] if parameters.prompt else []
    told += [f"revision {parameters.revision}"] if parameters.revision else []
    jobs = [one.fingerprint for one in drop.renditions]
    if charge.rendition.output_settings.name or jobs.count(charge.rendition.fingerprint) > 1:
        told.append(f"as {PurePosixPath(foreseen_key(source.key, charge.rendition)).name}")
    yield ", ".join(told)
    yield str(charge.credits)
    yield charge.free_because or ""


def _drop_as_json(drop: PlannedDrop, charges: list[Charge]) -> dict[str, Any]:
    source, refusal = drop.source, drop.refusal
    return {
        "key": source.key,
        "state": drop.state,
        "image_path": source.image_path,
        "width": source.width,
        "height": source.height,
        "renditions": [_rendition_as_json(source, charge) for charge in charges],
        "warnings": [fault.model_dump(mode="json") for fault in drop.warnings],
        "losses": [{"code": loss.code, "message": loss.message} for loss in drop.losses],
        "reason": refusal and refusal_as_json(refusal),
    }


def _rendition_as_json(source: Source, charge: Charge) -> dict[str, Any]:
    rendition = charge.rendition
    width, height = _size(source, rendition.parameters.scale_factor) or (None, None)
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
