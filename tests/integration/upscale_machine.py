"""The upscale state machine in moto's interpreter, with the real handlers behind it.

Real: the definition as it ships, the resources and settings of template.yaml, the handlers, their
use cases as `wiring` composes them, and the AWS adapters (S3, DynamoDB, Step Functions on moto).

Stand-ins: the vendor follows a script, nothing is decoded, functions fail on request, and time is
virtual: waits and retries of the interpreter move the use cases' clock on and return at once. So
the definition runs as it is; only the TimeoutSeconds of a task that is to hang is shortened,
because the interpreter measures it in real time (`Scenario.task_seconds`).

Virtual time leans on two private names of moto 5.2.5: `WaitFunction._wait_interval`, which would
wait, and `retrier_decl.time`, whose `sleep` would. `test_waits_and_retries_pass_in_virtual_time`
fails when moto changes under them.
"""

import json
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import (
    WaitFunction,
)
from moto.stepfunctions.parser.asl.eval.callback.callback import CallbackEndpoint, CallbackOutcome
from moto.stepfunctions.parser.asl.utils import boto_client
from moto.stepfunctions.parser.models import stepfunctions_parser_backends

from dropscale.aws import wiring
from dropscale.aws.settings import (
    CheckSettings,
    Settings,
    StartSettings,
    SubmitSettings,
    SweepSettings,
)
from dropscale.ledger.drops import Drop
from dropscale.magichour.errors import MagicHourError
from dropscale.magichour.models import Project
from dropscale.magichour.webhooks import EventKind
from dropscale.pipeline.check import Check
from dropscale.pipeline.parts.poll_schedule import PollSchedule
from dropscale.pipeline.parts.waiters import WakeWaiters
from dropscale.pipeline.submit import Submit
from dropscale.results.manifest import manifest_key
from dropscale.upscaler import ProjectStatus
from dropscale_embedded.cloud.aws_clients import ClientFactory, drawn_credentials
from dropscale_embedded.cloud.functions_client import FunctionsClient
from dropscale_embedded.cloud.lambda_workers import Invocation
from dropscale_embedded.cloud.names import StackContext
from dropscale_embedded.cloud.resources import create_resources
from dropscale_embedded.cloud.template import Stack, read_template, resolve_template
from functions.check import app as check
from functions.deliver import app as deliver
from functions.fail import app as fail
from functions.submit import app as submit
from functions.sweep import app as sweep
from tests.aws_calls.call_log import CallLog
from tests.chaos.deployment import FIRST_STATE_WITH_WEBHOOKS
from tests.fakes import Clock, FakePixels, FakeUpscaler, png
from tests.lambda_context import FakeLambdaContext
from tests.mocked_aws import mocked_aws

Handler = Callable[[Any], Any]

DEADLINE_SECONDS = 1200
VENDOR_ERROR = {"code": "content_policy_violation", "message": "not this one"}

_TEMPLATE = Path(__file__).parents[2] / "template.yaml"
_PARAMETERS = {
    "JobDeadlineSeconds": str(DEADLINE_SECONDS),
    # Seldom, so that executions which wait for the deadline take few steps.
    "PollIntervalCapSeconds": "300",
}
_CONTEXT = StackContext("dropscale", "us-east-1", DEFAULT_ACCOUNT_ID, "http://127.0.0.1:9")
_FUNCTIONS: Mapping[str, tuple[Any, Callable[..., Any], type[Settings]]] = {
    "SubmitFunction": (submit, wiring.submit, SubmitSettings),
    "CheckFunction": (check, wiring.check, CheckSettings),
    "DeliverFunction": (deliver, wiring.deliver, StartSettings),
    "FailFunction": (fail, wiring.fail, StartSettings),
    "SweepFunction": (sweep, wiring.sweep, SweepSettings),
}
_FACTS: Mapping[ProjectStatus, dict[str, Any]] = {
    ProjectStatus.COMPLETE: {"downloads": [{"url": "https://vendor.example/output.png"}]},
    # The vendor gives the credits back.
    ProjectStatus.ERROR: {"credits_charged": 0, "error": VENDOR_ERROR},
}
_LAMBDA_SECONDS = 90.0
_SECONDS_TO_END = 240.0


@dataclass(frozen=True, eq=False)
class Scenario:
    """What an execution meets.

    Attributes:
        vendor: The steps of a `SteppedVendor`.
        instead: By Task state, what its function does in its first invocations instead of its work.
        task_seconds: TimeoutSeconds of the states in `instead`; None: the definition's own.
        events: With webhooks, what comes in each wait; None: nothing, until its time is up.
    """

    vendor: Sequence[ProjectStatus | MagicHourError]
    instead: Mapping[str, Sequence[Handler]] = field(default_factory=dict)
    task_seconds: int | None = None
    events: Sequence[EventKind | None] | None = None


@dataclass(frozen=True)
class Ended:
    """An execution that has ended.

    Attributes:
        status: What Step Functions says of it, such as SUCCEEDED.
        error: The name of the error that it failed with.
        entered: The states, in the order in which they were entered.
        invocations: How often each Task state's function was invoked.
        seconds: How long it took, in virtual time.
        manifest: The drop's manifest, as it then was.
    """

    status: str
    error: str | None
    entered: tuple[str, ...]
    invocations: Mapping[str, int]
    seconds: float
    manifest: Mapping[str, Any]

    @property
    def verdict(self) -> tuple[str, str | None, str, str | None]:
        """Status and error of the execution, state and reason of the drop."""
        reason = self.manifest["reason"]
        return self.status, self.error, self.manifest["state"], reason and reason["code"]


def is_wait(state: Mapping[str, Any]) -> bool:
    """Whether a task token ends a Task state."""
    return str(state["Resource"]).endswith(".waitForTaskToken")


class _TaskTimedOut(TimeoutError):
    """Raised through an invocation: the interpreter takes it for its own time-out of the task."""


def failing(error: str, message: str | None = None) -> Handler:
    """Return a handler that fails with an error of this name, as Lambda tells it.

    States.Timeout, which is not Lambda's, comes as if the task's TimeoutSeconds had passed.
    """
    kind = _TaskTimedOut if error == "States.Timeout" else type(error, (Exception,), {})

    def handler(_: Any) -> Any:
        raise kind(message or f"{error} was injected")

    return handler


class SteppedVendor(FakeUpscaler):
    """A vendor whose project takes one step with each look; the last one stays."""

    def __init__(self) -> None:
        super().__init__()
        self._steps: deque[ProjectStatus | MagicHourError] = deque()

    def step(self, *steps: ProjectStatus | MagicHourError) -> None:
        """Take these steps from now on."""
        self._steps = deque(steps)

    def project(self, project_id: str) -> Project:
        answer = self._steps.popleft() if len(self._steps) > 1 else self._steps[0]
        if isinstance(answer, MagicHourError):
            raise answer
        facts = {"id": project_id, "status": answer, **_FACTS.get(answer, {})}
        return Project.model_validate(facts)


class UpscaleMachine:
    """The state machine of a stack, and what it works on. One execution at a time."""

    def __init__(
        self,
        stack: Stack,
        clock: Clock,
        vendor: SteppedVendor,
        submit: Submit,
        wake_waiters: WakeWaiters,
    ) -> None:
        names = {name: resource.identity.name for name, resource in stack.resources.items()}
        self.clock, self.vendor, self._submit = clock, vendor, submit
        webhooks = replace(submit.advance.follow.timing, webhooks=True)
        self._submit_with_webhooks = _with_stand_ins(submit, {"timing": webhooks})
        self._arn = stack.resources["UpscaleStateMachine"].identity.ref
        self._input, self._results = names["InputBucket"], names["ResultsBucket"]
        self._ledger = boto3.resource("dynamodb").Table(names["Ledger"])
        self._s3, self._states = boto3.client("s3"), boto3.client("stepfunctions")
        described = self._states.describe_state_machine(stateMachineArn=self._arn)
        self._definition: dict[str, Any] = json.loads(described["definition"])
        self._task_by_function = {
            (state["Parameters"]["FunctionName"].rpartition(":")[2], is_wait(state)): name
            for name, state in self._definition["States"].items()
            if state["Type"] == "Task"
        }
        self._apps = {names[logical_id]: app for logical_id, (app, _, _) in _FUNCTIONS.items()}
        self._wake_waiters = wake_waiters
        self._events: deque[EventKind | None] = deque()
        self._numbers = count(1)
        self._key = ""
        self._instead: dict[str, deque[Handler]] = {}
        self._invocations: Counter[str] = Counter()

    def run(self, scenario: Scenario) -> Ended:
        """Drop an image on a ledger of nothing but its owner; follow its execution to the end."""
        with self._ledger.batch_writer() as batch:
            for item in self._ledger.scan()["Items"]:
                if item["pk"] == "owner":
                    continue
                batch.delete_item(Key={"pk": item["pk"], "sk": item["sk"]})
        self.vendor.step(*scenario.vendor)
        submit = self._submit if scenario.events is None else self._submit_with_webhooks
        self._events = deque(scenario.events or ())
        self._instead = {state: deque(handlers) for state, handlers in scenario.instead.items()}
        self._key = f"{next(self._numbers)}.png"
        self._s3.put_object(Bucket=self._input, Key=self._key, Body=png())
        with self._defined_for(scenario):
            return self._followed(lambda: submit(self._input, self._key, lambda: _LAMBDA_SECONDS))

    def sweep(self) -> Ended:
        """Let the sweeper run once; follow the execution that then is the drop's last."""
        return self._followed(lambda: sweep.handler({}, FakeLambdaContext()))

    def output(self, key: str) -> bytes:
        """Return what lies at a key of the results bucket."""
        return self._s3.get_object(Bucket=self._results, Key=key)["Body"].read()

    def wait(self, endpoint: CallbackEndpoint, seconds: float) -> CallbackOutcome | None:
        """Let the next event of the scenario end a wait, or let its time pass."""
        if endpoint.get_outcome() is None and (event := self._events and self._events.popleft()):
            rows = self._ledger.scan()["Items"]
            (row,) = (row for row in rows if str(row["sk"]).startswith("waiter#"))
            self._wake_waiters(str(row["fingerprint"]), str(row["project_id"]), event)
        if endpoint.get_outcome() is None:
            self.clock.advance(seconds=seconds)
        return endpoint.get_outcome()

    def invoke(self, function_name: str, event: Any) -> Invocation:
        """Run a function."""
        task = self._task_by_function[function_name, "task_token" in event]
        self._invocations[task] += 1
        instead = self._instead.get(task)
        try:
            if instead:
                answer = instead.popleft()(event)
            else:
                answer = self._apps[function_name].handler(event, FakeLambdaContext())
        except _TaskTimedOut:
            raise
        except Exception as error:
            fault = {"errorType": type(error).__name__, "errorMessage": str(error)}
            return Invocation(json.dumps(fault), failed=True)
        return Invocation(json.dumps(answer), failed=False)

    def _followed(self, start: Callable[[], object]) -> Ended:
        self._invocations.clear()
        begun = self.clock()
        start()
        drop = self._submit.locate.ledger.drop(Drop.id_of(self._input, self._key))
        assert drop is not None
        (rendition,) = drop.renditions.values()
        name = self._submit.advance.follow.execution_name(drop.id, rendition)
        arn = f"{self._arn.replace(':stateMachine:', ':execution:')}:{name}"
        deadline = time.monotonic() + _SECONDS_TO_END
        backend = stepfunctions_parser_backends[DEFAULT_ACCOUNT_ID][_CONTEXT.region]
        while backend.describe_execution(arn).status == "RUNNING":
            assert time.monotonic() < deadline, f"{self._key} never ends: {self._entered(arn)}"
            time.sleep(0.01)
        found = self._states.describe_execution(executionArn=arn)
        return Ended(
            status=found["status"],
            error=found.get("error"),
            entered=self._entered(arn),
            invocations=dict(self._invocations),
            seconds=(self.clock() - begun).total_seconds(),
            manifest=json.loads(self.output(manifest_key(self._key))),
        )

    def _entered(self, arn: str) -> tuple[str, ...]:
        history = self._states.get_execution_history(executionArn=arn)["events"]
        return tuple(
            event["stateEnteredEventDetails"]["name"]
            for event in history
            if "stateEnteredEventDetails" in event
        )

    @contextmanager
    def _defined_for(self, scenario: Scenario) -> Iterator[None]:
        states, changed = self._definition["States"], dict[str, Any]()
        if scenario.task_seconds is not None:
            short = {"TimeoutSeconds": scenario.task_seconds}
            states = states | {name: states[name] | short for name in scenario.instead}
            changed["States"] = states
        if scenario.events is not None:
            changed["StartAt"] = FIRST_STATE_WITH_WEBHOOKS
        if not changed:
            yield
            return
        self._define(self._definition | changed)
        try:
            yield
        finally:
            self._define(self._definition)

    def _define(self, definition: dict[str, Any]) -> None:
        text = json.dumps(definition)
        self._states.update_state_machine(stateMachineArn=self._arn, definition=text)


@contextmanager
def deployed_machine(aws_calls: CallLog) -> Iterator[UpscaleMachine]:
    """Deploy template.yaml on moto, in this process, with stand-ins for vendor and time.

    What the functions call of AWS is logged.
    """
    clock, vendor = Clock(), SteppedVendor()
    interpreting = mocked_aws(stepfunctions={"execute_state_machine": True})
    with interpreting, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", _CONTEXT.region)
        patch.setenv("POWERTOOLS_METRICS_DISABLED", "true")
        stack = resolve_template(read_template(_TEMPLATE), _PARAMETERS, _CONTEXT)
        clients = _InProcessClients(_CONTEXT.endpoint_url, _CONTEXT.region, drawn_credentials())
        create_resources(stack, clients=clients, base=_TEMPLATE.parent, secrets={})
        use_cases = {}
        for logical_id, (app, compose, settings) in _FUNCTIONS.items():
            variables = stack.resources[logical_id].properties["Environment"]["Variables"]
            environment = {name: str(value) for name, value in variables.items()}
            with _logged(aws_calls, logical_id):
                composed = compose(settings.from_environment(environment), lambda drop: None)
                if isinstance(composed, Check):
                    # Its client is else made at its first call.
                    vars(composed.wake_waiters.callbacks)["_client"] = wiring._client(
                        "stepfunctions"
                    )
            # It is the machine that is to wait, each time.
            schedule = PollSchedule(300, patience=0)
            stand_ins = {"clock": clock, "upscaler": vendor, "schedule": schedule}
            stand_ins["pixels"] = FakePixels()
            use_cases[app] = _with_stand_ins(composed, stand_ins)
            patch.setattr(app, f"_{compose.__name__}", partial(use_cases.get, app))
        machine = UpscaleMachine(
            stack, clock, vendor, use_cases[submit], use_cases[check].wake_waiters
        )

        def pass_time(seconds: float) -> None:
            clock.advance(seconds=seconds)

        def wait(_: WaitFunction, *, env: object, wait_seconds: int) -> None:
            pass_time(wait_seconds)

        def await_event(endpoint: CallbackEndpoint, timeout: float) -> CallbackOutcome | None:
            return machine.wait(endpoint, timeout)

        patch.setattr(CallbackEndpoint, "wait", await_event)
        patch.setattr(WaitFunction, "_wait_interval", wait)
        patch.setattr(retrier_decl, "time", SimpleNamespace(sleep=pass_time))
        functions = FunctionsClient(machine.invoke)  # of all clients, tasks use Lambda's alone
        patch.setattr(boto_client, "boto3", SimpleNamespace(client=lambda **_: functions))
        yield machine


@contextmanager
def _logged(aws_calls: CallLog, function: str) -> Iterator[None]:
    """Log what the clients call that are made in this context."""

    def log(**event: Any) -> None:
        params, model = event["params"], event["model"]
        aws_calls.add(function, model.service_model.service_name, model.name, params)

    wiring._session.cache_clear()
    wiring._session().events.register("before-parameter-build", log)
    yield
    wiring._session.cache_clear()


class _InProcessClients(ClientFactory):
    """Clients that moto answers without an endpoint."""

    def client(self, service: str, **_: Any) -> Any:
        return boto3.client(service)  # type: ignore[call-overload] # chosen by name


def _with_stand_ins(part: Any, stand_ins: Mapping[str, object]) -> Any:
    """Return a dataclass with the fields of these names replaced, its parts' fields too."""
    changes = {}
    for item in fields(part):
        value = getattr(part, item.name)
        if item.name in stand_ins:
            changes[item.name] = stand_ins[item.name]
        elif is_dataclass(value):
            changes[item.name] = _with_stand_ins(value, stand_ins)
    return replace(part, **changes)
