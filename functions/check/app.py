"""Check: one look at a project, between two waits of the state machine."""

import os
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.utilities.typing import LambdaContext

from dropscale.aws import wiring
from dropscale.aws.settings import CheckSettings
from dropscale.ledger.records import Drop
from dropscale.pipeline.check import Check
from dropscale.pipeline.parts.execution import ExecutionState, raise_reports
from dropscale.pipeline.parts.measurements import measurements_of

logger = Logger()
metrics = Metrics()


def _measure(drop: Drop) -> None:
    for name, unit, value in measurements_of(drop):
        metrics.add_metric(name=name, unit=unit, value=value)


@cache
def _check() -> Check:
    return wiring.check(CheckSettings.from_environment(os.environ), _measure)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Return the state machine's next state; errors are its to retry and catch, by class name."""
    state = ExecutionState.model_validate(event)
    logger.set_correlation_id(state.drop_id)
    logger.append_keys(key=state.key, project_id=state.project_id)
    with raise_reports():
        found = _check()(state)
    logger.info("check", status=found.status, wait_seconds=found.wait_seconds)
    return found.to_json()
