"""Advance: takes an accepted drop as far as possible now: uploaded, started, followed."""

from dataclasses import dataclass
from datetime import datetime

from dropscale.ledger.drops import Drop
from dropscale.ledger.jobs import Job
from dropscale.ledger.states import JobState, WaitReason
from dropscale.ledger.store import Ledger, amend_job
from dropscale.magichour import errors
from dropscale.pipeline.parts.follow import FollowJob, Refused
from dropscale.pipeline.parts.gate import GateKeeper, Waiting, cause_of
from dropscale.pipeline.parts.ports import Clock, RemainingTime, Upscaler
from dropscale.pipeline.parts.source_image import SourceImage
from dropscale.pipeline.parts.start import (
    ACCOUNT_ERRORS,
    REJECTING_ERRORS,
    StartJob,
    refusal_of,
)


@dataclass(frozen=True)
class AdvanceDrop:
    """Uploads the image where the vendor lacks it, and starts or follows the drop's jobs."""

    ledger: Ledger
    upscaler: Upscaler
    start: StartJob
    follow: FollowJob
    gate: GateKeeper
    clock: Clock

    def __call__(self, drop: Drop, image: SourceImage, remaining: RemainingTime) -> Drop:
        """Advance every job whose result the drop wants; return the updated drop.

        Raises:
            ObjectGone, ObjectOverwritten: the image must be uploaded, and cannot be read.
            LedgerConflict: other processes change the same records; call again.
        """
        for fingerprint in drop.fingerprints:
            if drop.wants(fingerprint):
                drop = self._advance_job(drop, fingerprint, image, remaining)
        return drop

    def _advance_job(
        self, drop: Drop, fingerprint: str, image: SourceImage, remaining: RemainingTime
    ) -> Drop:
        job = self.ledger.job(fingerprint)
        if job is None:
            return drop
        if job.state is not JobState.READY:
            return self.follow.update_drop(drop.id, job)
        if job.needs_upload(self.clock()):
            try:
                self._send_image(job, image)
            except ACCOUNT_ERRORS as error:
                return self._close_gate(drop, job, WaitReason.ACCOUNT, error)
            except errors.Throttled as error:
                return self._close_gate(drop, job, WaitReason.THROTTLED, error)
            except (*errors.TRANSIENT, errors.UnsafeUrl) as error:
                now, cause = self.clock(), cause_of(error)
                job = amend_job(self.ledger, fingerprint, lambda job: job.record_failed_upload(now))
                waiting = Waiting(WaitReason.THROTTLED, job.due, cause)
                return self.follow.update_drop(drop.id, job, waiting)
            except REJECTING_ERRORS as error:
                return self.follow.update_drop(drop.id, job, Refused(refusal_of(error)))
        self.start(fingerprint, remaining, drop_id=drop.id)
        return self.ledger.drop(drop.id) or drop

    def _send_image(self, job: Job, image: SourceImage) -> None:
        path = image.send(self.upscaler)
        now = self.clock()
        amend_job(self.ledger, job.fingerprint, lambda job: job.with_upload(path, now))

    def _close_gate(
        self, drop: Drop, job: Job, reason: WaitReason, error: errors.MagicHourError
    ) -> Drop:
        waiting = self.gate.close(reason, error)
        return self._send_later(drop, job, waiting, waiting.until or self.clock())

    def _send_later(self, drop: Drop, job: Job, waiting: Waiting, until: datetime) -> Drop:
        """Have the sweeper request the image again, as the vendor cannot take its bytes now."""
        job = amend_job(self.ledger, job.fingerprint, lambda job: job.look_again(until))
        return self.follow.update_drop(drop.id, job, waiting)
