"""Check: one look at a project, between two waits of the state machine."""

import os
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from dropscale.aws import wiring
from dropscale.aws.settings import CheckSettings
from dropscale.ledger.records import Drop
from dropscale.pipeline.check import Check
from dropscale.pipeline.execution import ExecutionState

logger = Logger()
metrics = Metrics()


def _count(drop: Drop) -> None:
    metrics.add_metric(name=f"drops_{drop.state}", unit=MetricUnit.Count, value=1)


@cache
def _check() -> Check:
    return wiring.check(CheckSettings.from_environment(os.environ), _count)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Return the state machine's next state; errors are its to retry and catch, by class name."""
    state = ExecutionState.model_validate(event)
    logger.append_keys(key=state.key, drop_id=state.drop_id, project_id=state.project_id)
    found = _check()(state)
    logger.info("check", status=found.status, wait_seconds=found.wait_seconds)
    return found.to_json()
