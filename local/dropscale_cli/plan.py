"""What a stack would do with files on this machine, and what it would cost."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from dropscale.errors import DropscaleError
from dropscale.ledger.budget import Budget
from dropscale.ledger.records import Rendition, Source
from dropscale.pipeline.plan import LargeEnough, planned_renditions
from dropscale.pipeline.ports import ObjectVersion
from dropscale.pipeline.source_image import SourceImage, image_of, require_size
from dropscale.pipeline.spec_resolver import ResolvedSpec, SpecResolver
from dropscale_cli.drops import Drops
from dropscale_cli.kept_ledger import KeptLedger
from dropscale_cli.local_bucket import LocalBucket

_NO_BUDGET = Budget()


@dataclass(frozen=True)
class PlannedDrop:
    """What is to become of one drop: its renditions, or why it gets none."""

    source: Source
    renditions: Sequence[Rendition] = ()
    warnings: Sequence[str] = ()
    refusal: DropscaleError | None = None

    @property
    def is_skipped(self) -> bool:
        """Whether it is left alone because it is large enough."""
        return isinstance(self.refusal, LargeEnough)


@dataclass(frozen=True)
class Plan:
    """What is to become of all drops; `credits_before` are those that are paid already."""

    drops: Sequence[PlannedDrop]
    credits: int
    credits_before: int


def plan_of(drops: Drops, ledger: KeptLedger) -> Plan:
    """Plan all drops on a stack that goes on from `ledger`.

    Faulty images and specs cost nothing, images that share a job pay once, and what was paid
    before is not paid again. What the ledger has left unpaid goes on with it.
    """
    bucket = LocalBucket(drops.paths)
    specs = bucket.specs()
    planned = [drop for key in drops.to_follow for drop in _planned(key, bucket, specs)]
    prices = {
        rendition.fingerprint: rendition.parameters.credits
        for drop in planned
        for rendition in drop.renditions
    }
    before = sum(price for job, price in prices.items() if job in ledger.paid)
    total = sum((ledger.unpaid_prices | prices).values())
    return Plan(planned, credits=total - before, credits_before=before)


def planned_drop(
    source: Source,
    version: ObjectVersion,
    specs: SpecResolver,
    image_of: Callable[[ResolvedSpec], SourceImage],
    budget: Budget = _NO_BUDGET,
) -> PlannedDrop | None:
    """Plan one drop, in the order in which submit decides; None: it is another tool's file.

    Raises:
        SidecarMissing: as its name says.
    """
    try:
        require_size(version, source.key)
        resolved = specs.of_drop(source.bucket, source.key)
        if resolved is None:
            return None
        source = image_of(resolved).describe(source)
        renditions = planned_renditions(source, resolved.effective, budget)
    except DropscaleError as error:
        return PlannedDrop(source, refusal=error)
    warnings = tuple(map(str, resolved.warnings))
    return PlannedDrop(source, tuple(renditions.values()), warnings)


def _planned(key: str, bucket: LocalBucket, specs: SpecResolver) -> Iterator[PlannedDrop]:
    source = Source(bucket="", key=key, etag="")
    version = bucket.head("", key)
    with ExitStack() as open_objects:
        if version is not None:
            planned = planned_drop(
                source,
                version,
                specs,
                lambda resolved: image_of(bucket, source, resolved, open_objects),
            )
            if planned is not None:
                yield planned
