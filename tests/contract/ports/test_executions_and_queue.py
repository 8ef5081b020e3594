"""The contracts of the executions and of the queue."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from dropscale.aws.drop_queue import SqsDropQueue
from dropscale.aws.executions import StepFunctionsExecutions
from dropscale.aws.object_events import created_objects
from dropscale.pipeline.parts.ports import DropQueue, Executions, ExecutionStatus
from tests.contract.ports.keys import KEYS
from tests.fakes import FakeExecutions, FakeQueue

IN = "input"


@dataclass(frozen=True)
class Machine:
    """The executions, and what becomes of them."""

    executions: Executions
    end: Callable[[str], object]
    input_of: Callable[[str], Any]


@pytest.fixture
def machine(where: str, request: pytest.FixtureRequest) -> Machine:
    if where == "memory":
        fake = FakeExecutions()
        return Machine(fake, fake.ended.add, fake.started.get)
    client = request.getfixturevalue("aws")("stepfunctions")
    made = client.create_state_machine(
        name="dropscale-upscale",
        definition=json.dumps({"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}),
        roleArn="arn:aws:iam::123456789012:role/machine",
    )
    arn: str = made["stateMachineArn"]
    execution = arn.replace(":stateMachine:", ":execution:")
    return Machine(
        StepFunctionsExecutions(client, arn),
        lambda name: client.stop_execution(executionArn=f"{execution}:{name}"),
        lambda name: json.loads(
            client.describe_execution(executionArn=f"{execution}:{name}")["input"]
        ),
    )


STATE = {"key": "é t/cat + 1.png", "wait_seconds": 20, "error": None}


def test_an_execution_never_was_then_runs_then_has_ended(machine: Machine) -> None:
    executions = machine.executions
    assert executions.status("one") is ExecutionStatus.NONE

    executions.start("one", STATE)
    executions.start("other", STATE)
    assert executions.status("one") is ExecutionStatus.RUNNING
    assert machine.input_of("one") == STATE
    machine.end("one")

    assert executions.status("one") is ExecutionStatus.ENDED
    assert executions.status("other") is ExecutionStatus.RUNNING
    assert executions.status("third") is ExecutionStatus.NONE


@pytest.mark.parametrize("again", [STATE, {**STATE, "wait_seconds": 30}], ids=["same", "other"])
@pytest.mark.parametrize("has_ended", [False, True], ids=["running", "ended"])
def test_an_execution_that_was_started_before_is_left_alone(
    machine: Machine, again: dict[str, Any], has_ended: bool
) -> None:
    machine.executions.start("one", STATE)
    if has_ended:
        machine.end("one")
    before = machine.executions.status("one")

    machine.executions.start("one", again)

    assert machine.executions.status("one") is before
    assert machine.input_of("one") == STATE


def test_a_started_execution_keeps_what_it_was_started_with(machine: Machine) -> None:
    state = {"nested": {"wait_seconds": 20}}
    machine.executions.start("one", state)
    state["nested"]["wait_seconds"] = 30

    assert machine.input_of("one") == {"nested": {"wait_seconds": 20}}
    with pytest.raises(TypeError):
        machine.executions.start("two", {"at": datetime.now(UTC)})
    assert machine.executions.status("two") is ExecutionStatus.NONE


@dataclass(frozen=True)
class Queue:
    """The queue, and the objects that submit finds in what it holds."""

    queue: DropQueue
    received: Callable[[], list[tuple[str, str]]]


@pytest.fixture
def queue(where: str, request: pytest.FixtureRequest) -> Queue:
    if where == "memory":
        fake = FakeQueue()
        return Queue(fake, lambda: [(IN, key) for key in fake.keys])
    client = request.getfixturevalue("aws")("sqs")
    url = client.create_queue(QueueName="drops")["QueueUrl"]

    def received() -> list[tuple[str, str]]:
        found = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        bodies = [json.loads(message["Body"]) for message in found.get("Messages", [])]
        return [created for body in bodies for created in created_objects(body)]

    return Queue(SqsDropQueue(client, url), received)


def test_submit_handles_every_object_in_a_message(queue: Queue) -> None:
    for key in (*KEYS, KEYS[0]):
        queue.queue.send(IN, key)

    assert sorted(queue.received()) == sorted((IN, key) for key in (*KEYS, KEYS[0]))
