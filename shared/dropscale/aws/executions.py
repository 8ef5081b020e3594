"""The executions of the state machine, and the tokens that end their waits, on Step Functions."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dropscale.pipeline.parts.ports import ExecutionStatus

if TYPE_CHECKING:
    from types_boto3_stepfunctions import SFNClient


_LOOK = "LookAgain"
"""The error that the state machine catches by a look."""


class StepFunctionsExecutions:
    """A `dropscale.pipeline.parts.ports.Executions`."""

    def __init__(self, client: SFNClient, state_machine_arn: str) -> None:
        self._client = client
        self._arn = state_machine_arn

    def start(self, name: str, state: dict[str, Any]) -> None:
        """See `Executions.start`."""
        try:
            self._client.start_execution(
                stateMachineArn=self._arn, name=name, input=json.dumps(state)
            )
        except self._client.exceptions.ExecutionAlreadyExists:
            return

    def status(self, name: str) -> ExecutionStatus:
        """See `Executions.status`."""
        arn = f"{self._arn.replace(':stateMachine:', ':execution:')}:{name}"
        try:
            found = self._client.describe_execution(executionArn=arn)
        except self._client.exceptions.ExecutionDoesNotExist:
            return ExecutionStatus.NONE
        running = found["status"] == "RUNNING"
        return ExecutionStatus.RUNNING if running else ExecutionStatus.ENDED


class StepFunctionsCallbacks:
    """A `dropscale.pipeline.parts.ports.TaskCallbacks`; its client is made when it is needed."""

    def __init__(self, client: Callable[[], SFNClient]) -> None:
        self._make_client = client

    @cached_property
    def _client(self) -> SFNClient:
        return self._make_client()

    def deliver(self, token: str) -> bool:
        """See `TaskCallbacks.deliver`."""
        return self._ends(lambda: self._client.send_task_success(taskToken=token, output="{}"))

    def look(self, token: str) -> bool:
        """See `TaskCallbacks.look`."""
        return self._ends(lambda: self._client.send_task_failure(taskToken=token, error=_LOOK))

    def _ends(self, send: Callable[[], object]) -> bool:
        """Send for a token; return False if it is dead.

        https://docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskSuccess.html
        """
        known = self._client.exceptions
        try:
            send()
        except (known.TaskTimedOut, known.TaskDoesNotExist, known.InvalidToken):
            return False
        return True
