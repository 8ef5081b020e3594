"""Check: one look at a project, between two waits of the state machine or as one begins."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from dropscale.aws import wiring
from dropscale.aws.invocation import compose_once, execution_state, log_and_meter, logger
from dropscale.aws.settings import CheckSettings
from dropscale.pipeline.parts.execution import CallbackInput, raise_reports

_check = compose_once(wiring.check, CheckSettings)


@log_and_meter
@raise_reports()
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Return the state machine's next state; it retries or catches errors by class name.

    With a task token, begin the wait that the token ends; the answer is empty.
    """
    if "task_token" in event:
        wait = CallbackInput.model_validate(event)
        _check().begin_wait(execution_state(event["state"]), wait.task_token, wait.entered)
        return {}
    state = execution_state(event)
    found = _check()(state)
    logger.info("check", status=found.status, wait_seconds=found.wait_seconds)
    return found.to_json()
