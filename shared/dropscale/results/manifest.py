"""The manifest: a drop's row of the ledger, for people and programs."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict

from dropscale.coded_warning import CodedWarning, WarningCode, read_warning
from dropscale.ledger.drops import (
    Download,
    Drop,
    Output,
    Reason,
    Rendition,
    Source,
    TimelineEntry,
)
from dropscale.ledger.jobs import Parameters
from dropscale.ledger.rows import Instant
from dropscale.ledger.states import OPEN_STATES, DropState, WaitReason
from dropscale.results.output_key import fitting_key
from dropscale.specs.effective import EffectiveRendition, EffectiveSpec, OutputSettings
from dropscale.specs.keys import MANIFEST_SUFFIX
from dropscale.upscaler import Mode


class ManifestJob(BaseModel):
    """One rendition of the drop, with the cost and the result of its job."""

    fingerprint: str
    attempt: int
    project_id: str | None
    scale_factor: int
    mode: Mode
    state: DropState
    credits_charged: int | None
    written: OutputSettings | None = None
    """How its output is to be written; None: an earlier version did not say."""
    output: Output | None
    downloads: tuple[Download, ...]
    forgotten_at: Instant | None = None
    """When `dropscale forget` deleted the project, and so the result, at the vendor."""


class Manifest(BaseModel):
    """The file `<input key>.dropscale.json` in the results bucket."""

    model_config = ConfigDict(title="dropscale manifest")

    version: Literal[1] = 1
    seq: int
    state: DropState
    waiting_for: WaitReason | None
    waiting_until: Instant | None
    source: Source
    spec: EffectiveSpec | None
    jobs: tuple[ManifestJob, ...]
    warnings: tuple[Annotated[CodedWarning, BeforeValidator(read_warning)], ...]
    reason: Reason | None
    timeline: tuple[TimelineEntry, ...]

    @property
    def is_settled(self) -> bool:
        """Whether the pipeline has finished with the drop, successfully or not."""
        if self.state is DropState.SUBMITTED and self.spec is not None:
            return not self.spec.wait_for_completion
        return self.state not in OPEN_STATES

    def wanted_of(self, job: ManifestJob) -> EffectiveRendition | None:
        """Return what the spec wants by a job; None: the spec does not want it, or no longer."""
        identity = self.source.identity
        for wanted in self.spec.wanted_renditions if self.spec and identity else ():
            fingerprint = Parameters.of(wanted).fingerprint(str(identity))
            if fingerprint == job.fingerprint:
                presets = self.spec.preset if self.spec else ()
                planned = Rendition.requested(self.source.key, fingerprint, wanted, presets)
                if job.written in {None, planned.output_settings}:
                    return wanted
        return None


def schema_text(model: type[BaseModel]) -> str:
    """Return the JSON Schema (2020-12) of what is written of a model, as text."""
    schema = model.model_json_schema(mode="serialization")
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(dialect | schema, indent=2)


def manifest_key(input_key: str) -> str:
    """Return the key of the manifest of the drop at an input key."""
    return fitting_key(input_key, MANIFEST_SUFFIX)


def manifest_of(drop: Drop, *more: CodedWarning) -> Manifest:
    """Return the manifest of a drop, with `more` warnings than its row has."""
    return Manifest(
        seq=drop.seq,
        state=drop.state,
        waiting_for=drop.wait,
        waiting_until=drop.wait_until,
        source=drop.source,
        spec=drop.spec,
        jobs=tuple(_jobs(drop)),
        warnings=(
            *drop.warnings,
            *_warnings_of_renditions(drop),
            *_unknown_charges(drop),
            *_forgotten(drop),
            *more,
        ),
        reason=drop.reason,
        timeline=drop.timeline,
    )


def _warnings_of_renditions(drop: Drop) -> Iterator[CodedWarning]:
    for rendition in drop.renditions.values():
        if not _is_superseded(rendition):
            yield from rendition.warnings


def _unknown_charges(drop: Drop) -> Iterator[CodedWarning]:
    """Yield warnings about charges that are unknown, and no longer wanted."""
    for rendition in drop.renditions.values():
        if _is_superseded(rendition) and rendition.reason is not None:
            told = f"of an earlier spec: {rendition.reason.message}. {rendition.reason.fix}"
            yield CodedWarning(WarningCode.EARLIER_CHARGE, told)


def _forgotten(drop: Drop) -> Iterator[CodedWarning]:
    """Yield what is deleted at the vendor and what is not, once for each time."""
    projects: dict[datetime, dict[str, None]] = {}
    for rendition in drop.renditions.values():
        if rendition.forgotten_at is not None:
            found = projects.setdefault(rendition.forgotten_at, {})
            found[str(rendition.project_id)] = None
    for at, names in projects.items():
        yield CodedWarning(
            WarningCode.FORGOTTEN,
            f"{', '.join(names)} was deleted at Magic Hour at {at:%Y-%m-%d %H:%M} UTC, so the "
            "result is only where it was delivered. No call deletes an upload: Magic Hour keeps "
            "the image that was sent for up to seven days",
        )


def _is_superseded(rendition: Rendition) -> bool:
    return rendition.state is DropState.SUPERSEDED


def _jobs(drop: Drop) -> Iterator[ManifestJob]:
    """Yield the renditions, superseded ones last; of those that share a job one has its credits."""
    told: set[str] = set()
    for rendition in sorted(drop.renditions.values(), key=_is_superseded):
        is_first = rendition.fingerprint not in told
        charged = drop.credits_of(rendition.fingerprint) if is_first else None
        told.add(rendition.fingerprint)
        yield ManifestJob(
            fingerprint=rendition.fingerprint,
            attempt=rendition.attempt,
            project_id=rendition.project_id,
            scale_factor=rendition.parameters.scale_factor,
            mode=rendition.parameters.mode,
            state=rendition.state,
            credits_charged=charged,
            written=rendition.output_settings,
            output=rendition.output,
            downloads=rendition.downloads,
            forgotten_at=rendition.forgotten_at,
        )
