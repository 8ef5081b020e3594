"""Fail: records why an execution ended without a result."""

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

_fail = compose_once(wiring.fail, StartSettings)


@log_and_meter
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Record the error that the state machine caught, or the vendor's verdict."""
    state = execution_state(event)
    drop = _fail()(state, remaining_time(context))
    logger.info("fail", state=drop.state, reason=drop.reason and drop.reason.message)
    return {"drop_id": drop.id, "state": drop.state}
