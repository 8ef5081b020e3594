"""The executions of the state machine, on Step Functions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dropscale.pipeline.parts.ports import ExecutionStatus

if TYPE_CHECKING:
    from types_boto3_stepfunctions import SFNClient


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
