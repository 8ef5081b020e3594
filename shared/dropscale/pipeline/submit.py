"""Submit: from an object in the input bucket to a job that is started, or waits to be."""

from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from dropscale.errors import DropscaleError
from dropscale.ledger.records import Drop, Job, Reason, Rendition, Source
from dropscale.ledger.states import OPEN_STATES, DropState, JobState, WaitReason
from dropscale.ledger.store import (
    Attach,
    Change,
    Detach,
    Ledger,
    LedgerConflict,
    SaveDrop,
    SaveJob,
    amend_job,
)
from dropscale.magichour import errors
from dropscale.pipeline.follow import FollowJob, Refused, Waiting
from dropscale.pipeline.gate import GateKeeper, cause_of
from dropscale.pipeline.plan import LargeEnough, planned_renditions
from dropscale.pipeline.ports import (
    Clock,
    InputBucket,
    ObjectGone,
    ObjectOverwritten,
    ObjectVersion,
    RemainingTime,
    Upscaler,
)
from dropscale.pipeline.projection import ProjectManifest
from dropscale.pipeline.source_image import SourceImage, image_of, require_size, source_now
from dropscale.pipeline.spec_resolver import ResolvedSpec, SidecarMissing, SpecResolver
from dropscale.pipeline.start import ACCOUNT_ERRORS, REJECTING_ERRORS, REVIEW, StartJob, refusal_of
from dropscale.results.output_key import output_key
from dropscale.specs.keys import KeyKind, image_key_of, kind_of

_ATTEMPTS = 5
_LABEL_LENGTH = 120
_UPLOAD_PAUSE = timedelta(seconds=60)


class SourceGone(DropscaleError):
    """The image was deleted before it was read."""


class SubmitOutcome(StrEnum):
    """What submit did about an object."""

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
    """Looks at one object of the input bucket and does all that is to be done about it.

    An event only says where to look: what counts is what lies there now. So duplicates, late
    events and a sidecar's own event all lead to the same place.
    """

    bucket: InputBucket
    ledger: Ledger
    upscaler: Upscaler
    resolve: SpecResolver
    start: StartJob
    follow: FollowJob
    gate: GateKeeper
    project: ProjectManifest
    clock: Clock

    def __call__(self, bucket: str, key: str, remaining: RemainingTime) -> Submitted:
        """Evaluate what lies at `key`, or the image whose sidecar lies there.

        Raises:
            LedgerConflict: others change the same drop; call again later.
        """
        kind, drop_key = self._sorted(key)
        if drop_key is None:
            return Submitted(SubmitOutcome.IGNORED, kind)
        version = self.bucket.head(bucket, drop_key)
        if version is None and kind is not KeyKind.IMAGE and self._known(bucket, drop_key) is None:
            return Submitted(SubmitOutcome.IGNORED, kind)
        try:
            drop = self._settled_by_now(bucket, drop_key, version, remaining)
        except ObjectOverwritten:
            return Submitted(SubmitOutcome.OVERWRITTEN, kind)
        if drop is None:
            return Submitted(SubmitOutcome.IGNORED, kind)
        if drop.due:
            self.project(drop)
        return Submitted(SubmitOutcome.EVALUATED, kind, drop)

    def give_up(self, bucket: str, key: str, error: Exception) -> None:
        """Describe a drop whose message goes to the dead-letter queue.

        What the ledger knows of already goes on without the message.
        """
        _, drop_key = self._sorted(key)
        if drop_key is None:
            return
        drop = self._known_or_new(bucket, drop_key)
        if not drop.renditions:
            reason = Reason(
                code=type(error).__name__,
                message=f"{drop_key} could not be submitted: {error}",
                fix="Drop the image again (or `dropscale retry KEY`).",
            )
            self.project(self._decide(drop, DropState.FAILED, reason))

    def _sorted(self, key: str) -> tuple[KeyKind, str | None]:
        """Return what lies at a key, and the key of the drop it is about, if any."""
        kind = kind_of(key, self.resolve.suffixes)
        if kind is KeyKind.SIDECAR:
            return kind, image_key_of(key, self.resolve.suffixes)
        return kind, key if kind in {KeyKind.IMAGE, KeyKind.STAND_ALONE} else None

    def _known(self, bucket: str, key: str) -> Drop | None:
        return self.ledger.drop(Drop.id_of(bucket, key))

    def _known_or_new(self, bucket: str, key: str) -> Drop:
        source = Source(bucket=bucket, key=key, etag="")
        return self._known(bucket, key) or Drop(id=Drop.id_of(bucket, key), source=source)

    def _settled_by_now(
        self, bucket: str, key: str, version: ObjectVersion | None, remaining: RemainingTime
    ) -> Drop | None:
        for _ in range(_ATTEMPTS):
            drop = self._known_or_new(bucket, key)
            try:
                if version is None:
                    return self._gone(drop)
                return self._evaluate(drop, version, remaining)
            except ObjectGone:
                version = None
            except LedgerConflict:
                continue
        raise LedgerConflict(f"{key} is evaluated by many at once")

    def _gone(self, drop: Drop) -> Drop:
        """End what waits for bytes that nobody can send any more; all else goes on."""
        wanted = [
            self.ledger.job(r.fingerprint) for r in drop.renditions.values() if r.wants_result
        ]
        stuck = [job for job in wanted if job and self._lacks_bytes(job)]
        if drop.renditions and not stuck:
            return drop
        error = SourceGone(f"{drop.source.key} was deleted", fix="Drop it again if you want it.")
        return self._decide(drop, DropState.CANCELED, _reason(error), leaving=stuck)

    def _lacks_bytes(self, job: Job) -> bool:
        return job.state is JobState.READY and not job.can_be_created(self.clock())

    def _evaluate(
        self, drop: Drop, version: ObjectVersion, remaining: RemainingTime
    ) -> Drop | None:
        """Bring a drop as far as it can come now; None: its object is another tool's file."""
        source = source_now(drop.source, version)
        with ExitStack() as open_objects:
            try:
                require_size(version, source.key)
                resolved = self.resolve.of_drop(source.bucket, source.key)
                if resolved is None:
                    return None
                image = image_of(self.bucket, source, resolved, open_objects)
                source = image.describe(source)
                if self._is_news(drop, source, resolved):
                    drop = self._accept(drop, source, resolved)
            except SidecarMissing:
                return self._decide(drop, DropState.WAITING, None, WaitReason.SIDECAR)
            except LargeEnough as error:
                return self._withdrawn(drop, DropState.SKIPPED, error, source)
            except DropscaleError as error:
                return self._withdrawn(drop, DropState.REJECTED, error, source)
            for fingerprint, rendition in drop.renditions.items():
                if rendition.wants_result:
                    drop = self._advance(drop, fingerprint, image, remaining)
        return drop

    def _is_news(self, drop: Drop, source: Source, resolved: ResolvedSpec) -> bool:
        before = (drop.source, drop.spec, drop.warnings)
        return before != (source, resolved.effective, _said(resolved)) or not drop.is_evaluated

    def _withdrawn(
        self, drop: Drop, state: DropState, error: DropscaleError, source: Source
    ) -> Drop:
        """Decide on the drop itself; what is not paid yet is not wanted any more."""
        jobs = map(self.ledger.job, drop.renditions)
        unpaid = [job for job in jobs if job and job.state is JobState.READY]
        return self._decide(drop, state, _reason(error), source=source, leaving=unpaid)

    def _decide(
        self,
        drop: Drop,
        state: DropState,
        reason: Reason | None,
        wait: WaitReason | None = None,
        source: Source | None = None,
        leaving: Sequence[Job] = (),
    ) -> Drop:
        source = source or drop.source
        stands = (drop.state, drop.reason, drop.wait, drop.source) == (state, reason, wait, source)
        if stands and drop.seq and not leaving:
            return drop
        left = {job.fingerprint for job in leaving}
        kept = {name: rendition for name, rendition in drop.renditions.items() if name not in left}
        decided = drop.decided(
            state, self.clock(), reason=reason, wait=wait, source=source, renditions=kept
        )
        departures = [change for job in leaving for change in _departure(drop.id, job)]
        self.ledger.write(SaveDrop(decided), *departures)
        return decided

    def _accept(self, drop: Drop, source: Source, resolved: ResolvedSpec) -> Drop:
        """Write down what the drop is to get: its renditions, and a share in each one's job."""
        spec, now = resolved.effective, self.clock()
        fresh = planned_renditions(source, spec, self.start.policy.budget)
        kept, changes = self._without_others(drop, fresh.keys())
        wanted = {name: _wanted(drop, rendition) for name, rendition in fresh.items()}
        accepted = drop.evaluated(
            kept | wanted, now, source=source, spec=spec, warnings=_said(resolved)
        )
        changes.append(SaveDrop(accepted))
        names = [one.name or source.key for one in spec.wanted]
        for rendition, name in zip(wanted.values(), names, strict=True):
            changes.append(Attach(rendition.fingerprint, drop.id))
            changes += self._job_for(rendition, name, now)
        self.ledger.write(*changes)
        return accepted

    def _job_for(self, rendition: Rendition, name: str, now: datetime) -> list[Change]:
        """Return what gives a rendition a job that will be paid, if it is to be paid at all."""
        job = self.ledger.job(rendition.fingerprint)
        if job is None:
            return [SaveJob(_new_job(rendition, name, now))]
        if job.state is JobState.ERROR and rendition.wants_result:
            return [SaveJob(job.renewed(now))]
        if job.state is JobState.READY:
            # Whoever is about to lay the job aside as unwanted must see that it is wanted now.
            return [SaveJob(job.look_again(job.due or now))]
        if job.has_project and rendition.wants_result:
            # Nor may the sweeper lay aside a job whose result is wanted once more.
            return [SaveJob(job.watched_anew(now, now + REVIEW))]
        return []

    def _without_others(
        self, drop: Drop, fingerprints: Collection[str]
    ) -> tuple[dict[str, Rendition], list[Change]]:
        """Withdraw the drop from all other jobs: from unpaid ones without a trace."""
        kept: dict[str, Rendition] = {}
        changes: list[Change] = []
        for other, rendition in drop.renditions.items():
            if other in fingerprints:
                continue
            job = self.ledger.job(other)
            if job is not None and job.state is JobState.READY:
                changes += _departure(drop.id, job)
            else:
                kept[other] = rendition.moved(DropState.SUPERSEDED)
        return kept, changes

    def _advance(
        self, drop: Drop, fingerprint: str, image: SourceImage, remaining: RemainingTime
    ) -> Drop:
        """Bring one rendition as far as it can come now."""
        job = self.ledger.job(fingerprint)
        if job is None or job.state is JobState.SUBMITTING:
            return drop
        if job.state is not JobState.READY:
            return self.follow.one(drop.id, job)
        if self._lacks_bytes(job):
            try:
                self._send(job, image)
            except ACCOUNT_ERRORS as error:
                return self._close_gate(drop, job, WaitReason.ACCOUNT, error)
            except errors.Throttled as error:
                return self._close_gate(drop, job, WaitReason.THROTTLED, error)
            except errors.TRANSIENT:
                until = self.clock() + _UPLOAD_PAUSE
                return self._read_later(drop, job, Waiting(WaitReason.THROTTLED, until), until)
            except REJECTING_ERRORS as error:
                return self.follow.one(drop.id, job, Refused(refusal_of(error)))
        self.start(fingerprint, remaining)
        return self.ledger.drop(drop.id) or drop

    def _close_gate(
        self, drop: Drop, job: Job, reason: WaitReason, error: errors.MagicHourError
    ) -> Drop:
        until = self.gate.close(reason, error)
        return self._read_later(drop, job, Waiting(reason, until, cause_of(error)), until)

    def _read_later(self, drop: Drop, job: Job, waiting: Waiting, until: datetime) -> Drop:
        """The vendor cannot take the bytes now: the sweeper has the image read again."""
        job = amend_job(self.ledger, job.fingerprint, lambda job: job.look_again(until))
        return self.follow.one(drop.id, job, waiting)

    def _send(self, job: Job, image: SourceImage) -> None:
        path = image.send(self.upscaler)
        now = self.clock()
        amend_job(self.ledger, job.fingerprint, lambda job: job.with_upload(path, now))


def _new_job(rendition: Rendition, name: str, now: datetime) -> Job:
    return Job(
        fingerprint=rendition.fingerprint,
        parameters=rendition.parameters,
        label=name[:_LABEL_LENGTH],
        created_at=now,
        # By then its bytes are at the vendor, or whoever was to send them is gone.
        due=now + REVIEW,
    )


def _departure(drop_id: str, job: Job) -> list[Change]:
    """Return what withdraws a drop from an unpaid job, unless it is being paid at this moment."""
    return [Detach(job.fingerprint, drop_id), SaveJob(job.look_again(job.due))]


def _wanted(drop: Drop, fresh: Rendition) -> Rendition:
    """Return the rendition that the drop now wants: the one it has, if that still serves."""
    before = drop.renditions.get(fresh.fingerprint)
    if before is None:
        return fresh
    written = {"directory": fresh.directory, "output_settings": fresh.output_settings}
    moved = before.model_copy(update=written)
    if before.state in OPEN_STATES:
        return moved
    if before.output is not None and before.state is not DropState.SUPERSEDED:
        image_type = before.output.type
        key = output_key(drop.source.key, fresh.parameters, image_type, fresh.directory)
        if key == before.output.key and before.output_settings == fresh.output_settings:
            return before
    return moved.again()


def _said(resolved: ResolvedSpec) -> tuple[str, ...]:
    return tuple(str(fault) for fault in resolved.warnings)


def _reason(error: DropscaleError) -> Reason:
    return Reason(code=type(error).__name__, message=error.message, fix=error.fix)
