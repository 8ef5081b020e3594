"""Submit: from an object in the input bucket to a job that is started or waiting."""

from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from enum import StrEnum

from dropscale.errors import DropscaleError
from dropscale.ledger.drops import Drop, Reason, Source
from dropscale.ledger.states import OPEN_STATES, DropState, WaitReason
from dropscale.ledger.store import LedgerConflict
from dropscale.pipeline.parts.accept import AcceptDrop
from dropscale.pipeline.parts.advance import AdvanceDrop
from dropscale.pipeline.parts.batches import or_stay
from dropscale.pipeline.parts.claim_names import OutputNameTaken
from dropscale.pipeline.parts.decline import DeclineDrop
from dropscale.pipeline.parts.evaluate import Declined, EvaluateDrop, wait_for_access
from dropscale.pipeline.parts.locate import LocateDrop, Location
from dropscale.pipeline.parts.manifest_writer import WriteManifest
from dropscale.pipeline.parts.ownership import MayNotPay, Ownership
from dropscale.pipeline.parts.ports import (
    ObjectGone,
    ObjectOverwritten,
    ObjectVersion,
    RemainingTime,
)
from dropscale.pipeline.parts.refusals import AccessDenied
from dropscale.pipeline.parts.source_image import refresh_source
from dropscale.specs.keys import KeyKind

_ATTEMPTS = 5


class OutsideInput(DropscaleError):
    """The stack no longer reads the place where a drop is."""


class SubmitOutcome(StrEnum):
    """What submit did with an object."""

    IGNORED = "ignored"
    OVERWRITTEN = "overwritten"
    EVALUATED = "evaluated"


@dataclass(frozen=True)
class Submitted:
    """What submit did; `drop` is the drop that the object is about, if there is one."""

    outcome: SubmitOutcome
    kind: KeyKind
    drop: Drop | None = None


@dataclass(frozen=True)
class Submit:
    """Looks at one object of the input bucket and does what it requires.

    An event only says where to look: what counts is the object that is there now. So duplicates,
    late events and a sidecar's own event all have the same effect.
    """

    locate: LocateDrop
    evaluate: EvaluateDrop
    accept: AcceptDrop
    decline: DeclineDrop
    advance: AdvanceDrop
    write_manifest: WriteManifest
    ownership: Ownership

    def __call__(self, bucket: str, key: str, remaining: RemainingTime) -> Submitted:
        """Evaluate the object at `key`, or, if it is a sidecar, its images.

        Raises:
            LedgerConflict: other processes change the same drop; call again later.
        """
        try:
            self.ownership.require()
            found = self.locate(bucket, key)
        except MayNotPay as error:
            return self._wait_for_ledger(bucket, key, error)
        except DropscaleError as error:
            return self._refuse(bucket, key, error)
        submitted = self._submit(found, remaining)
        for image_key in found.misspelt:
            image = self._submit(self.locate(bucket, image_key), remaining)
            submitted = Submitted(image.outcome, found.kind, image.drop)
        return submitted

    def _refuse(self, bucket: str, key: str, error: DropscaleError) -> Submitted:
        """Record that a drop cannot be read until somebody changes something."""
        kind, drop_key = self.locate.sort_key(key)
        drop = self.locate.find_drop(bucket, drop_key or key)
        if isinstance(error, AccessDenied):
            declined = wait_for_access(drop, error)
        elif drop.is_at_vendor:
            declined = Declined(drop.state, drop.source, drop.reason, drop.wait)
        else:
            declined = Declined(DropState.REJECTED, drop.source, Reason.of(error))
        drop = self.decline(drop, declined)
        self.write_manifest(drop)
        return Submitted(SubmitOutcome.EVALUATED, kind, drop)

    def _wait_for_ledger(self, bucket: str, key: str, error: MayNotPay) -> Submitted:
        """Record that a new drop waits until this stack may pay.

        A drop that the ledger already has does not change: the owner's sweep finds what is new.
        """
        kind, drop_key = self.locate.sort_key(key)
        drop = self.locate.find_drop(bucket, drop_key or key)
        is_beside_none = key != drop_key and not self._version_of(drop.source)
        if drop_key is None or drop.renditions or is_beside_none:
            return Submitted(SubmitOutcome.IGNORED, kind)
        waits = Declined(DropState.WAITING, drop.source, Reason.of(error), WaitReason.LEDGER)
        drop = self.decline(drop, waits)
        self.write_manifest(drop)
        return Submitted(SubmitOutcome.EVALUATED, kind, drop)

    def _submit(self, found: Location, remaining: RemainingTime) -> Submitted:
        if found.drop is None:
            return Submitted(SubmitOutcome.IGNORED, found.kind)
        try:
            drop = self._submit_drop(found.drop, found.version, remaining)
        except ObjectOverwritten:
            return Submitted(SubmitOutcome.OVERWRITTEN, found.kind)
        if drop is None:
            return Submitted(SubmitOutcome.IGNORED, found.kind)
        self.write_manifest(drop)
        return Submitted(SubmitOutcome.EVALUATED, found.kind, drop)

    def leave(self, bucket: str, key: str) -> None:
        """Reject a drop where the stack no longer looks, if it still waits to be read.

        Jobs at the vendor continue, and for objects that the ledger does not have nothing is
        written.
        """
        drop = self.locate.find_drop(bucket, key)
        if drop.state not in OPEN_STATES or not drop.seq or drop.is_at_vendor:
            return
        self.ownership.require()
        error = OutsideInput(
            f"{key} is in the bucket {bucket}, where this stack no longer looks for it",
            fix="Drop it where the stack looks, or set ExistingInputBucket and InputPrefix back.",
        )
        declined = Declined(DropState.REJECTED, drop.source, Reason.of(error))
        self.write_manifest(self.decline(drop, declined))

    def give_up(self, bucket: str, key: str, error: Exception) -> None:
        """Record that a drop's message goes to the dead-letter queue.

        Jobs that the ledger already has continue without the message.
        """
        _, drop_key = self.locate.sort_key(key)
        if drop_key is None:
            return
        self.ownership.owner()  # Without one, this manifest would count as an earlier ledger's.
        drop = self.locate.find_drop(bucket, drop_key)
        if not drop.renditions:
            source = self._source_given_up(drop)
            reason = Reason(
                code=type(error).__name__,
                message=f"{drop_key} could not be submitted: {error}",
                fix="Drop the image again (or `dropscale retry KEY`).",
            )
            # What went wrong five times may keep its folders' specs from being read, too.
            decline = replace(self.decline, batch_of=or_stay(self.decline.batch_of))
            self.write_manifest(decline(drop, Declined(DropState.FAILED, source, reason)))

    def _source_given_up(self, drop: Drop) -> Source:
        """Return which object it was, so that a later object at its key is recognised as new."""
        version = self._version_of(drop.source)
        return refresh_source(drop.source, version) if version else drop.source

    def _version_of(self, source: Source) -> ObjectVersion | None:
        """Return the object at a drop's key; None: there is none, or it cannot be read."""
        with suppress(Exception):  # This may be the same error again.
            return self.locate.bucket.head(source.bucket, source.key)
        return None

    def _submit_drop(
        self, drop: Drop, version: ObjectVersion | None, remaining: RemainingTime
    ) -> Drop | None:
        """Advance a drop as far as possible now; start again if others change it first."""
        for _ in range(_ATTEMPTS):
            try:
                if version is None:
                    return self.decline.cancel(drop)
                return self._evaluate_and_advance(drop, version, remaining)
            except ObjectGone:
                version = None
            except LedgerConflict:
                pass
            drop = self.locate.find_drop(drop.source.bucket, drop.source.key)
        raise LedgerConflict(f"{drop.source.key} is being evaluated by others at the same time")

    def _evaluate_and_advance(
        self, drop: Drop, version: ObjectVersion, remaining: RemainingTime
    ) -> Drop | None:
        """Return the updated drop; None: its object is another tool's file."""
        with ExitStack() as files:
            evaluated = self.evaluate(drop, version, files)
            if evaluated is None:
                return None
            if isinstance(evaluated, Declined):
                return self.decline(drop, evaluated)
            try:
                accepted = self.accept(drop, evaluated)
            except OutputNameTaken as error:
                source, warnings = evaluated.source, evaluated.warnings
                rejected = DropState.REJECTED
                declined = Declined(rejected, source, Reason.of(error), warnings=warnings)
                return self.decline(drop, declined)
            return self.advance(accepted, evaluated.image, remaining)
