"""Interprets upscale.asl.yaml in virtual time: its states, and its rules for retry and catch."""

import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from greenlet import greenlet

from dropscale.pipeline.parts.execution import ErrorReport
from tests.chaos.deployment import FIRST_STATE, FIRST_STATE_WITH_WEBHOOKS, MACHINE
from tests.chaos.outside_calls import Invocation, Killed
from tests.chaos.virtual_time import Signal, VirtualTime

Invoke = Callable[[str, Any], Invocation]


@dataclass
class TaskFailed(Exception):
    """A task's error as the state machine sees it."""

    error: str
    cause: str


@dataclass
class _Wait:
    """A wait that a task token ends, once; `failure` None: in success."""

    ended: Signal
    failure: TaskFailed | None = None


@dataclass
class Tokens:
    """A `dropscale.pipeline.parts.ports.TaskCallbacks`: the tokens of all waits that go on."""

    time: VirtualTime
    _waits: dict[str, _Wait] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=count)

    def begin(self) -> tuple[str, _Wait]:
        token, wait = f"token-{next(self._numbers)}", _Wait(Signal(self.time))
        self._waits[token] = wait
        return token, wait

    def deliver(self, token: str) -> bool:
        return self.end(token, None)

    def look(self, token: str) -> bool:
        return self.end(token, TaskFailed("LookAgain", ""))

    def end(self, token: str, failure: TaskFailed | None) -> bool:
        wait = self._waits.pop(token, None)
        if wait is None:
            return False
        wait.failure = failure
        wait.ended.set()
        return True


@dataclass(frozen=True)
class StateMachine:
    """Runs executions; `invoke` starts a function by its name.

    `count` is called for each transition that is billed: the start, a state, a retry.
    https://aws.amazon.com/step-functions/pricing/
    """

    time: VirtualTime
    random: random.Random
    invoke: Invoke
    tokens: Tokens
    count: Callable[[], None]

    def run(self, data: Any) -> None:
        """Run one execution to its end, in the current task."""
        name: str | None = FIRST_STATE_WITH_WEBHOOKS if data["webhooks"] else FIRST_STATE
        self.count()
        while name is not None:
            self.count()
            name, data = self._entered(MACHINE["States"][name], data)

    def _entered(self, state: Any, data: Any) -> tuple[str | None, Any]:
        match state["Type"]:
            case "Wait":
                self.time.sleep(data[state["SecondsPath"].removeprefix("$.")])
            case "Task":
                return self._task(state, data)
            case "Choice":
                return _chosen(state, data), data
            case "Pass":
                cause = re.sub(
                    r"^States.Format\('(.*)', .*\)$", r"\1", state["Parameters"]["Cause.$"]
                )
                data = {**data, "error": {"Error": state["Parameters"]["Error"], "Cause": cause}}
        return state.get("Next"), data

    def _task(self, state: Any, data: Any) -> tuple[str | None, Any]:
        retries = [0] * len(state.get("Retry", []))
        is_callback = state["Resource"].endswith(".waitForTaskToken")
        while True:
            try:
                answer = (self._awaited if is_callback else self._attempted)(state, data)
                # The only other path there is throws the answer away.
                keeps_input = state.get("ResultPath", "$") is None
                return state.get("Next"), data if keeps_input else answer
            except TaskFailed as failed:
                if self._is_retried(state.get("Retry", []), failed.error, retries):
                    continue
                for catch in state.get("Catch", []):
                    if not {failed.error, "States.ALL"} & {*catch["ErrorEquals"]}:
                        continue
                    if catch["ResultPath"] is None:
                        return catch["Next"], data
                    # The only other path there is puts the error in $.error.
                    caught = {"Error": failed.error, "Cause": failed.cause}
                    return catch["Next"], {**data, "error": caught}
                return None, data

    def _is_retried(self, rules: list[Any], error: str, retries: list[int]) -> bool:
        for index, rule in enumerate(rules):
            if error in rule["ErrorEquals"]:
                if retries[index] == rule["MaxAttempts"]:
                    return False
                grown = rule["IntervalSeconds"] * rule["BackoffRate"] ** retries[index]
                self.time.sleep(self.random.uniform(0, min(grown, rule["MaxDelaySeconds"])))
                retries[index] += 1
                self.count()
                return True
        return False

    def _awaited(self, state: Any, data: Any) -> None:
        """Wait until somebody ends the wait by its token."""
        token, wait = self.tokens.begin()
        entered = self.time.clock.now.isoformat()
        event = {"state": data, "task_token": token, "entered": entered}
        seconds = data[state["TimeoutSecondsPath"].removeprefix("$.")]

        def start() -> None:
            try:
                self._answer(state, event, seconds)
            except TaskFailed as failed:
                self.tokens.end(token, failed)

        self.time.spawn(greenlet(start))
        if not wait.ended.wait(seconds) and self.tokens.end(token, None):
            raise TaskFailed("States.Timeout", "")
        if wait.failure is not None:
            raise wait.failure

    def _attempted(self, state: Any, data: Any) -> Any:
        return self._answer(state, data, state["TimeoutSeconds"])

    def _answer(self, state: Any, event: Any, seconds: float) -> Any:
        """Return a function's answer, if it comes in time."""
        function = state["Parameters"]["FunctionName"].removeprefix("${").lower()
        invocation = self.invoke(
            function.removesuffix("functionarn}"), json.loads(json.dumps(event))
        )
        if not invocation.ended.wait(seconds):
            raise TaskFailed("States.Timeout", "")
        if isinstance(invocation.error, Killed):
            raise TaskFailed("Runtime.ExitError", '{"errorMessage": "the runtime exited"}')
        if invocation.error is not None:
            report = ErrorReport.of(invocation.error).model_dump_json()
            message = json.dumps({"errorMessage": report})
            raise TaskFailed(type(invocation.error).__name__, message)
        return invocation.answer


def _chosen(state: Any, data: Any) -> str:
    following: str = next(
        (choice["Next"] for choice in state["Choices"] if _holds(choice, data)), state["Default"]
    )
    return following


def _holds(rule: Any, data: Any) -> bool:
    if "Or" in rule:
        return any(_holds(one, data) for one in rule["Or"])
    if "And" in rule:
        return all(_holds(one, data) for one in rule["And"])
    found = data
    for name in rule["Variable"].removeprefix("$.").split("."):
        found = found.get(name) if found else None
    if "IsPresent" in rule:
        return found is not None
    if "NumericGreaterThanEquals" in rule:
        return bool(found >= rule["NumericGreaterThanEquals"])
    return bool(found == rule.get("StringEquals", rule.get("BooleanEquals")))
