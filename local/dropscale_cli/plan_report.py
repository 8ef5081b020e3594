"""`dropscale plan`: what a run would do, and what it would cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dropscale.coded_warning import CodedWarning
from dropscale.ledger.drops import Source
from dropscale.specs.keys import SPEC_SUFFIXES
from dropscale.upscaler import DOLLARS_PER_CREDIT
from dropscale_cli.chosen_api import chosen_api
from dropscale_cli.drops import find_drops
from dropscale_cli.ignored import IgnoredFiles, refusal_as_json
from dropscale_cli.kept_ledger import KeptLedger
from dropscale_cli.plan import Charge, Plan, PlannedDrop, plan_of
from dropscale_cli.state_folder import StateFolder
from dropscale_cli.terminal import Table, Terminal, say_json

if TYPE_CHECKING:
    from dropscale_cli.account import AccountReport

_MOST_NAMED = 5


def plan(
    path: Path,
    out: Path,
    environment: Mapping[str, str],
    *,
    as_json: bool,
    suffixes: Sequence[str] = SPEC_SUFFIXES,
) -> int:
    """Print what `dropscale run` with the same arguments would do, and charge.

    With an API key in the environment, also whether the account has enough for it; without one,
    nothing is asked of anybody. Return the exit code: 1 if any drop would be refused, else 0.

    Raises:
        NothingToDrop, UnusablePath: as their names say.
    """
    drops = find_drops(path, out, suffixes=suffixes)
    planned = plan_of(drops, KeptLedger.read(StateFolder(out)))
    api = chosen_api(environment, None)
    ignored = IgnoredFiles.of(drops.ignored)
    report = _Report(planned, ignored, api.account(planned.credits, planned.scale_factors))
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
            "of that left unpaid by earlier runs": plan.credits_left,
            "skipped": states.count("skipped"),
            "rejected": states.count("rejected"),
        }
        more = "".join(f"; {name}: {count}" for name, count in facts.items() if count)
        more += f"; other files ignored: {self.ignored}" if self.ignored else ""
        upscales, images = len(list(plan.charges)), states.count("planned")
        what = f"{upscales} upscale{'s' * (upscales != 1)} of {images} image{'s' * (images != 1)}"
        return f"{what}: {plan.credits} credits, {dollars}{more}"


def _row(charge: Charge) -> Iterator[str]:
    source, parameters = charge.drop.source, charge.rendition.parameters
    yield source.key
    sizes = _size(source, 1), _size(source, parameters.scale_factor)
    yield " → ".join(f"{size[0]}x{size[1]}" for size in sizes if size)
    told = [f"{parameters.scale_factor}x {parameters.mode}"]
    told += [f"prompt {parameters.prompt!r}"] if parameters.prompt else []
    told += [f"revision {parameters.revision}"] if parameters.revision else []
    yield ", ".join(told)
    yield str(charge.credits)
    yield charge.free_because or ""


def _list_refusals(drops: list[PlannedDrop]) -> Iterator[str]:
    yield ""
    yield f"{_names([drop.source.key for drop in drops])}: {_state(drops[0])}"
    if drops[0].refusal is not None:
        yield from (f"  {line}" for line in str(drops[0].refusal).splitlines())


def loss_lines(losses: Iterable[tuple[str, Sequence[CodedWarning]]]) -> Iterator[str]:
    """Yield what will be lost, and of which drops, by their keys."""
    by_loss: dict[CodedWarning, list[str]] = {}
    for key, found in losses:
        for loss in found:
            by_loss.setdefault(loss, []).append(key)
    yield from (f"Warning: {_names(keys)}: {loss}" for loss, keys in by_loss.items())


def _names(keys: list[str]) -> str:
    more = [f"and {len(keys) - _MOST_NAMED} more"] if len(keys) > _MOST_NAMED else []
    return ", ".join([*keys[:_MOST_NAMED], *more])


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
    """Return an image's size in pixels; None: of one that lies elsewhere it is not known."""
    if source.width is None or source.height is None:
        return None
    return source.width * scale_factor, source.height * scale_factor
