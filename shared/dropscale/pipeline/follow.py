"""Lets the drops that share a job follow it: their rows, their manifests, their executions."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dropscale.ledger.records import Drop, Job, Reason, Rendition
from dropscale.ledger.states import VERDICTS, DropState, JobState, WaitReason
from dropscale.ledger.store import Ledger, amend_drop
from dropscale.pipeline.ports import Clock, Executions
from dropscale.pipeline.projection import ProjectManifest

_AT_VENDOR = VERDICTS | {JobState.SUBMITTED}
"""States with a project to look at; an execution tells the drop how it ended."""


@dataclass(frozen=True)
class Timing:
    """When a job is first looked at, and when its drops stop waiting for it. In seconds."""

    first_check: int
    deadline: int


@dataclass(frozen=True)
class Verdict:
    """What the job's state alone does not tell: why drops wait, or why they are refused."""

    wait: WaitReason | None = None
    wait_until: datetime | None = None
    refusal: Reason | None = None


@dataclass(frozen=True)
class FollowJob:
    """Brings drops up to date with a job they share, and has it watched for them."""

    ledger: Ledger
    project: ProjectManifest
    executions: Executions
    clock: Clock
    timing: Timing

    def all(self, job: Job, verdict: Verdict = Verdict()) -> None:
        """Bring every drop of the job up to date."""
        for drop_id in self.ledger.attached(job.fingerprint):
            self.one(drop_id, job, verdict)

    def one(self, drop_id: str, job: Job, verdict: Verdict = Verdict()) -> Drop:
        """Bring one drop of the job up to date."""
        return self._brought(drop_id, job, verdict, renew=False)

    def renew(self, drop_id: str, job: Job) -> Drop:
        """Watch the job again for a drop whose last execution ended without a verdict."""
        return self._brought(drop_id, job, Verdict(), renew=True)

    def execution_name(self, drop_id: str, rendition: Rendition) -> str:
        """Return the name that only this rendition's current generation bears."""
        parts = f"{drop_id}/{rendition.fingerprint}/{rendition.generation}"
        return hashlib.sha256(parts.encode()).hexdigest()[:40]

    def _brought(self, drop_id: str, job: Job, verdict: Verdict, *, renew: bool) -> Drop:
        def change(drop: Drop) -> Drop:
            rendition = drop.renditions.get(job.fingerprint)
            if rendition is None:
                return drop
            after = rendition_after(rendition, job, verdict)
            if renew and after.wants_result:
                generation = after.generation + 1
                after = after.moved(DropState.SUBMITTED, generation=generation)
            return drop if after == rendition else drop.with_rendition(after, self.clock())

        drop = amend_drop(self.ledger, drop_id, change)
        self._watch(drop, job)
        if drop.due:
            self.project(drop)
        return drop

    def _watch(self, drop: Drop, job: Job) -> None:
        if drop.watches(job.fingerprint) and job.state in _AT_VENDOR:
            rendition = drop.renditions[job.fingerprint]
            name = self.execution_name(drop.id, rendition)
            self.executions.start(name, self._input(drop, rendition, job))

    def _input(self, drop: Drop, rendition: Rendition, job: Job) -> dict[str, Any]:
        now, deadline = self.clock(), self.timing.deadline
        since = job.submitted_at or now
        first_look = since + timedelta(seconds=self.timing.first_check)
        done = job.state in VERDICTS
        return {
            "drop_id": drop.id,
            "fingerprint": rendition.fingerprint,
            "generation": rendition.generation,
            "key": drop.source.key,
            "project_id": job.project_id,
            "status": "queued",
            "started_at": int(since.timestamp()),
            "wait_seconds": 1 if done else min(max(1, _seconds(first_look, now)), deadline),
            "deadline": int(now.timestamp()) + deadline,
        }


def rendition_after(rendition: Rendition, job: Job, verdict: Verdict) -> Rendition:
    """Return a rendition as the state of its job makes it."""
    if not rendition.wants_result:
        return rendition
    fresh = rendition.state in {DropState.WAITING, DropState.UNKNOWN}
    facts = {
        "attempt": job.attempt,
        "project_id": job.project_id,
        "credits_charged": job.credits_charged,
    }
    if job.state is JobState.UNKNOWN and fresh:
        return rendition.moved(DropState.UNKNOWN, attempt=job.attempt, reason=_unknown(job))
    if job.state is JobState.ABANDONED:
        return rendition.moved(DropState.FAILED, **facts, reason=_abandoned(job))
    if job.state in _AT_VENDOR:
        return rendition.moved(DropState.SUBMITTED, **facts) if fresh else rendition
    if verdict.refusal is not None and fresh:
        return rendition.moved(DropState.REJECTED, reason=verdict.refusal)
    if verdict.wait is not None and fresh:
        waits = {"wait": verdict.wait, "wait_until": verdict.wait_until}
        return rendition.moved(DropState.WAITING, **waits)
    return rendition


def _unknown(job: Job) -> Reason:
    return Reason(
        code="CreateOutcomeUnknown",
        message=(
            "The vendor's answer to the paid create never came, so the job may be charged. "
            "It is never repeated by itself"
        ),
        fix=(
            f'Look for "{job.project_name}" in your Magic Hour library. If it is there, take it, '
            "or `dropscale resolve KEY --adopt ID`. If not, nothing was charged: set another "
            "`revision` in the spec, or `dropscale resolve KEY --pay-again`."
        ),
    )


def _abandoned(job: Job) -> Reason:
    if job.project_id is None:
        return Reason(
            code="JobAbandoned",
            message="The attempt whose answer never came was given up",
            fix="Set another `revision` in the spec to pay for a fresh try.",
        )
    return Reason(
        code="JobAbandoned",
        message=f"The vendor has no project {job.project_id}, or no verdict on it in seven days",
        fix="Ask the vendor about that project; another `revision` in the spec starts a new job.",
    )


def _seconds(until: datetime, now: datetime) -> int:
    return int((until - now).total_seconds())
