"""The upscale state machine in moto's interpreter, with the real handlers behind it.

Real: the definition as it ships, the resources and settings of template.yaml, the handlers, their
use cases as `wiring` composes them, and the AWS adapters (S3, DynamoDB, Step Functions on moto).

Stand-ins: the vendor follows a script, a function may be made to fail, and time is virtual. Waits
and retries of the interpreter move the use cases' clock forward and return at once, through two
hooks on private names of moto 5.2.5:

- `WaitFunction._wait_interval(self, env, wait_seconds)`, which would wait for real;
- `time` of `retrier_decl`, whose `sleep` it calls before each retry.

A time-out of a task cannot be made virtual; `Scenario.task_seconds` shortens it in the definition.
"""

import json
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import boto3
import pytest
import yaml
from moto.awslambda.models import LambdaFunction
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import (
    WaitFunction,
)

from dropscale.aws import wiring
from dropscale.aws.settings import CheckSettings, StartSettings, SubmitSettings, SweepSettings
from dropscale.magichour.errors import MagicHourError
from dropscale.magichour.models import Project
from dropscale.upscaler import ProjectStatus
from dropscale_embedded.cloud.template import Stack
from functions.check import app as check
from functions.deliver import app as deliver
from functions.fail import app as fail
from functions.sweep import app as sweep
from tests.fakes import Clock, FakeUpscaler, png
from tests.lambda_context import FakeLambdaContext

ROOT = Path(__file__).parents[2]
DEFINITION: dict[str, Any] = yaml.safe_load((ROOT / "functions/upscale.asl.yaml").read_text())

VENDOR_ERROR = {"code": "content_policy_violation", "message": "not this one"}

_REGION = "us-east-1"
_SECONDS_TO_END = 30.0
_FACTS: Mapping[ProjectStatus, dict[str, Any]] = {
    ProjectStatus.COMPLETE: {"downloads": [{"url": "https://vendor.example/output.png"}]},
    # The vendor gives the credits back.
    ProjectStatus.ERROR: {"credits_charged": 0, "error": VENDOR_ERROR},
}

Handler = Callable[[Any], Any]
_Part = TypeVar("_Part")


@dataclass(frozen=True, eq=False)
class Scenario:
    """What an execution meets.

    Attributes:
        vendor: What each look at the project brings; the last is repeated for ever.
        instead: By the name of a Task state, what its function does in its first invocations
            instead of its work.
        task_seconds: TimeoutSeconds of the states in `instead`, if not the definition's own.
    """

    vendor: Sequence[ProjectStatus | MagicHourError]
    instead: Mapping[str, Sequence[Handler]] = field(default_factory=dict)
    task_seconds: int | None = None


@dataclass(frozen=True)
class Ended:
    """An execution that has ended.

    Attributes:
        status: As Step Functions tells it, e.g. "SUCCEEDED".
        error: The error's name, if it failed.
        entered: The states, in the order in which they were entered.
        invocations: How often the function of each Task state was invoked.
        seconds: How long it took, in virtual time.
        manifest: What the drop's manifest says then.
    """

    status: str
    error: str | None
    entered: tuple[str, ...]
    invocations: Mapping[str, int]
    seconds: float
    manifest: Mapping[str, Any]


def failing(error: str) -> Handler:
    """Return a handler that fails, for Lambda, with an error of this name."""

    def handler(_: Any) -> Any:
        raise type(error, (Exception,), {})(f"{error} was injected")

    return handler


class ScriptedVendor(FakeUpscaler):
    """A vendor that has its projects follow a script."""

    def __init__(self) -> None:
        super().__init__()
        self.script: deque[ProjectStatus | MagicHourError] = deque()

    def project(self, project_id: str) -> Project:
        answer = self.script.popleft() if len(self.script) > 1 else self.script[0]
        if isinstance(answer, MagicHourError):
            raise answer
        facts = _FACTS.get(answer, {})
        return Project.model_validate({"id": project_id, "status": answer, **facts})


class UpscaleMachine:
    """The deployed stack, as far as the state machine goes. Runs one drop at a time."""

    def __init__(self, stack: Stack) -> None:
        self.clock, self.vendor = Clock(), ScriptedVendor()
        self.released = threading.Event()
        """Set when the test is over, for handlers that hang."""
        self._stack = stack
        self._numbers = count(1)
        self._invocations: Counter[str] = Counter()
        self._instead: dict[str, deque[Handler]] = {}
        self._states = boto3.client("stepfunctions")
        self._s3 = boto3.client("s3")
        self._table = boto3.resource("dynamodb").Table(self._name("Ledger"))
        self._key = ""
        submit = SubmitSettings.from_environment(self._environment("SubmitFunction"))
        self._submit = self._on_stand_ins(wiring.submit(submit))
        self._machine = stack.resources["UpscaleStateMachine"].identity.ref
        self._definition = json.loads(
            self._states.describe_state_machine(stateMachineArn=self._machine)["definition"]
        )

    def connect(self, patch: pytest.MonkeyPatch) -> None:
        """Put the use cases behind the handlers, and the handlers and the clock behind moto."""
        looking = CheckSettings.from_environment(self._environment("CheckFunction"))
        starting = StartSettings.from_environment(self._environment("DeliverFunction"))
        sweeping = SweepSettings.from_environment(self._environment("SweepFunction"))
        for app, name, use_case in (
            (check, "_check", wiring.check(looking)),
            (deliver, "_deliver", wiring.deliver(starting)),
            (fail, "_fail", wiring.fail(starting)),
            (sweep, "_sweep", wiring.sweep(sweeping)),
        ):
            composed = self._on_stand_ins(use_case)
            patch.setattr(app, name, lambda composed=composed: composed)
        advance = self.clock.advance
        patch.setattr(
            WaitFunction,
            "_wait_interval",
            lambda *_, wait_seconds, env: advance(seconds=wait_seconds),
        )
        patch.setattr(retrier_decl, "time", SimpleNamespace(sleep=lambda s: advance(seconds=s)))
        patch.setattr(
            LambdaFunction,
            "_invoke_lambda",
            lambda function, event: self._invoke(function.function_name, event),
        )

    def run(self, scenario: Scenario) -> Ended:
        """Drop an image on an empty ledger and follow its execution to the end."""
        self._empty_ledger()
        self.vendor.script = deque(scenario.vendor)
        self._instead = {state: deque(handlers) for state, handlers in scenario.instead.items()}
        self._key = f"{next(self._numbers)}.png"
        self._s3.put_object(Bucket=self._name("InputBucket"), Key=self._key, Body=png())
        with self._task_seconds(scenario):
            return self._end_of_what(
                lambda: self._submit(self._name("InputBucket"), self._key, lambda: 900.0)
            )

    def sweep(self) -> Ended:
        """Let the sweeper run, and follow the last drop's execution, a new one or not."""
        return self._end_of_what(lambda: sweep.handler({}, FakeLambdaContext()))
