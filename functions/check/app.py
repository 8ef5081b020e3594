"""Check: one look at a project, between two waits of the state machine."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from dropscale.aws import wiring
from dropscale.aws.invocation import compose_once, execution_state, log_and_meter, logger
from dropscale.aws.settings import CheckSettings
from dropscale.pipeline.parts.execution import raise_reports

_check = compose_once(wiring.check, CheckSettings)


@log_and_meter
@raise_reports()
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Return the state machine's next state; it retries or catches errors by class name."""
    state = execution_state(event)
    found = _check()(state)
    logger.info("check", status=found.status, wait_seconds=found.wait_seconds)
    return found.to_json()
