"""Fail: writes down why an execution brought no result."""

import os
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from dropscale.aws import wiring
from dropscale.aws.settings import StartSettings
from dropscale.ledger.records import Drop
from dropscale.pipeline.execution import ExecutionState
from dropscale.pipeline.fail import Fail

logger = Logger()
metrics = Metrics()


def _count(drop: Drop) -> None:
    metrics.add_metric(name=f"drops_{drop.state}", unit=MetricUnit.Count, value=1)


@cache
def _fail() -> Fail:
    return wiring.fail(StartSettings.from_environment(os.environ), _count)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Write down what the state machine caught, or what the vendor decided."""
    state = ExecutionState.model_validate(event)
    logger.append_keys(key=state.key, drop_id=state.drop_id, project_id=state.project_id)
    drop = _fail()(state, lambda: context.get_remaining_time_in_millis() / 1000)
    logger.info("fail", state=drop.state, reason=drop.reason and drop.reason.message)
    return {"drop_id": drop.id, "state": drop.state}
