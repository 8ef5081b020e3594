"""Rows and executions of an earlier version continue in this one.

The rows were made by version 0.1.0, before jobs recorded since when a project is missing.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from dropscale.ledger.drops import Drop
from dropscale.ledger.gate import Gate
from dropscale.ledger.jobs import Job
from dropscale.ledger.states import DropState, JobState
from dropscale.magichour.models import Project
from tests.fakes import png
from tests.world import World

ROWS = Path(__file__).with_name("rows_of_0_1_0.json")
SHADES = {
    name: shade
    for shade, name in enumerate(
        (
            "delivered",
            "rendering",
            "unknown",
            "failed",
            "timed out",
            "abandoned",
            "two",
            "nobody",
            "killed",
            "waiting",
        ),
        start=1,
    )
}


@pytest.fixture
def world() -> World:
    """The world in which the old version stopped; at the vendor all jobs have come out since."""
    left: dict[str, Any] = json.loads(ROWS.read_text())
    world = World(slots=20)
    for row in left["drops"]:
        drop = Drop.model_validate(row)
        world.ledger.drops[drop.id] = drop
    for row in left["jobs"]:
        job = Job.model_validate(row)
        world.ledger.jobs[job.fingerprint] = job
        if job.project_id:
            world.upscaler.projects[job.project_id] = Project(id=job.project_id, status="queued")
    world.ledger.gate_record = Gate.model_validate(left["gate"])
    world.ledger.attachments = left["attachments"]
    world.ledger.taken, world.ledger.credits = left["taken"], left["credits"]
    world.executions.started = left["executions"]
    world.executions.ended = set(left["ended"])
    for name, shade in SHADES.items():
        world.put(f"{name}.png", png(shade=shade))
    world.upscaler.creates = [("old", {}, "old")] * len(world.upscaler.projects)
    world.upscaler.finish()
    world.clock.now = max(drop.timeline[-1].at for drop in world.ledger.drops.values())
    return world


def test_what_an_earlier_version_left_comes_to_its_end(world: World) -> None:
    paid = len(world.upscaler.creates)
    world.clock.advance(minutes=20)
    world.run_executions()
    world.pass_hours(2)

    ends = {drop.source.key.partition(".")[0]: drop.state for drop in world.ledger.drops.values()}
    assert ends == {
        **dict.fromkeys(("delivered", "rendering", "timed out", "two"), DropState.DELIVERED),
        **dict.fromkeys(("unknown", "killed"), DropState.UNKNOWN),
        **dict.fromkeys(("failed", "abandoned"), DropState.FAILED),
        "nobody": DropState.SUBMITTED,
        "waiting": DropState.TIMED_OUT,  # paid now, and its project is never done
    }
    assert len(world.upscaler.creates) == paid + 1
    assert world.ledger.taken == 0


def test_a_project_that_an_earlier_version_gave_up_is_collected_free(world: World) -> None:
    paid = len(world.upscaler.creates)

    assert world.retry("abandoned.png")
    world.run_executions()

    assert world.row("abandoned.png").state is DropState.DELIVERED
    job = world.ledger.job(next(iter(world.row("abandoned.png").renditions)))
    assert job is not None
    assert job.state is JobState.COMPLETE
    assert len(world.upscaler.creates) == paid
