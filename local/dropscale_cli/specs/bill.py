"""What a stack would charge for drops, added up one by one; none is kept in memory."""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import BinaryIO, Self

from dropscale.coded_warning import CodedWarning
from dropscale.errors import DropscaleError
from dropscale.image.carry import foresee_losses
from dropscale.ledger.budget import Budget
from dropscale.ledger.drops import Drop, Rendition, Source
from dropscale.ledger.jobs import Job
from dropscale.pipeline.parts.claim_names import PlannedNames, claims_of
from dropscale.pipeline.parts.plan import LargeEnough, plan_renditions
from dropscale.pipeline.parts.ports import ObjectVersion
from dropscale.pipeline.parts.source_image import image_of, require_size
from dropscale.pipeline.parts.spec_resolver import DropSpecs, FolderSpecCache, SpecResolver
from dropscale.specs.effective import MetadataChoice
from dropscale.specs.faults import Fault
from dropscale_cli.files.drops import Drops, KeysByReason, LocalBucket
from dropscale_cli.files.state_folder import is_left_unpaid, is_paid

_NO_BUDGET = Budget()
_SCHEMA = """
CREATE TABLE jobs (
    fingerprint TEXT PRIMARY KEY,
    was TEXT,
    first_key TEXT
) WITHOUT ROWID;
CREATE TABLE names (name TEXT PRIMARY KEY, key TEXT) WITHOUT ROWID"""


@dataclass(frozen=True)
class PlannedDrop:
    """The plan for one drop: its renditions, or why it gets none.

    `presets` and `rules` are those that apply: each the key of a spec, and the place in it.
    """

    source: Source
    renditions: Sequence[Rendition] = ()
    warnings: Sequence[Fault] = ()
    refusal: DropscaleError | None = None
    losses: Sequence[CodedWarning] = ()
    """What its results will lack that the image has, judging by its header."""
    presets: Sequence[tuple[str, str]] = ()
    rules: Sequence[tuple[str, str]] = ()

    @property
    def is_skipped(self) -> bool:
        """Whether it is skipped because it is large enough."""
        return isinstance(self.refusal, LargeEnough)

    @property
    def state(self) -> str:
        """Its state in one word: planned, skipped or rejected."""
        if self.refusal is None:
            return "planned"
        return "skipped" if self.is_skipped else "rejected"


def planned_drop(
    source: Source,
    version: ObjectVersion,
    specs: SpecResolver,
    describe: Callable[[DropSpecs], Source],
    names: PlannedNames,
    budget: Budget = _NO_BUDGET,
) -> PlannedDrop | None:
    """Plan one drop, deciding in the order of submit; None if it is another tool's file.

    `describe` returns the source with what identifies its image, given the specs of the drop.

    Raises:
        SidecarMissing: the drop waits for its sidecar.
    """
    try:
        require_size(version, source.key)
        found = specs.resolve_drop(source.bucket, source.key)
        if found is None:
            return None
        source = describe(found)
        resolved = found.for_image(source)
        renditions = plan_renditions(source, resolved.effective, budget)
        names.take(source.key, resolved.effective, renditions.values())
    except DropscaleError as error:
        return PlannedDrop(source, refusal=error)
    return PlannedDrop(
        source,
        tuple(renditions.values()),
        resolved.warnings,
        presets=resolved.presets,
        rules=resolved.rules,
    )


def planned_drops(folders: Iterable[Drops], names: PlannedNames) -> Iterator[PlannedDrop]:
    """Plan all drops of folders, each with the specs that it needs; faulty ones cost nothing."""
    known: FolderSpecCache = {}
    for drops in folders:
        bucket = drops.bucket
        here = next(chain(drops.images, drops.stand_alone), "")
        known = {place: spec for place, spec in known.items() if here.startswith(place[1])}
        specs = replace(bucket.specs(), folder_specs=known)
        for key in chain(drops.images, drops.stand_alone):
            yield from _plan_drop(key, bucket, specs, names)


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
                lambda found: image_of(bucket, source, found, open_objects).describe(source),
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


def loss_lines(losses: Iterable[tuple[str, Sequence[CodedWarning]]]) -> Iterator[str]:
    """Yield what will be lost, with the keys of the drops."""
    by_loss = KeysByReason[CodedWarning]()
    for key, found in losses:
        for loss in found:
            by_loss.add(loss, key)
    yield from lines_about(by_loss)


def lines_about(losses: KeysByReason[CodedWarning]) -> Iterator[str]:
    """Yield a line for each loss, with the keys of the drops."""
    yield from (f"Warning: {names}: {loss}" for loss, names in losses)
    yield from losses.left_out("warnings")


@dataclass(frozen=True)
class Charge:
    """What one rendition adds to the price, in credits; if nothing, why."""

    rendition: Rendition
    credits: int
    free_because: str | None = None


def shared_with(first: str, key: str) -> str:
    """Return why a job costs nothing at a drop, if the drop with the key `first` pays for it."""
    return "same upscale" if first == key else f"shared with {first}"


@dataclass
class Total:
    """A number of drops, their renditions, and what these add to the price."""

    images: int = 0
    upscales: int = 0
    credits: int = 0

    def add(self, charges: Sequence[Charge]) -> None:
        """Add a drop."""
        self.images += 1
        self.upscales += len({charge.rendition.fingerprint for charge in charges})
        self.credits += sum(charge.credits for charge in charges)


@dataclass
class Bill:
    """Adds up what drops will be charged: drops that share a job pay once, and paid jobs are free.

    Jobs and output names are in a database, in a temporary file if it is large.

    Attributes:
        total: All drops with renditions.
        credits_left: The price of jobs that earlier runs have left unpaid, and that no drop shares.
        credits_before: The credits paid before for jobs of these drops.
        by_folder: Totals by the folder of the drop's key, "" or with a slash at the end.
        by_preset, by_rule: Totals of the drops to which each of them applies.
        refusals: States and reasons of drops without renditions.
    """

    _database: sqlite3.Connection
    total: Total = field(default_factory=Total)
    credits_left: int = 0
    credits_before: int = 0
    states: Counter[str] = field(default_factory=Counter)
    by_folder: dict[str, Total] = field(default_factory=lambda: defaultdict(Total))
    by_preset: dict[tuple[str, str], Total] = field(default_factory=lambda: defaultdict(Total))
    by_rule: dict[tuple[str, str], Total] = field(default_factory=lambda: defaultdict(Total))
    warnings: KeysByReason[Fault] = field(default_factory=KeysByReason)
    losses: KeysByReason[CodedWarning] = field(default_factory=KeysByReason)
    refusals: KeysByReason[tuple[str, str]] = field(default_factory=KeysByReason)
    _scale_factors: Counter[int] = field(default_factory=Counter)

    @classmethod
    @contextmanager
    def after(cls, records: Iterable[Drop | Job]) -> Iterator[Self]:
        """Begin a bill for a stack that continues from these records; drops can be added inside."""
        with closing(sqlite3.connect("")) as database:
            database.executescript(_SCHEMA)
            bill = cls(database)
            for record in records:
                if isinstance(record, Job):
                    bill._know(record)
                else:
                    claims = claims_of(record, record.renditions.values())
                    bill._taken.update({one.claim.name: one.claim.key for one in claims})
            yield bill

    @property
    def _taken(self) -> "_StoredNames":
        return _StoredNames(self._database)

    @property
    def names(self) -> PlannedNames:
        """The output names of the drops so far, and of those that the stack has."""
        return PlannedNames(lambda _: None, self._taken)

    def _know(self, job: Job) -> None:
        if is_left_unpaid(job):
            self.credits_left += job.parameters.credits
            self._scale_factors[job.parameters.scale_factor] += 1
        if is_left_unpaid(job) or is_paid(job):
            was = "paid" if is_paid(job) else "left"
            self._database.execute("INSERT INTO jobs VALUES (?, ?, NULL)", (job.fingerprint, was))

    def add(self, drop: PlannedDrop) -> list[Charge]:
        """Add a drop; return what each of its renditions adds to the price."""
        key = drop.source.key
        self.states[drop.state] += 1
        for fault in drop.warnings:
            self.warnings.add(fault, key)
        for loss in drop.losses:
            self.losses.add(loss, key)
        if drop.refusal is not None:
            self.refusals.add((drop.state, str(drop.refusal)), key)
            return []
        charges = [self._charge(key, rendition) for rendition in drop.renditions]
        self.total.add(charges)
        self.by_folder[key[: key.rfind("/") + 1]].add(charges)
        for name in drop.presets:
            self.by_preset[name].add(charges)
        for name in drop.rules:
            self.by_rule[name].add(charges)
        return charges

    def _charge(self, key: str, rendition: Rendition) -> Charge:
        job, parameters = rendition.fingerprint, rendition.parameters
        known = self._database.execute(
            "SELECT was, first_key FROM jobs WHERE fingerprint = ?", (job,)
        )
        was, first_key = known.fetchone() or (None, None)
        if first_key is None:
            row = (job, was, key)
            self._database.execute("INSERT OR REPLACE INTO jobs VALUES (?, ?, ?)", row)
        if was == "paid":
            self.credits_before += parameters.credits if first_key is None else 0
            return Charge(rendition, 0, "paid before")
        if first_key is not None:
            return Charge(rendition, 0, shared_with(first_key, key))
        if was == "left":
            self.credits_left -= parameters.credits
        else:
            self._scale_factors[parameters.scale_factor] += 1
        return Charge(rendition, parameters.credits)

    @property
    def credits(self) -> int:
        """What will be charged: for the drops, and for jobs that earlier runs have left unpaid."""
        return self.total.credits + self.credits_left

    @property
    def scale_factors(self) -> frozenset[int]:
        """The scale factors of the jobs that will be charged."""
        return frozenset(self._scale_factors)


@dataclass(frozen=True)
class _StoredNames:
    """A `TakenNames` in a database."""

    database: sqlite3.Connection

    def get(self, name: str, default: str, /) -> str:
        found = self.database.execute("SELECT key FROM names WHERE name = ?", (name,)).fetchone()
        return found[0] if found else default

    def update(self, taken: Mapping[str, str], /) -> None:
        self.database.executemany("INSERT OR REPLACE INTO names VALUES (?, ?)", taken.items())


def bill_for(drops: Drops, records: Iterable[Drop | Job]) -> Bill:
    """Return the bill for all drops on a stack that continues from these records."""
    with Bill.after(records) as bill:
        for planned in planned_drops([drops], bill.names):
            bill.add(planned)
    return bill
