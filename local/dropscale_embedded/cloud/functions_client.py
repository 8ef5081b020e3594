"""The Lambda client of the state machine interpreter; it calls the functions' workers directly."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dropscale_embedded.cloud.lambda_workers import Invocation

Invoke = Callable[[str, Any], Invocation]
"""Runs a function, by its name, on an event."""


@dataclass(frozen=True)
class FunctionsClient:
    """The one operation that tasks of a state machine need."""

    run: Invoke

    def invoke(self, *, FunctionName: str, Payload: bytes = b"{}") -> dict[str, Any]:  # noqa: N803
        """Run a function by its ARN, and answer like boto3.

        https://docs.aws.amazon.com/boto3/latest/reference/services/lambda/client/invoke.html
        """
        invocation = self.run(FunctionName.rpartition(":")[2], json.loads(Payload))
        answer = {
            "StatusCode": 200,
            "ExecutedVersion": "$LATEST",
            "Payload": io.BytesIO(invocation.payload.encode()),
        }
        return answer | ({"FunctionError": "Unhandled"} if invocation.failed else {})
