"""Submit: from an object in the input bucket to a job that is started, or waits to be."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache

from dropscale import upscaler
from dropscale.errors import DropscaleError
from dropscale.image.header import ImageTooLarge, read_header, require_upscalable
from dropscale.ledger.records import Drop, Job, Parameters, Reason, Rendition, Source
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
from dropscale.pipeline.follow import FollowJob, Verdict
from dropscale.pipeline.gate import GateKeeper
from dropscale.pipeline.ports import (
    Clock,
    InputBucket,
    ObjectGone,
    ObjectOverwritten,
    ObjectVersion,
    OpenObject,
    RemainingTime,
    Upscaler,
)
from dropscale.pipeline.price import require_affordable
from dropscale.pipeline.projection import ProjectManifest
from dropscale.pipeline.sidecars import SpecResolver
from dropscale.pipeline.start import ACCOUNT_ERRORS, REJECTING_ERRORS, REVIEW, StartJob, refusal_of
from dropscale.results.output_key import output_key
from dropscale.spec.keys import KeyKind, image_key_of, kind_of
from dropscale.spec.model import EffectiveSpec

MAX_IMAGE_BYTES = 512 * 1024 * 1024
"""dropscale's own limit: an image must fit submit's ephemeral storage."""

_ATTEMPTS = 5
_LABEL_LENGTH = 120
_UPLOAD_PAUSE = timedelta(seconds=60)

ReadImage = Callable[[], OpenObject]


class SourceGone(DropscaleError):
    """The image was deleted before it was read."""


class SubmitOutcome(StrEnum):
    """What submit did about an object."""

    IGNORED = "ignored"
    OVERWRITTEN = "overwritten"
    EVALUATED = "evaluated"


@dataclass(frozen=True)
class Submitted:
    """What submit did; `drop` is the image's drop, if there is one."""

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
        """Evaluate the image at `key`, or the image whose sidecar lies there.

        Raises:
            LedgerConflict: others change the same drop; call again later.
        """
        kind, image_key = self._sorted(key)
        if image_key is None:
            return Submitted(SubmitOutcome.IGNORED, kind)
        version = self.bucket.head(bucket, image_key)
        if version is None and kind is KeyKind.SIDECAR:
            return Submitted(SubmitOutcome.IGNORED, kind)
        try:
            drop = self._settled_by_now(bucket, image_key, version, remaining)
        except ObjectOverwritten:
            return Submitted(SubmitOutcome.OVERWRITTEN, kind)
        if drop.due:
            self.project(drop)
        return Submitted(SubmitOutcome.EVALUATED, kind, drop)

    def give_up(self, bucket: str, key: str, error: Exception) -> None:
        """Describe a drop whose message goes to the dead-letter queue.

        What the ledger knows of already goes on without the message.
        """
        _, image_key = self._sorted(key)
        if image_key is None:
            return
        drop = self._known_or_new(bucket, image_key)
        if not drop.renditions:
            reason = Reason(
                code=type(error).__name__,
                message=f"{image_key} could not be submitted: {error}",
                fix="Drop the image again (or `dropscale retry KEY`).",
            )
            self.project(self._decide(drop, DropState.FAILED, reason))

    def _sorted(self, key: str) -> tuple[KeyKind, str | None]:
        """Return what lies at a key, and the key of the image it is about, if any."""
        kind = kind_of(key, self.resolve.suffixes)
        if kind is KeyKind.SIDECAR:
            return kind, image_key_of(key, self.resolve.suffixes)
        return kind, key if kind is KeyKind.IMAGE else None

    def _known_or_new(self, bucket: str, key: str) -> Drop:
        drop_id = Drop.id_of(bucket, key)
        source = Source(bucket=bucket, key=key, etag="")
        return self.ledger.drop(drop_id) or Drop(id=drop_id, source=source)

    def _settled_by_now(
        self, bucket: str, key: str, version: ObjectVersion | None, remaining: RemainingTime
    ) -> Drop:
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
        is_sent = job.upload is not None and job.upload.is_fresh(self.clock())
        return job.state is JobState.READY and not is_sent

    def _evaluate(self, drop: Drop, version: ObjectVersion, remaining: RemainingTime) -> Drop:
        source = _source_now(drop, version)
        key = source.key
        with ExitStack() as stack:

            @cache
            def image() -> OpenObject:
                opened = self.bucket.open(source.bucket, key, version.etag)
                return stack.enter_context(opened)

            try:
                _require_size(version.size, key)
                spec = self.resolve(source.bucket, key)
                if spec is None:
                    return self._decide(drop, DropState.WAITING, None, WaitReason.SIDECAR)
                if (source, spec) != (drop.source, drop.spec) or not drop.is_evaluated:
                    drop = self._accept(drop, *_read_source(source, image), spec)
            except DropscaleError as error:
                return self._decide(drop, DropState.REJECTED, _reason(error), source=source)
            for fingerprint, rendition in drop.renditions.items():
                if rendition.wants_result:
                    drop = self._advance(drop, fingerprint, image, remaining)
        return drop

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
        facts = {"reason": reason, "wait": wait, "source": source, "renditions": kept}
        decided = drop.decided(state, self.clock(), **facts)
        departures = [change for job in leaving for change in _departure(drop.id, job)]
        self.ledger.write(SaveDrop(decided), *departures)
        return decided

    def _accept(self, drop: Drop, source: Source, sha256: str, spec: EffectiveSpec) -> Drop:
        """Write down what the drop is to get: its renditions, and a share in each one's job."""
        parameters = Parameters.of(spec)
        require_affordable(parameters.credits, source.key, spec, self.start.policy.budget)
        fingerprint = parameters.fingerprint(sha256)
        now = self.clock()
        kept, changes = self._without_others(drop, fingerprint)
        fresh = Rendition(fingerprint=fingerprint, parameters=parameters, wait=WaitReason.SLOT)
        wanted = _wanted(drop, spec, fresh)
        accepted = drop.evaluated({**kept, fingerprint: wanted}, now, source=source, spec=spec)
        changes += [SaveDrop(accepted), Attach(fingerprint, drop.id)]
        job = self.ledger.job(fingerprint)
        if job is None:
            changes.append(SaveJob(_new_job(fingerprint, parameters, spec.name or source.key, now)))
        elif job.state is JobState.ERROR and wanted.wants_result:
            changes.append(SaveJob(job.renewed(now)))
        elif job.state is JobState.READY:
            # Whoever is about to lay the job aside as unwanted must see that it is wanted now.
            changes.append(SaveJob(job.look_again(job.due or now)))
        self.ledger.write(*changes)
        return accepted

    def _without_others(
        self, drop: Drop, fingerprint: str
    ) -> tuple[dict[str, Rendition], list[Change]]:
        """Withdraw the drop from other jobs: from unpaid ones without a trace."""
        kept: dict[str, Rendition] = {}
        changes: list[Change] = []
        for other, rendition in drop.renditions.items():
            if other == fingerprint:
                continue
            job = self.ledger.job(other)
            if job is not None and job.state is JobState.READY:
                changes += _departure(drop.id, job)
            else:
                kept[other] = rendition.moved(DropState.SUPERSEDED)
        return kept, changes

    def _advance(
        self, drop: Drop, fingerprint: str, image: ReadImage, remaining: RemainingTime
    ) -> Drop:
        """Bring one rendition as far as it can come now."""
        job = self.ledger.job(fingerprint)
        if job is None or job.state is JobState.SUBMITTING:
            return drop
        if job.state is not JobState.READY:
            return self.follow.one(drop.id, job)
        if self._lacks_bytes(job):
            try:
                self._upload(job, image)
            except ACCOUNT_ERRORS:
                return self._held_back(drop, job, WaitReason.ACCOUNT)
            except errors.Throttled as error:
                return self._held_back(drop, job, WaitReason.THROTTLED, error.retry_after)
            except errors.TRANSIENT:
                until = self.clock() + _UPLOAD_PAUSE
                return self._read_later(drop, job, WaitReason.THROTTLED, until)
            except REJECTING_ERRORS as error:
                return self.follow.one(drop.id, job, Verdict(refusal=refusal_of(error)))
        self.start(fingerprint, remaining)
        return self.ledger.drop(drop.id) or drop

    def _held_back(
        self, drop: Drop, job: Job, reason: WaitReason, retry_after: float | None = None
    ) -> Drop:
        return self._read_later(drop, job, reason, self.gate.close(reason, retry_after))

    def _read_later(self, drop: Drop, job: Job, reason: WaitReason, until: datetime) -> Drop:
        """The vendor cannot take the bytes now: the sweeper has the image read again."""
        job = amend_job(self.ledger, job.fingerprint, lambda job: job.look_again(until))
        return self.follow.one(drop.id, job, Verdict(wait=reason, wait_until=until))

    def _upload(self, job: Job, image: ReadImage) -> None:
        opened = image()
        header = read_header(opened.file, job.label)
        opened.file.seek(0)
        path = self.upscaler.upload(opened.file, upscaler.EXTENSION_BY_TYPE[header.type])
        now = self.clock()
        amend_job(self.ledger, job.fingerprint, lambda job: job.with_upload(path, now))


def _new_job(fingerprint: str, parameters: Parameters, name: str, now: datetime) -> Job:
    return Job(
        fingerprint=fingerprint,
        parameters=parameters,
        label=name[:_LABEL_LENGTH],
        created_at=now,
        # By then its bytes are at the vendor, or whoever was to send them is gone.
        due=now + REVIEW,
    )


def _departure(drop_id: str, job: Job) -> list[Change]:
    """Return what withdraws a drop from an unpaid job, unless it is being paid at this moment."""
    return [Detach(job.fingerprint, drop_id), SaveJob(job.look_again(job.due))]


def _source_now(drop: Drop, version: ObjectVersion) -> Source:
    """Return the drop's source, without what is known of it if its bytes have changed."""
    known = drop.source
    if known.etag == version.etag and known.version_id == version.version_id:
        return known
    return Source(
        bucket=known.bucket, key=known.key, etag=version.etag, version_id=version.version_id
    )


def _require_size(size: int, key: str) -> None:
    if size > MAX_IMAGE_BYTES:
        raise ImageTooLarge(
            f"{key} has {size:,} bytes", fix=f"Use an image of at most {MAX_IMAGE_BYTES:,} bytes."
        )


def _read_source(source: Source, image: ReadImage) -> tuple[Source, str]:
    """Return the source with what its bytes say, and their SHA-256.

    Raises:
        DropscaleError: the vendor would refuse the image.
    """
    if source.sha256 is not None:
        return source, source.sha256
    opened = image()
    header = read_header(opened.file, source.key)
    require_upscalable(header, source.key)
    facts = {
        "version_id": opened.version.version_id,
        "sha256": opened.sha256,
        "type": header.type,
        "width": header.width,
        "height": header.height,
        "bytes": opened.version.size,
    }
    return source.model_copy(update=facts), opened.sha256


def _wanted(drop: Drop, spec: EffectiveSpec, fresh: Rendition) -> Rendition:
    """Return the rendition that the drop now wants: the one it has, if that still serves."""
    before = drop.renditions.get(fresh.fingerprint)
    if before is None:
        return fresh
    if before.output is not None:
        directory = spec.download_directory
        key = output_key(drop.source.key, fresh.parameters, before.output.type, directory)
        if key == before.output.key:
            return before
    elif before.state in OPEN_STATES:
        return before
    return before.again()


def _reason(error: DropscaleError) -> Reason:
    return Reason(code=type(error).__name__, message=error.message, fix=error.fix)
