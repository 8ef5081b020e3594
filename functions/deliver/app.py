"""Deliver: publishes the result of a complete project."""

import os
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.utilities.typing import LambdaContext

from dropscale.aws import wiring
from dropscale.aws.settings import StartSettings
from dropscale.ledger.records import Drop
from dropscale.pipeline.deliver import Deliver
from dropscale.pipeline.parts.execution import ExecutionState, raise_reports
from dropscale.pipeline.parts.measurements import measurements_of

logger = Logger()
metrics = Metrics()


def _measure(drop: Drop) -> None:
    for name, unit, value in measurements_of(drop):
        metrics.add_metric(name=name, unit=unit, value=value)


@cache
def _deliver() -> Deliver:
    return wiring.deliver(StartSettings.from_environment(os.environ), _measure)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Publish the result; errors are the state machine's to retry and catch, by class name."""
    state = ExecutionState.model_validate(event)
    logger.set_correlation_id(state.drop_id)
    logger.append_keys(key=state.key, project_id=state.project_id)
    with raise_reports():
        drop = _deliver()(state, lambda: context.get_remaining_time_in_millis() / 1000)
    logger.info("deliver", state=drop.state, reason=drop.reason and drop.reason.message)
    return {"drop_id": drop.id, "state": drop.state}
