"""What a stack would do with files on this machine, and what it would cost."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import BinaryIO

from dropscale.coded_warning import CodedWarning
from dropscale.errors import DropscaleError
from dropscale.image.carry import foresee_losses
from dropscale.ledger.budget import Budget
from dropscale.ledger.drops import Rendition, Source
from dropscale.pipeline.parts.plan import LargeEnough, plan_renditions
from dropscale.pipeline.parts.ports import ObjectVersion
from dropscale.pipeline.parts.source_image import SourceImage, image_of, require_size
from dropscale.pipeline.parts.spec_resolver import ResolvedSpec, SpecResolver
from dropscale.specs.effective import MetadataChoice
from dropscale.specs.faults import Fault
from dropscale_cli.drops import Drops
from dropscale_cli.kept_ledger import KeptLedger
from dropscale_cli.local_bucket import LocalBucket

_NO_BUDGET = Budget()


@dataclass(frozen=True)
class PlannedDrop:
    """What is to become of one drop: its renditions, or why it gets none."""

    source: Source
    renditions: Sequence[Rendition] = ()
    warnings: Sequence[Fault] = ()
    refusal: DropscaleError | None = None
    losses: Sequence[CodedWarning] = ()
    """What its results will lack that the image has, as far as its header tells."""

    @property
    def is_skipped(self) -> bool:
        """Whether it is left alone because it is large enough."""
        return isinstance(self.refusal, LargeEnough)


@dataclass(frozen=True)
class Charge:
    """What one rendition adds to the price, in credits; why nothing, if it is free."""

    drop: PlannedDrop
    rendition: Rendition
    credits: int
    free_because: str | None = None


@dataclass(frozen=True)
class Plan:
    """What is to become of all drops on a stack that goes on from `ledger`."""

    drops: Sequence[PlannedDrop]
    ledger: KeptLedger

    @property
    def charges(self) -> Iterator[Charge]:
        """What each rendition adds: images that share a job pay once, and what is paid is paid."""
        first: dict[str, str] = {}
        for drop in self.drops:
            for rendition in drop.renditions:
                job = rendition.fingerprint
                if job in self.ledger.paid:
                    yield Charge(drop, rendition, 0, "paid before")
                elif job in first:
                    yield Charge(drop, rendition, 0, f"shared with {first[job]}")
                else:
                    first[job] = drop.source.key
                    yield Charge(drop, rendition, rendition.parameters.credits)

    @property
    def credits(self) -> int:
        """What will be charged: for the drops, and for what earlier runs have left unpaid."""
        return sum(charge.credits for charge in self.charges) + self.credits_left

    @property
    def scale_factors(self) -> frozenset[int]:
        """The scale factors of what will be charged."""
        jobs = self.ledger.jobs
        left = (jobs[job].parameters for job in self.ledger.unpaid_prices)
        here = (charge.rendition.parameters for charge in self.charges if charge.credits)
        return frozenset(parameters.scale_factor for parameters in (*here, *left))

    @property
    def credits_left(self) -> int:
        """What jobs cost that earlier runs have left unpaid, and that no drop here shares."""
        here = {charge.rendition.fingerprint for charge in self.charges}
        left = self.ledger.unpaid_prices.items()
        return sum(price for job, price in left if job not in here)

    @property
    def credits_before(self) -> int:
        """What was paid before for jobs of these drops."""
        renditions = [charge.rendition for charge in self.charges]
        prices = {one.fingerprint: one.parameters.credits for one in renditions}
        return sum(price for job, price in prices.items() if job in self.ledger.paid)


def plan_of(drops: Drops, ledger: KeptLedger) -> Plan:
    """Plan all drops on a stack that goes on from `ledger`; what is faulty costs nothing."""
    bucket = drops.bucket
    specs = bucket.specs()
    planned = [drop for key in drops.to_follow for drop in _plan_drop(key, bucket, specs)]
    return Plan(planned, ledger)


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
        resolved = specs.resolve_drop(source.bucket, source.key)
        if resolved is None:
            return None
        source = image_of(resolved).describe(source)
        renditions = plan_renditions(source, resolved.effective, budget)
    except DropscaleError as error:
        return PlannedDrop(source, refusal=error)
    return PlannedDrop(source, tuple(renditions.values()), resolved.warnings)


def _plan_drop(key: str, bucket: LocalBucket, specs: SpecResolver) -> Iterator[PlannedDrop]:
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
                with bucket.paths[key].open("rb") as file:
                    yield replace(planned, losses=losses_of(planned, file))


def losses_of(drop: PlannedDrop, file: BinaryIO) -> list[CodedWarning]:
    """Return what the results of a drop will lack that the image in a file has.

    The file may be the image's beginning only.
    """
    if drop.source.type is None or not drop.renditions:
        return []
    settings = [rendition.output_settings for rendition in drop.renditions]
    strips = all(each.metadata is MetadataChoice.STRIP for each in settings)
    formats = [str(each.format) for each in settings if each.metadata is not MetadataChoice.STRIP]
    return foresee_losses(file, drop.source.type, formats, strip=strips)
