"""Retry: tries again, at a person's request, a drop that was not delivered."""

from collections.abc import Set
from dataclasses import dataclass
from datetime import timedelta

from dropscale.ledger.drops import Drop, Rendition
from dropscale.ledger.jobs import Job
from dropscale.ledger.states import AT_VENDOR_STATES, OPEN_STATES, DropState, JobState
from dropscale.ledger.store import Ledger, amend_drop_and_job
from dropscale.pipeline.parts.follow import FollowJob
from dropscale.pipeline.parts.manifest_writer import WriteManifest
from dropscale.pipeline.parts.poll_schedule import REVIEW
from dropscale.pipeline.parts.ports import (
    Clock,
    DropQueue,
    ExecutionStatus,
    InputBucket,
    RemainingTime,
    ResultsBucket,
)
from dropscale.pipeline.parts.start import StartJob
from dropscale.upscaler import DOWNLOAD_URL_HOURS

_DONE = frozenset({DropState.DELIVERED, DropState.SKIPPED, DropState.SUPERSEDED})
_URL_LIFETIME = timedelta(hours=DOWNLOAD_URL_HOURS)


@dataclass(frozen=True)
class Retry:
    """Tries again what is free or was refunded; never a create that may have been charged."""

    ledger: Ledger
    bucket: InputBucket
    results: ResultsBucket
    queue: DropQueue
    start: StartJob
    follow: FollowJob
    write_manifest: WriteManifest
    clock: Clock

    def __call__(self, drop: Drop, remaining: RemainingTime) -> bool:
        """Try a drop again; return whether there was anything to try.

        Collects a paid result: also one that was delivered but is no longer in the results bucket,
        one that the sweeper no longer looks for, and new download URLs if the last have expired.
        Pays again for an upscale whose credits were refunded. Evaluates a drop that never was, if
        its image still exists.
        """
        again: dict[str, set[str]] = {}
        for one in drop.renditions.values():
            if self._can_be_tried(drop, one):
                again.setdefault(one.fingerprint, set()).add(one.id)
        tried = [self._try_again(drop.id, name, ids, remaining) for name, ids in again.items()]
        if not drop.is_evaluated:
            tried.append(self._resubmit(drop))
        return any(tried)

    def _can_be_tried(self, drop: Drop, rendition: Rendition) -> bool:
        job = self.ledger.job(rendition.fingerprint)
        if job is None or (job.state is JobState.UNKNOWN and rendition.wants_result):
            return False
        if job.state is JobState.ABANDONED and not job.has_project:
            return False
        if rendition.state in AT_VENDOR_STATES:
            return not self._is_running(drop, rendition)
        if rendition.state is DropState.COMPLETE:
            return self.clock() - drop.timeline[-1].at >= _URL_LIFETIME
        if rendition.state is DropState.DELIVERED and rendition.output is not None:
            return self.results.describe_output(rendition.output.key) is None
        return rendition.state not in _DONE | OPEN_STATES

    def _is_running(self, drop: Drop, rendition: Rendition) -> bool:
        name = self.follow.execution_name(drop.id, rendition)
        return self.follow.executions.status(name) is ExecutionStatus.RUNNING

    def _try_again(
        self, drop_id: str, fingerprint: str, ids: Set[str], remaining: RemainingTime
    ) -> bool:
        """Try those of a job's renditions again; its other files stay as they are."""

        def want(drop: Drop, job: Job) -> tuple[Drop, Job]:
            now = self.clock()
            wanted = [
                rendition.want_again(is_collected=True)
                for rendition in drop.renditions_of(fingerprint)
                if rendition.id in ids
            ]
            return drop.with_renditions(wanted, now), job.take_drop(now, now + REVIEW)

        drop, job = amend_drop_and_job(self.ledger, drop_id, fingerprint, want)
        is_tried = True
        if job.state is not JobState.READY:
            self.follow.update_drop(drop_id, job)
        elif not job.can_be_created(self.clock()):
            is_tried = self._resubmit(drop)
        else:
            self.start(fingerprint, remaining, drop_id=drop_id)
        latest = self.ledger.drop(drop_id)
        if latest is not None:
            self.write_manifest(latest)
        return is_tried

    def _resubmit(self, drop: Drop) -> bool:
        version = self.bucket.head(drop.source.bucket, drop.source.key)
        if version is not None:
            self.queue.send(drop.source.bucket, drop.source.key)
        return version is not None
