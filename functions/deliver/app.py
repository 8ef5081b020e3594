"""Deliver: publishes the result of a complete project."""

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

_deliver = composed(wiring.deliver, StartSettings)


@logged_and_metered
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Publish the result; errors are the state machine's to retry and catch, by class name."""
    state = execution_state(event)
    drop = _deliver()(state, remaining_time(context))
    logger.info("deliver", state=drop.state, reason=drop.reason and drop.reason.message)
    return {"drop_id": drop.id, "state": drop.state}
