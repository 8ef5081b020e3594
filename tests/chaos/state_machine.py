"""Interprets upscale.asl.yaml in virtual time: its states, and its rules for retry and catch."""

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dropscale.pipeline.parts.execution import ErrorReport
from tests.chaos.deployment import MACHINE
from tests.chaos.outside_calls import Invocation, Killed
from tests.chaos.virtual_time import VirtualTime

Invoke = Callable[[str, Any], Invocation]


@dataclass
class TaskFailed(Exception):
    """A task's error as the state machine sees it."""

    error: str
    cause: str


@dataclass(frozen=True)
class StateMachine:
    """Runs executions; `invoke` starts a function by its name.

    `count` is called for each transition that is billed: the start, a state, a retry.
    https://aws.amazon.com/step-functions/pricing/
    """

    time: VirtualTime
    random: random.Random
    invoke: Invoke
    count: Callable[[], None]

    def run(self, data: Any) -> None:
        """Run one execution to its end, in the current task."""
        name: str | None = MACHINE["StartAt"]
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
        retries = [0] * len(state["Retry"])
        while True:
            try:
                answer = self._attempted(state, data)
                # The only other path there is throws the answer away.
                keeps_input = state.get("ResultPath", "$") is None
                return state.get("Next"), data if keeps_input else answer
            except TaskFailed as failed:
                if self._is_retried(state["Retry"], failed.error, retries):
                    continue
                for catch in state.get("Catch", []):
                    # The only catcher there is takes States.ALL and puts the error in $.error.
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

    def _attempted(self, state: Any, data: Any) -> Any:
        function = state["Parameters"]["FunctionName"].removeprefix("${").lower()
        invocation = self.invoke(
            function.removesuffix("functionarn}"), json.loads(json.dumps(data))
        )
        if not invocation.ended.wait(state["TimeoutSeconds"]):
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
    return found is not None if "IsPresent" in rule else bool(found == rule["StringEquals"])
