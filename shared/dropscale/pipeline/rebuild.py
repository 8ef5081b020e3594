"""Rebuild: restores a lost ledger from the results bucket.

Manifests name each paid project, and outputs the job that made them. So nothing is paid for again
whose result or project is recorded there. It is free, and changes nothing in the bucket.
"""

import io
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import ValidationError

from dropscale.coded_warning import WarningCode
from dropscale.ledger.budget import Budget
from dropscale.ledger.drops import Drop, NameClaim, Rendition
from dropscale.ledger.jobs import AttemptName, Job, Parameters
from dropscale.ledger.states import OPEN_STATES, DropState, JobState, WaitReason
from dropscale.ledger.store import (
    Attach,
    Change,
    ClaimName,
    Ledger,
    LedgerConflict,
    NameTaken,
    ProjectTaken,
    SaveDrop,
    job_changes,
)
from dropscale.pipeline.parts.claim_names import claims_of
from dropscale.pipeline.parts.ports import Clock, ResultsBucket
from dropscale.results.manifest import Manifest, ManifestJob
from dropscale.results.output_key import name_claimed_for, parameters_in
from dropscale.specs.effective import EffectiveRendition, OutputSettings
from dropscale.specs.keys import MANIFEST_SUFFIX

_ATTEMPTS = 5
_KNOWLEDGE = {
    JobState.READY: 0,
    JobState.ABANDONED: 1,
    JobState.UNKNOWN: 2,
    JobState.SUBMITTED: 3,
    JobState.ERROR: 3,
    JobState.CANCELED: 3,
    JobState.COMPLETE: 4,
    JobState.SUBMITTING: 5,  # an attempt is running
}
"""If two manifests describe one job, the one with the higher rank counts: it knows more."""


@dataclass
class Rebuilt:
    """The result of a rebuild; `unreadable` has the keys of manifests that cannot be read."""

    done: Counter[str] = field(default_factory=Counter)
    unreadable: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class RebuildLedger:
    """Reads all manifests, then all outputs. It may run repeatedly, and on a ledger in use."""

    ledger: Ledger
    results: ResultsBucket
    clock: Clock

    def __call__(self) -> Rebuilt:
        """Write what the bucket knows and the ledger does not; return how much that was.

        Raises:
            LedgerConflict: other processes change the same records; call again.
        """
        rebuilt = Rebuilt()
        for key in self.results.all_keys():
            if key.endswith(MANIFEST_SUFFIX):
                self._take_manifest(key, rebuilt)
        for key in self.results.all_keys():
            if not key.endswith(MANIFEST_SUFFIX):
                self._take_output(key, rebuilt)
        return rebuilt

    def _take_manifest(self, key: str, rebuilt: Rebuilt) -> None:
        body = io.BytesIO()
        self.results.read_output(key, body)
        try:
            manifest = Manifest.model_validate_json(body.getvalue())
        except ValidationError:
            rebuilt.unreadable.append(key)
            return
        rebuilt.done["manifests"] += 1
        now, drop_id = self.clock(), Drop.id_of(manifest.source.bucket, manifest.source.key)
        renditions = list(_renditions(manifest))
        for told, rendition in zip(manifest.jobs, renditions, strict=True):
            job = _job_of(manifest, told, rendition.parameters, now)
            if job is not None:
                rebuilt.done["jobs"] += self._keep_job(job, Attach(job.fingerprint, drop_id))
        rebuilt.done["drops"] += self._keep_drop(_drop_of(drop_id, manifest, renditions, now))

    def _take_output(self, key: str, rebuilt: Rebuilt) -> None:
        """Record the job of an output, even if no manifest names it any more."""
        found = self.results.describe_output(key)
        if found is None or found.labels.fingerprint is None:
            return
        if found.sha256 not in {None, found.labels.sha256}:
            return  # The bytes are not those that the labels describe.
        rebuilt.done["outputs"] += 1
        self._claim_name(key, self.ledger.drop(found.labels.drop_id or ""))
        now, fingerprint = self.clock(), found.labels.fingerprint
        # The vendor has no project of this made-up id; the result comes from the bucket.
        project_id = found.labels.project_id or f"kept-{fingerprint[:24]}"
        scale_factor, mode = parameters_in(found.labels.upscale or key)
        job = Job(
            fingerprint=fingerprint,
            state=JobState.COMPLETE,
            parameters=Parameters(scale_factor=scale_factor, mode=mode),
            label=key,
            attempt=1,
            project_id=project_id,
            trusted_project=project_id,
            kept_output=key,
            created_at=now,
            due=now,
        )
        rebuilt.done["jobs"] += self._keep_job(job)

    def _keep_job(self, told: Job, *others: Change) -> bool:
        """Write a job as the bucket has it, if the ledger knows less; return whether it did."""
        for _ in range(_ATTEMPTS):
            known = self.ledger.job(told.fingerprint)
            blank = told.model_copy(
                update={"state": JobState.READY, "project_id": None, "reserved": {}, "seq": 0}
            )
            after = _merged(known, told)
            changes = job_changes(known or blank, after) if after is not known else []
            if not changes and not others:
                return False
            try:
                self.ledger.write(*changes, *others)
            except ProjectTaken:
                told = told.model_copy(update={"project_id": None, "state": JobState.UNKNOWN})
            except LedgerConflict:
                continue
            else:
                return bool(changes)
        raise LedgerConflict(f"job {told.fingerprint} is being changed by others at the same time")

    def _keep_drop(self, told: Drop) -> bool:
        """Write a drop as its manifest has it, if the ledger knows less; return whether it did."""
        if self.ledger.drop(told.id) is not None:
            return False  # Dropped again meanwhile: submit evaluates it and finds its jobs.
        claims = claims_of(told, told.renditions.values())
        for _ in range(len(claims) + 1):
            try:
                self.ledger.write(SaveDrop(told), *claims)
                break
            except NameTaken as taken:  # by a drop that was accepted before names were claimed
                claims = [one for one in claims if one.claim.name != taken.name]
        return True

    def _claim_name(self, key: str, drop: Drop | None) -> None:
        """Let the name of an output belong to its drop, also if no manifest names it any more."""
        name = name_claimed_for(key)
        if drop is None or self.ledger.name_claim(name) is not None:
            return
        with suppress(NameTaken):
            self.ledger.write(ClaimName(NameClaim(name=name, drop_id=drop.id, key=drop.source.key)))


def _merged(known: Job | None, told: Job) -> Job:
    """Return the row to write for a job that the bucket describes."""
    if known is None:
        return told
    if _KNOWLEDGE[told.state] > _KNOWLEDGE[known.state]:
        left = {known.project_id, *known.orphans} - {None, told.project_id}
        spent = dict(known.spent)
        return told.model_copy(
            update={
                "seq": known.seq + 1,
                "upload": known.upload,
                "orphans": tuple(sorted(filter(None, left))),
                "written_off": spent,
                "reserved": {} if spent else told.reserved,
            }
        )
    is_new = told.project_id not in {None, known.project_id, *known.orphans}
    if is_new and told.kept_output is None and known.state is not JobState.SUBMITTING:
        return known.with_orphan(str(told.project_id))
    return known


def _renditions(manifest: Manifest) -> Iterable[Rendition]:
    """Yield the renditions in a manifest, as the spec there requests them."""
    presets = manifest.spec.preset if manifest.spec else ()
    for told in manifest.jobs:
        spec = manifest.wanted_of(told)
        if spec is None:  # of an earlier spec, which the manifest does not have
            spec = EffectiveRendition(scale_factor=told.scale_factor, mode=told.mode)
            written = told.written or OutputSettings()
            planned = Rendition.planned(told.fingerprint, Parameters.of(spec), None, written)
        else:
            planned = Rendition.requested(manifest.source.key, told.fingerprint, spec, presets)
        yield planned.model_copy(
            update={
                "state": told.state,
                "wait": manifest.waiting_for if told.state is DropState.WAITING else None,
                "reason": manifest.reason if told.state is manifest.state else None,
                "attempt": told.attempt,
                "project_id": told.project_id,
                "credits_charged": told.credits_charged,
                "output": told.output,
                "downloads": told.downloads,
                "forgotten_at": told.forgotten_at,
            }
        )


def _drop_of(
    drop_id: str, manifest: Manifest, renditions: Iterable[Rendition], now: datetime
) -> Drop:
    """Return the row that a manifest was made from; a waiting drop will be evaluated again."""
    is_waiting = manifest.state is DropState.WAITING
    return Drop(
        id=drop_id,
        seq=1,
        since=now,
        source=manifest.source,
        spec=None if is_waiting else manifest.spec,
        renditions={} if is_waiting else {one.id: one for one in renditions},
        state=manifest.state,
        wait=WaitReason.LEDGER if is_waiting else None,
        wait_until=now if is_waiting else None,
        reason=manifest.reason,
        warnings=tuple(one for one in manifest.warnings if one.code is not WarningCode.FORGOTTEN),
        batch=manifest.spec.batch if manifest.spec else None,
        timeline=manifest.timeline,
        due=now if manifest.state in OPEN_STATES else None,
    )


def _job_of(
    manifest: Manifest, told: ManifestJob, parameters: Parameters, now: datetime
) -> Job | None:
    """Return the job of a rendition as its manifest describes it; None: nothing was sent for it.

    A job with a project is looked at again: the vendor knows more than the manifest.
    """
    begun = next((e.at for e in manifest.timeline if e.state is DropState.SUBMITTED), now)
    state = _job_state(told)
    if state is None:
        return None
    name = _name_at_vendor(manifest)
    attempt = AttemptName.found_in(name) if state is JobState.UNKNOWN else None
    cost = parameters.credits if told.credits_charged is None else told.credits_charged
    return Job(
        fingerprint=told.fingerprint,
        state=state,
        parameters=parameters,
        label=manifest.source.key,
        attempt=max(told.attempt, 1),
        attempt_id=attempt.token if attempt else None,
        name_at_vendor=name if attempt else None,
        project_id=told.project_id,
        trusted_project=told.project_id,  # The row of its name's token is gone.
        credits_charged=told.credits_charged,
        created_at=begun,
        submitted_at=begun,
        watched_since=now,
        is_overdue=state is JobState.SUBMITTED,
        reserved=dict.fromkeys(Budget().windows(begun), cost),
        forgetting_since=told.forgotten_at,
        forgotten_at=told.forgotten_at,
        due=now,
    )


def _job_state(told: ManifestJob) -> JobState | None:
    if told.project_id is not None:
        is_there = told.output is not None or told.state in {
            DropState.DELIVERED,
            DropState.COMPLETE,
        }
        return JobState.COMPLETE if is_there else JobState.SUBMITTED
    if not told.attempt or told.state is DropState.WAITING:
        return None
    return JobState.ABANDONED if told.state is DropState.FAILED else JobState.UNKNOWN


def _name_at_vendor(manifest: Manifest) -> str | None:
    """Return the project's name that the manifest asks a person to look for."""
    fix = manifest.reason.fix if manifest.reason else ""
    _, is_told, rest = fix.partition('Look for "')
    return rest.partition('" in your Magic Hour library')[0] if is_told else None
