"""What a stack would do if it looked again at its input bucket."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from dropscale.aws import wiring
from dropscale.coded_warning import CodedWarning, WarningCode
from dropscale.errors import DropscaleError
from dropscale.image.header import DamagedImage, read_header
from dropscale.ledger.budget import Budget
from dropscale.ledger.drops import Drop, NameClaim, Rendition, Source
from dropscale.ledger.jobs import Job
from dropscale.ledger.states import DropState, JobState
from dropscale.ledger.store import Ledger
from dropscale.pipeline.parts.claim_names import PlannedNames
from dropscale.pipeline.parts.ports import InputBucket, ObjectVersion
from dropscale.pipeline.parts.source_image import RemoteImage, refresh_source
from dropscale.pipeline.parts.spec_resolver import (
    DropSpecs,
    NamesLike,
    SidecarMissing,
    SpecResolver,
)
from dropscale.results.output_key import foreseen_key
from dropscale.specs.keys import KeyKind, folded, kind_of, means_folder_spec
from dropscale_cli.files.drops import LocalBucket
from dropscale_cli.specs.bill import PlannedDrop, losses_of, planned_drop
from dropscale_cli.stacks.aws_target import AwsTarget

_AT_ONCE = 16
_PEEK_BYTES = 256 * 1024
_NO_BUDGET = Budget()
_OF_AN_END = frozenset({WarningCode.METADATA_DAMAGED, WarningCode.PROFILE_DAMAGED})
"""The message about a file that ends too early."""


@dataclass(frozen=True)
class PlannedChange:
    """The change of one drop: its present and future state, in words."""

    key: str
    now: str
    then: str
    credits: int
    is_known: bool
    refusal: DropscaleError | None = None
    paid: frozenset[str] = frozenset()
    """The fingerprints of its jobs that are already paid."""
    losses: Sequence[CodedWarning] = ()
    """What its results will lack that the image has, judging by the file's beginning."""

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON shows it."""
        return {
            "key": self.key,
            "now": self.now,
            "then": self.then,
            "credits": self.credits,
            "refusal": self.refusal and str(self.refusal),
            "losses": [{"code": loss.code, "message": loss.message} for loss in self.losses],
        }


@dataclass(frozen=True)
class Page:
    """A number of objects, and the changes of those that a new look changes."""

    looked_at: int
    changes: Sequence[PlannedChange]


class PlannedInput(Protocol):
    """The objects of a plan: those in a stack's bucket, or files in place of them."""

    @property
    def input_bucket(self) -> str:
        """Its name."""

    def input_pages(self, prefix: str) -> Iterator[list[tuple[str, ObjectVersion]]]:
        """Yield all objects whose keys start with `prefix`, page by page."""


class KnownRecords(Protocol):
    """The part of a ledger that planning needs."""

    def drop(self, drop_id: str) -> Drop | None:
        """See `Ledger.drop`."""

    def job(self, fingerprint: str) -> Job | None:
        """See `Ledger.job`."""

    def name_claim(self, name: str) -> NameClaim | None:
        """See `Ledger.name_claim`."""


@dataclass(frozen=True)
class StackPlanner:
    """Plans for a stack's input bucket and ledger, or for substitutes; changes nothing."""

    planned: PlannedInput
    bucket: InputBucket
    specs: SpecResolver
    ledger: KnownRecords
    budget: Budget = _NO_BUDGET

    @cached_property
    def names(self) -> PlannedNames:
        """The names of the outputs of all drops planned so far."""
        return PlannedNames(self.ledger.name_claim)

    @classmethod
    def of(
        cls,
        target: AwsTarget,
        planned: PlannedInput | None = None,
        bucket: InputBucket | None = None,
    ) -> StackPlanner:
        """Return the planner of a stack, for its input bucket or for files to be put there."""
        settings, client = target.settings, target.client
        bucket = bucket or wiring.input_bucket(settings, client)
        ledger = wiring.ledger(settings, client)
        names_like = (
            bucket.specs().names_like if isinstance(bucket, LocalBucket) else _noted_names(ledger)
        )
        specs = wiring.specs(settings, bucket, names_like)
        budget = Budget(settings.daily_credit_limit, settings.monthly_credit_limit)
        return cls(planned or target, bucket, specs, ledger, budget)

    def pages(self, prefix: str) -> Iterator[Page]:
        """Plan all drops whose keys start with `prefix`, in pages of up to 1,000 objects."""
        with ThreadPoolExecutor(_AT_ONCE) as executor:
            for objects in self.planned.input_pages(prefix):
                drops = [(key, version) for key, version in objects if self._is_candidate(key)]
                found = executor.map(lambda one: self._change(*one), drops)
                yield Page(len(drops), [change for change in found if change])

    def _is_candidate(self, key: str) -> bool:
        kind = kind_of(key, self.specs.suffixes)
        is_folder_spec = kind is KeyKind.MISNAMED and means_folder_spec(key)
        return kind in {KeyKind.IMAGE, KeyKind.STAND_ALONE} or is_folder_spec

    def _change(self, key: str, version: ObjectVersion) -> PlannedChange | None:
        bucket = self.planned.input_bucket
        drop = self.ledger.drop(Drop.id_of(bucket, key))
        known = drop.source if drop else Source(bucket=bucket, key=key, etag="")
        # A listing has no version ids; the ETag replaces them.
        version = ObjectVersion(version.etag, known.version_id, version.size)
        source = refresh_source(known, version)

        def describe(specs: DropSpecs) -> Source:
            if specs.image_path is None or specs.image_identity is None:
                return self._peek(source, version.size, needs_header=specs.has_rules)
            return RemoteImage(specs.image_path, specs.image_identity).describe(source)

        try:
            planned = planned_drop(source, version, self.specs, describe, self.names, self.budget)
        except SidecarMissing:
            planned = PlannedDrop(source)
        before = None if drop is None else drop.batch
        batch = self.specs.batch_of(drop or Drop(id="", source=source))
        if planned is None or (batch == before and not _is_change(drop, planned)):
            return None
        unpaid = [one for one in planned.renditions if not self._is_paid(one)]
        return PlannedChange(
            key=key,
            now=_in_words(drop),
            then=(
                _planned_in_words(planned)
                + _files_in_words(drop, planned)
                + _batch_in_words(before, batch)
            ),
            credits=sum({one.fingerprint: one.parameters.credits for one in unpaid}.values()),
            is_known=drop is not None,
            refusal=None if planned.is_skipped else planned.refusal,
            paid=frozenset(one.fingerprint for one in planned.renditions if one not in unpaid),
            losses=self._losses(planned) if unpaid else (),
        )

    def _peek(self, source: Source, size: int, *, needs_header: bool) -> Source:
        """Describe an image of which only the beginning is read: its job counts as a new one.

        All of it is read if its header is further on and the price needs the header.
        """
        if source.sha256 is not None and (source.alpha is not None or not needs_header):
            return source
        identity = source.sha256 or f"not read, ETag {source.etag}"
        facts: dict[str, Any] = {"sha256": identity, "bytes": size}
        head = self.bucket.read(source.bucket, source.key, _PEEK_BYTES) or b""
        try:
            header = read_header(io.BytesIO(head), source.key)
        except DamagedImage:
            if len(head) < _PEEK_BYTES:
                raise
            if not needs_header:
                return source.model_copy(update=facts)
            with self.bucket.open(source.bucket, source.key, source.etag) as opened:
                header = read_header(opened.file, source.key)
        facts |= {name: getattr(header, name) for name in ("type", "width", "height", "alpha")}
        return source.model_copy(update=facts)

    def _losses(self, planned: PlannedDrop) -> list[CodedWarning]:
        source = planned.source
        head = self.bucket.read(source.bucket, source.key, _PEEK_BYTES) or b""
        found = losses_of(planned, io.BytesIO(head))
        if len(head) < _PEEK_BYTES:
            return found
        return [loss for loss in found if loss.code not in _OF_AN_END]  # its bytes were not read

    def _is_paid(self, rendition: Rendition) -> bool:
        job = self.ledger.job(rendition.fingerprint)
        return job is not None and not (job.state is JobState.READY or job.is_refunded)


def _noted_names(ledger: Ledger) -> NamesLike:
    """Return a function that returns the specs noted as naming an image."""
    return lambda bucket, key: sorted(ledger.names(Drop.id_of(bucket, folded(key))).specs)


def _is_change(drop: Drop | None, planned: PlannedDrop) -> bool:
    if drop is None or planned.source.etag != drop.source.etag:
        return True
    if planned.refusal is not None:
        return drop.reason is None or drop.reason.message != planned.refusal.message
    before, wanted = _destinations(_current(drop)), _destinations(planned.renditions)
    return not drop.is_evaluated or before != wanted


def _destinations(renditions: Iterable[Rendition]) -> dict[str, tuple[object, ...]]:
    return {one.id: _destination(one) for one in renditions}


def _destination(rendition: Rendition) -> tuple[object, ...]:
    return rendition.directory, rendition.output_settings


def _current(drop: Drop) -> list[Rendition]:
    return [one for one in drop.renditions.values() if one.state is not DropState.SUPERSEDED]


def _in_words(drop: Drop | None) -> str:
    if drop is None:
        return "not known"
    return (
        f"{drop.state}: {_list_renditions(_current(drop))}"
        if drop.is_evaluated
        else drop.state.value
    )


def _planned_in_words(planned: PlannedDrop) -> str:
    if planned.refusal is not None:
        return f"{'skipped' if planned.is_skipped else 'rejected'}: {planned.refusal.message}"
    return _list_renditions(planned.renditions) or "waiting for its sidecar"


def _files_in_words(drop: Drop | None, planned: PlannedDrop) -> str:
    """Return which files of known upscales are written anew, to be put after the upscales."""
    before: dict[str, set[tuple[object, ...]]] = {}
    for one in _current(drop) if drop else ():
        before.setdefault(one.fingerprint, set()).add(_destination(one))
    keys = [
        foreseen_key(planned.source.key, one)
        for one in planned.renditions
        if one.fingerprint in before and _destination(one) not in before[one.fingerprint]
    ]
    return f", written as {', '.join(keys)}" if keys else ""


def _batch_in_words(before: str | None, after: str | None) -> str:
    """Return the change of batch, to be put after what becomes of the image."""
    if after is None:
        return "" if before is None else f", no longer in batch {before}"
    return "" if after == before else f", in batch {after}"


def _list_renditions(renditions: Sequence[Rendition]) -> str:
    kinds = Counter(f"{one.parameters.scale_factor}x {one.parameters.mode}" for one in renditions)
    return ", ".join(kind if count == 1 else f"{count} of {kind}" for kind, count in kinds.items())
