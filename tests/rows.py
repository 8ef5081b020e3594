"""Rows of the ledger for tests."""

from datetime import UTC, datetime, timedelta
from typing import Any

from dropscale.ledger.drops import Drop, Rendition, Source
from dropscale.ledger.jobs import Job, Parameters, Upload
from dropscale.ledger.states import DropState, JobState
from dropscale.specs.effective import EffectiveSpec
from dropscale.upscaler import Mode

NOW = datetime(2026, 11, 23, tzinfo=UTC)
BALANCED = Parameters(scale_factor=2, mode=Mode.BALANCED)


def ready() -> Job:
    return Job(fingerprint="f", parameters=BALANCED, label="cat", created_at=NOW, due=NOW)


def spec(**fields: object) -> EffectiveSpec:
    return EffectiveSpec.model_validate({"scale_factor": 2, "mode": Mode.BALANCED, **fields})


DAY, DAYS = "day#2026-11-23", timedelta(days=3)
LATER = NOW + timedelta(hours=1)


def at(state: JobState, **facts: Any) -> Job:
    """Return a job with an earlier attempt and 404s behind it."""
    history = {
        "upload": Upload(path="u", at=NOW),
        "failed_uploads": 2,
        "cursor": "d",
        "attempt": 2,
        "attempt_id": "a",
        "project_id": "p",
        "credits_charged": 50,
        "submitted_at": NOW,
        "reserved": {DAY: 50},
        "orphans": ("o",),
        "watched_since": NOW,
        "missing_since": NOW,
        "missing_looks": 2,
        "abandoned_at": NOW,
    }
    return ready().model_copy(update={"state": state, **history, **facts})


def a_drop(*renditions: Rendition, **facts: Any) -> Drop:
    source = Source(bucket="in", key="a.png", etag="e")
    drop = Drop(id="d", source=source, **facts)
    return drop.evaluate({one.id: one for one in renditions}, NOW)


def rendition(name: str, state: DropState = DropState.SUBMITTED, **facts: Any) -> Rendition:
    return Rendition(id=name, fingerprint="f", parameters=BALANCED, state=state, **facts)
