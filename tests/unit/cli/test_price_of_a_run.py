"""The price that a run names before it asks."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dropscale.ledger.jobs import Job, Parameters
from dropscale.ledger.states import JobState
from dropscale.upscaler import Mode
from dropscale_cli.drops import find_drops
from dropscale_cli.kept_ledger import KeptLedger
from dropscale_cli.plan import plan_of
from tests.fakes import png

Write = Callable[..., Path]
NOW = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    ("spec", "price"),
    [
        (None, 50),
        ("style: {mode: preserve}", 25),
        ("scale_factor: 4", 200),
        ("{scale_factor: 4, style: {mode: creative, prompt: fur}}", 200),
        ("scale_factor: 3", 0),
        ("scale_factr: 4", 0),
        ("assets: {image_file_path: other.png}", 0),
        ("{scale_factor: 4, max_credits: 199}", 0),
        ("{scale_factor: 4, max_credits: 200}", 200),
    ],
)
def test_an_image_costs_what_its_sidecar_makes_it(
    spec: str | None, price: int, write: Write, tmp_path: Path
) -> None:
    write("cat.png", png())
    if spec:
        write("cat.png.yaml", spec)
    assert plan_of(find_drops(tmp_path, tmp_path / "out"), KeptLedger()).credits == price


def test_the_price_is_that_of_all_images(write: Write, tmp_path: Path) -> None:
    write("a.png", png(shade=1))
    write("b/a.png", png(shade=2))
    write("b/a.png.json", '{"scale_factor": 4}')
    assert plan_of(find_drops(tmp_path, tmp_path / "out"), KeptLedger()).credits == 250


def test_images_that_share_a_job_pay_once(write: Write, tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        write(name, png())
    write("c.png.yaml", "revision: 2")
    assert plan_of(find_drops(tmp_path, tmp_path / "out"), KeptLedger()).credits == 100


@pytest.mark.parametrize("content", [b"", b"no image", png()[:20], png(4097, 1)])
def test_an_image_that_is_refused_costs_nothing(
    content: bytes, write: Write, tmp_path: Path
) -> None:
    write("cat.png", content)
    assert plan_of(find_drops(tmp_path, tmp_path / "out"), KeptLedger()).credits == 0


def test_two_sidecars_cost_nothing(write: Write, tmp_path: Path) -> None:
    write("cat.png", png())
    write("cat.png.yaml", "scale_factor: 2")
    write("cat.png.json", "{}")
    assert plan_of(find_drops(tmp_path, tmp_path / "out"), KeptLedger()).credits == 0


def known(state: JobState, job_of: Path, **facts: Any) -> Job:
    """The 2x balanced job of an image, in a state."""
    sha256 = hashlib.sha256(job_of.read_bytes()).hexdigest()
    parameters = Parameters(scale_factor=2, mode=Mode.BALANCED)
    return Job(
        fingerprint=parameters.fingerprint(sha256),
        state=state,
        parameters=parameters,
        label="",
        created_at=NOW,
        **facts,
    )


@pytest.mark.parametrize(
    ("state", "price"),
    [(state, 50 if state in {JobState.READY, JobState.ERROR} else 0) for state in JobState],
)
def test_what_an_earlier_run_has_paid_is_not_paid_again(
    state: JobState, price: int, write: Write, tmp_path: Path
) -> None:
    job = known(state, write("cat.png", png()))
    ledger = KeptLedger(jobs={job.fingerprint: job})
    assert plan_of(find_drops(tmp_path, tmp_path / "out"), ledger).credits == price


@pytest.mark.parametrize(("due", "price"), [(NOW, 100), (None, 50)])
def test_what_earlier_runs_left_unpaid_is_part_of_the_price(
    due: datetime | None, price: int, write: Write, tmp_path: Path
) -> None:
    job = known(JobState.READY, write("other/dog.png", png(shade=7)), due=due)
    cat = write("cat.png", png())
    ledger = KeptLedger(jobs={job.fingerprint: job})
    assert plan_of(find_drops(cat, tmp_path / "out"), ledger).credits == price
