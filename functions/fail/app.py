"""Fail: writes down why an execution brought no result."""

import os
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.utilities.typing import LambdaContext

from dropscale.aws import wiring
from dropscale.aws.settings import StartSettings
from dropscale.ledger.records import Drop
from dropscale.pipeline.fail import Fail
from dropscale.pipeline.parts.execution import ExecutionState
from dropscale.pipeline.parts.measurements import measurements_of

logger = Logger()
metrics = Metrics()


def _measure(drop: Drop) -> None:
    for name, unit, value in measurements_of(drop):
        metrics.add_metric(name=name, unit=unit, value=value)


@cache
def _fail() -> Fail:
    return wiring.fail(StartSettings.from_environment(os.environ), _measure)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Write down what the state machine caught, or what the vendor decided."""
    state = ExecutionState.model_validate(event)
    logger.set_correlation_id(state.drop_id)
    logger.append_keys(key=state.key, project_id=state.project_id)
    drop = _fail()(state, lambda: context.get_remaining_time_in_millis() / 1000)
    logger.info("fail", state=drop.state, reason=drop.reason and drop.reason.message)
    return {"drop_id": drop.id, "state": drop.state}
