"""The deployed stack in virtual time: queue, functions, state machine, schedule, around a world.

What AWS may do, it does: messages come late, twice and in any order, and again when their function
was killed; five times, then the dead-letter queue takes them.
"""

import random
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from math import ceil
from typing import Any

from greenlet import greenlet

from dropscale.ledger.budget import Budget
from dropscale.ledger.drops import Drop
from dropscale.magichour.webhooks import ProjectEvent
from dropscale.pipeline.parts.execution import CallbackInput, ExecutionState
from dropscale.pipeline.parts.follow import Timing
from dropscale.pipeline.parts.poll_schedule import PollSchedule
from dropscale.pipeline.parts.ports import ExecutionStatus
from tests.chaos.deployment import BY_HAND, MAX_RECEIVES, VISIBILITY_SECONDS, parameter, time_out
from tests.chaos.outside_calls import Invocation, InvocationTask, Killed, Mishap, OutsideCalls
from tests.chaos.state_machine import StateMachine, Tokens
from tests.chaos.vendor import Vendor
from tests.chaos.virtual_time import Signal, VirtualTime
from tests.chaos.watched_ledger import WatchedLedger
from tests.chaos.webhooks import FUNCTION_SECONDS, EventSender, Webhooks
from tests.fakes import FakeEvents, FakeInputBucket, FakeResults
from tests.world import BUCKET, World

_LIVELY = timedelta(minutes=5)
_TIMING = Timing(parameter("FirstCheckSeconds"), parameter("JobDeadlineSeconds"))
_SCHEDULE = PollSchedule(parameter("PollIntervalCapSeconds"))


@dataclass
class Message:
    """An event in the queue."""

    key: str
    receives: int = 0
    is_deleted: bool = False


@dataclass(frozen=True)
class Setting:
    """How the stack is set up, and what its time begins with."""

    slots: int | None = parameter("MaxConcurrentJobs") or None
    budget: Budget = field(default_factory=Budget)
    timing: Timing = _TIMING
    schedule: PollSchedule = _SCHEDULE
    event_seconds: tuple[float, float] = (0.0, 3.0)
    """Between a put and its message in the queue, shortest and longest."""
    start: datetime | None = None
    sweeps: int = 1
    """How many sweeps run at once, each time."""
    webhooks: Webhooks | None = None
    """How the vendor's events come; None: it sends none."""


@dataclass(frozen=True)
class Mishaps:
    """What befalls functions and executions, by their numbers over the whole run, from 1.

    `at_calls` happens at outside calls; so many seconds later than it should, `late_looks` are
    answered; so many seconds after they began, `repeated` invocations and `rerun` executions begin
    a second time.
    """

    at_calls: Mapping[int, Mishap] = field(default_factory=dict)
    late_looks: Mapping[int, float] = field(default_factory=dict)
    repeated: Mapping[int, float] = field(default_factory=dict)
    rerun: Mapping[int, float] = field(default_factory=dict)


class SimulatedStack:
    """All use cases, with what AWS does between them."""

    def __init__(
        self,
        vendor: Vendor,
        setting: Setting = Setting(),
        seed: int = 1,
        mishaps: Mishaps = Mishaps(),
    ) -> None:
        self.clock, self.vendor, self.random = vendor.clock, vendor, random.Random(seed)
        self.clock.now = vendor.begin = setting.start or self.clock.now
        self.time = VirtualTime(self.clock)
        self.calls = OutsideCalls(
            self.time, self.random, self._twin, mishaps.at_calls, mishaps.late_looks
        )
        self.mishaps, self.setting = mishaps, setting
        self.invocations = 0
        self.invoked, self.seconds = Counter[str](), defaultdict[str, float](float)
        """Invocations and their seconds, by function."""
        self.at_once = defaultdict[int, float](float)
        """Seconds, by how many functions ran at once."""
        self._running, self._running_since = 0, self.clock.now
        self.last_event_at = self.clock.now
        self.ledger, self.bucket, self.results = WatchedLedger(), FakeInputBucket(), FakeResults()
        self.events = FakeEvents()
        self.executions: dict[str, ExecutionStatus] = {}
        self.dead_letters: list[Message] = []
        self.errors: list[Exception] = []
        self.transitions = 0
        self.tokens = Tokens(self.time)
        self._machine = StateMachine(
            self.time, self.random, self._invoke, self.tokens, self._count_transition
        )
        self._visible: deque[Message] = deque()
        self._submits = 0
        self._is_awake = False
        self._changes_seen, self._last_change_at = 0, self.clock.now
        through = self.calls.through
        has_webhooks = setting.timing.webhooks or setting.webhooks is not None
        self.world = World(
            slots=setting.slots,
            budget=setting.budget,
            timing=replace(setting.timing, webhooks=has_webhooks),
            schedule=setting.schedule,
            clock=self.clock,
            sleep=self.time.sleep,
            ledger=through("ledger", self.ledger),
            bucket=through("bucket", self.bucket),
            results=through("results", self.results),
            executions=through("executions", _Executions(self)),
            callbacks=through("callbacks", self.tokens),
            queue=through("queue", _DropQueue(self)),
            events=through("events", self.events),
            batch_quiet=timedelta(seconds=parameter("BatchQuietSeconds")),
            upscaler=through("upscaler", vendor),
        )
        if setting.webhooks is not None:
            chance = random.Random(seed)
            sender = EventSender(vendor, setting.webhooks, chance, self.happen, self._receive_event)
            vendor.on_made = sender.follow
        self.wake()

    def wake(self) -> None:
        """Continue the schedule after everything was settled."""
        if not self._is_awake:
            self._is_awake = True
            self.time.after(0, self._tick)

    def put(self, key: str, body: bytes | None) -> None:
        """Put an object into the input bucket, and its event soon after; None deletes it."""
        if body is None:
            self.bucket.delete(key)
            return
        self.bucket.put(key, body, self.clock())
        self.send(key, self.random.uniform(*self.setting.event_seconds))

    def happen(self, seconds: float, action: Callable[[], object]) -> None:
        """Let something happen later, which is not over before the last such thing."""
        self.last_event_at = max(self.last_event_at, self.clock.now + timedelta(seconds=seconds))
        self.time.after(seconds, action)

    def send(self, key: str, delay: float = 0.0) -> None:
        """Put a message into the queue, to be seen after its delay."""
        message = Message(key)
        self.time.after(delay + parameter("SettleSeconds"), partial(self._show, message))

    def forget(self, key: str) -> None:
        """Let a person delete the vendor's copies of a drop's results, or try to."""
        self._invoke(BY_HAND, key)

    def send_event(self, event: ProjectEvent, seconds: float) -> None:
        """Let the vendor's webhook send an event so much later."""
        self.time.after(seconds, partial(self._invoke, "webhook", event))

    def settle(self, within: timedelta) -> bool:
        """Let time pass until nothing is left to do; return whether that happened."""
        until = self.clock.now + within
        is_at_rest = self.time.run(until)
        self.clock.now = max(self.clock.now, until)
        return is_at_rest

    def execute(self, name: str, state: Any) -> None:
        """Start an execution, unless there was one of that name."""
        if name in self.executions:
            return
        self.executions[name] = ExecutionStatus.RUNNING

        def run() -> None:
            self._machine.run(state)
            self.executions[name] = ExecutionStatus.ENDED

        def run_again() -> None:
            self.time.spawn(greenlet(lambda: self._machine.run(state)))

        self.time.spawn(greenlet(run))
        self._repeat(self.mishaps.rerun.get(len(self.executions)), run_again)

    def _count_running(self, step: int) -> None:
        since, self._running_since = self._running_since, self.clock.now
        self.at_once[self._running] += (self.clock.now - since).total_seconds()
        self._running += step

    def _count_transition(self) -> None:
        self.transitions += 1

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

    def _receive_event(self, event: ProjectEvent, answered: Callable[[bool], None]) -> None:
        self._invoke("webhook", event, lambda invocation: answered(invocation.error is None))
        self.wake()

    def _tick(self) -> None:
        """Sweep, if anything is due; then again in the first minute in which something can be.

        While nothing has changed for long, because all that is due waits, it sweeps less often:
        each minute of a month would take long.
        """
        now, due = self.clock.now, self.ledger.earliest_due()
        if self.ledger.changes != self._changes_seen:
            self._changes_seen, self._last_change_at = self.ledger.changes, now
        if self.ledger.account() is None or (due is not None and due < now):
            for _ in range(self.setting.sweeps):
                self._invoke("sweep", None)
        coming = [at for at in (due, self.time.next_at()) if at is not None]
        self._is_awake = bool(coming)
        if coming:
            pause = 60.0 if now - self._last_change_at < _LIVELY else 600.0
            idle = max(pause, (min(coming) - now).total_seconds())
            self.time.after(60.0 * ceil(idle / 60.0), self._tick)

    def _twin(self, invocation: Invocation) -> Signal:
        return self._invoke(invocation.function, invocation.event).ended

    def _invoke(
        self,
        function: str,
        event: Any,
        then: Callable[[Invocation], None] = lambda _: None,
    ) -> Invocation:
        began = self.clock.now
        seconds = FUNCTION_SECONDS if function == "webhook" else time_out(function)
        deadline = began + timedelta(seconds=seconds)
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
            self._count_running(-1)
            self.seconds[function] += (self.clock.now - began).total_seconds()
            invocation.ended.set()
            then(invocation)

        self._count_running(1)
        self.time.spawn(InvocationTask(invocation, work))
        self.invocations += 1
        self.invoked[function] += 1
        again = partial(self._invoke, function, event)
        self._repeat(self.mishaps.repeated.get(self.invocations), again)
        return invocation

    def _repeat(self, seconds: float | None, action: Callable[[], object]) -> None:
        if seconds is not None:
            self.happen(seconds, action)

    def _handle(self, function: str, event: Any, remaining: Callable[[], float]) -> Any:
        """Do what the handler of a function does: parse, call the use case, answer."""
        world = self.world
        match function:
            case "submit":
                return world.submit_object(BUCKET, event, remaining)
            case "check" if "task_token" in event:
                wait = CallbackInput.model_validate(event)
                return world.check.begin_wait(wait.state, wait.task_token, wait.entered)
            case "check":
                return world.check(ExecutionState.model_validate(event)).to_json()
            case "deliver":
                return world.deliver_result(ExecutionState.model_validate(event), remaining).id
            case "fail":
                return world.report_failure(ExecutionState.model_validate(event), remaining).id
            case "forget" if Drop.id_of(BUCKET, event) in self.ledger.drops:
                return world.forget(event)
            case "sweep":
                return world.sweep_once(remaining)
            case "webhook":
                return world.receive_event(event)


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

    def send(self, bucket: str, key: str) -> None:
        self.stack.send(key)


def _leaves(error: Exception) -> Iterable[Exception]:
    if isinstance(error, ExceptionGroup):
        return [leaf for part in error.exceptions for leaf in _leaves(part)]
    return [error]
