"""Fail: writes down why an execution brought no result."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from dropscale.aws import wiring
from dropscale.aws.invocation import (
    composed,
    execution_state,
    logged_and_metered,
    logger,
    remaining_time,
)
from dropscale.aws.settings import StartSettings

_fail = composed(wiring.fail, StartSettings)


@logged_and_metered
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Write down what the state machine caught, or what the vendor decided."""
    state = execution_state(event)
    drop = _fail()(state, remaining_time(context))
    logger.info("fail", state=drop.state, reason=drop.reason and drop.reason.message)
    return {"drop_id": drop.id, "state": drop.state}
