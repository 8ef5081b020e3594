"""Check: one look at a project, between two waits of the state machine."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from dropscale.aws import wiring
from dropscale.aws.invocation import composed, execution_state, logged_and_metered, logger
from dropscale.aws.settings import CheckSettings

_check = composed(wiring.check, CheckSettings)


@logged_and_metered
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Return the state machine's next state; errors are its to retry and catch, by class name."""
    state = execution_state(event)
    found = _check()(state)
    logger.info("check", status=found.status, wait_seconds=found.wait_seconds)
    return found.to_json()
