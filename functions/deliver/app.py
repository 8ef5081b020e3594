"""Deliver: publishes the result of a complete project."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from dropscale.aws import wiring
from dropscale.aws.invocation import (
    compose_once,
    execution_state,
    log_and_meter,
    logger,
    remaining_time,
)
from dropscale.aws.settings import StartSettings
from dropscale.pipeline.parts.execution import raise_reports

_deliver = compose_once(wiring.deliver, StartSettings)


@log_and_meter
@raise_reports()
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Publish the result; the state machine retries or catches errors by class name."""
    state = execution_state(event)
    drop = _deliver()(state, remaining_time(context))
    logger.info("deliver", state=drop.state, reason=drop.reason and drop.reason.message)
    return {"drop_id": drop.id, "state": drop.state}
