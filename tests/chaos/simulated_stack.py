"""The deployed stack in virtual time: queue, functions, state machine, schedule, around a world.

What AWS may do, it does: messages come late, twice and in any order, and again when their function
was killed; five times, then the dead-letter queue takes them.
"""

import random
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from math import ceil
from typing import Any

from greenlet import greenlet

from dropscale.ledger.budget import Budget
from dropscale.pipeline.execution import ExecutionState
from dropscale.pipeline.ports import ExecutionStatus, ObjectVersion
from tests.chaos.deployment import MAX_RECEIVES, VISIBILITY_SECONDS, parameter, time_out
from tests.chaos.indexed_ledger import IndexedLedger
from tests.chaos.outside_calls import Invocation, InvocationTask, Killed, Mishap, OutsideCalls
from tests.chaos.state_machine import StateMachine
from tests.chaos.vendor import Vendor
from tests.chaos.virtual_time import Signal, VirtualTime
from tests.fakes import FakeInputBucket, FakeResults
from tests.world import BUCKET, World


@dataclass
class Message:
    """An event in the queue."""

    key: str
    receives: int = 0
    is_deleted: bool = False


@dataclass(frozen=True)
class Setting:
    """How the stack is set up, and what its time begins with."""

    slots: int = parameter("MaxConcurrentJobs")
    budget: Budget = field(default_factory=Budget)
    start: datetime | None = None


class SimulatedStack:
    """All use cases, with what AWS does between them."""

    def __init__(
        self,
        vendor: Vendor,
        setting: Setting,
        seed: int,
        mishaps: Mapping[int, Mishap],
    ) -> None:
        self.clock, self.vendor, self.random = vendor.clock, vendor, random.Random(seed)
        self.clock.now = setting.start or self.clock.now
        self.time = VirtualTime(self.clock)
        self.calls = OutsideCalls(self.time, self.random, self._twin, mishaps)
        self.ledger, self.bucket, self.results = IndexedLedger(), FakeInputBucket(), FakeResults()
        self.executions: dict[str, ExecutionStatus] = {}
        self.dead_letters: list[Message] = []
        self.errors: list[Exception] = []
        self._machine = StateMachine(self.time, self.random, self._invoke)
        self._visible: deque[Message] = deque()
        self._submits = 0
        through = self.calls.through
        self.world = World(
            slots=setting.slots,
            budget=setting.budget,
            clock=self.clock,
            ledger=through("ledger", self.ledger),
            bucket=through("bucket", self.bucket),
            results=through("results", self.results),
            executions=through("executions", _Executions(self)),
            queue=through("queue", _DropQueue(self)),
            upscaler=through("upscaler", vendor),
        )
        self.time.after(0, self._tick)

    def put(self, key: str, body: bytes | None) -> None:
        """Put an object into the input bucket, and its event soon after; None deletes it."""
        if body is None:
            self.bucket.delete(key)
            return
        self.bucket.put(key, body, self.clock())
        self.send(key, self.random.uniform(0, 3))

    def send(self, key: str, delay: float = 0.0) -> None:
        """Put a message into the queue, to be seen after its delay."""
        message = Message(key)
        self.time.after(delay + parameter("SettleSeconds"), partial(self._show, message))

    def settle(self, within: timedelta) -> bool:
        """Let time pass until nothing is left to do; tell whether it came to that."""
        return self.time.run(self.clock.now + within)

    def execute(self, name: str, state: Any) -> None:
        """Start an execution, unless there was one of that name."""
        if name in self.executions:
            return
        self.executions[name] = ExecutionStatus.RUNNING

        def run() -> None:
            self._machine.run(state)
            self.executions[name] = ExecutionStatus.ENDED

        self.time.spawn(greenlet(run))

    def _show(self, message: Message) -> None:
        if not message.is_deleted:
            self._visible.append(message)
            self._receive()

    def _receive(self) -> None:
        while self._visible and self._submits < parameter("SubmitConcurrency"):
            message = self._visible.popleft()
            if message.receives == MAX_RECEIVES:
                self.dead_letters.append(message)
                continue
            message.receives += 1
            self._submits += 1
            self.time.after(VISIBILITY_SECONDS, partial(self._show, message))
            self._invoke("submit", message.key, partial(self._received, message))

    def _received(self, message: Message, invocation: Invocation) -> None:
        self._submits -= 1
        message.is_deleted = message.is_deleted or invocation.error is None
        self._receive()

    def _tick(self) -> None:
        """Sweep, if anything is due; then again in the first minute in which something can be."""
        now, due = self.clock.now, self.ledger.earliest_due()
        if due is not None and due < now:
            self._invoke("sweep", None)
        coming = [at for at in (due, self.time.next_at()) if at is not None]
        if coming:
            idle = max(60.0, (min(coming) - now).total_seconds())
            self.time.after(60.0 * ceil(idle / 60.0), self._tick)

    def _twin(self, invocation: Invocation) -> Signal:
        return self._invoke(invocation.function, invocation.event).ended

    def _invoke(
        self,
        function: str,
        event: Any,
        then: Callable[[Invocation], None] = lambda _: None,
    ) -> Invocation:
        deadline = self.clock.now + timedelta(seconds=time_out(function))
        invocation = Invocation(function, event, deadline, Signal(self.time))

        def remaining() -> float:
            return (invocation.deadline - self.clock.now).total_seconds()

        def work() -> None:
            try:
                invocation.answer = self._handle(function, event, remaining)
            except Killed as killed:
                invocation.error = killed
            except Exception as error:
                invocation.error = error
                self.errors.extend(_leaves(error))
            invocation.ended.set()
            then(invocation)

        self.time.spawn(InvocationTask(invocation, work))
        return invocation

    def _handle(self, function: str, event: Any, remaining: Callable[[], float]) -> Any:
        """Do what the handler of a function does: parse, call the use case, answer."""
        world = self.world
        match function:
            case "submit":
                return world.submit_object(BUCKET, event, remaining)
            case "check":
                return world.check(ExecutionState.model_validate(event)).to_json()
            case "deliver":
                return world.deliver_result(ExecutionState.model_validate(event), remaining).id
            case "fail":
                return world.report_failure(ExecutionState.model_validate(event), remaining).id
            case "sweep":
                return world.sweep_once(remaining)


@dataclass(frozen=True)
class _Executions:
    stack: SimulatedStack

    def start(self, name: str, state: Mapping[str, Any]) -> None:
        self.stack.execute(name, dict(state))

    def status(self, name: str) -> ExecutionStatus:
        return self.stack.executions.get(name, ExecutionStatus.NONE)


@dataclass(frozen=True)
class _DropQueue:
    stack: SimulatedStack

    def send(self, bucket: str, key: str, version: ObjectVersion) -> None:
        self.stack.send(key)


def _leaves(error: Exception) -> Iterable[Exception]:
    if isinstance(error, ExceptionGroup):
        return [leaf for part in error.exceptions for leaf in _leaves(part)]
    return [error]
