"""Many submits at once at the edge of the budget, on the embedded DynamoDB."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dropscale.aws.ledger import DynamoLedger
from dropscale.ledger.jobs import Job, Parameters
from dropscale.ledger.store import BudgetSpent, Limits, SaveJob, job_changes
from dropscale.upscaler import Mode
from dropscale_cli.stacks.account import stack_limit_warnings
from dropscale_cli.stacks.local_stack import target_of
from dropscale_embedded.cloud import EmbeddedCloud

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
NOW = datetime(2026, 11, 23, tzinfo=UTC)
PARAMETERS = Parameters(scale_factor=2, mode=Mode.BALANCED)
LIMITS = Limits(slots=1000, credits={"day#2026-11-23": 1000, "month#2026-11": None})


@pytest.fixture(scope="module")
def cloud() -> Iterator[EmbeddedCloud]:
    secrets = {"ApiKeySecret": "key"}
    with EmbeddedCloud(template=TEMPLATE, parameters={}, secrets=secrets) as running:
        yield running


def test_a_hundred_submits_at_once_never_overspend(cloud: EmbeddedCloud) -> None:
    ledger = DynamoLedger(cloud.client("dynamodb"), cloud.outputs["LedgerTableName"])

    def starts(number: int) -> bool:
        job = Job(fingerprint=f"job-{number}", parameters=PARAMETERS, label="cat", created_at=NOW)
        ledger.write(SaveJob(job))
        try:
            claimed = job.claim(str(number), NOW, LIMITS.credits)
            ledger.write(*job_changes(job, claimed, LIMITS))
        except BudgetSpent:
            return False
        return True

    with ThreadPoolExecutor(20) as callers:
        started = sum(callers.map(starts, range(100)))

    assert started == 20
    assert [ledger.credits_spent(window) for window in LIMITS.credits] == [1000, 1000]


def test_a_command_names_the_limit_that_a_stack_has_by_default(cloud: EmbeddedCloud) -> None:
    target = target_of(cloud)

    assert list(stack_limit_warnings(target, 5_000)) == []
    (warning,) = stack_limit_warnings(target, 5_001)
    assert "the stack may spend only 5,000 more today (DailyCreditLimit is 5,000)" in warning
