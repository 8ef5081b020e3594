"""No execution passes the 25,000 events that Step Functions allows its history."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from dropscale.ledger.states import DropState
from dropscale.magichour.errors import DeadlinePassed
from dropscale.pipeline.parts.execution import (
    CaughtError,
    ErrorReport,
    ExecutionState,
    HistoryFull,
)
from dropscale.pipeline.parts.follow import Timing
from dropscale.pipeline.parts.poll_schedule import PollSchedule
from tests.fakes import png
from tests.world import World

MOST_EVENTS = 25_000
MOST_PAUSES = 1500
STATES: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parents[3] / "functions/upscale.asl.yaml").read_text()
)["States"]


def most_events(name: str) -> int:
    """Return how many events a state writes at most: entered, exited, and three for each try."""
    state = STATES[name]
    if state["Type"] != "Task":
        return 2
    if state["Resource"].endswith(".waitForTaskToken"):
        return 6  # after the function's start, its answer and how the wait ends
    retries: int = sum(rule["MaxAttempts"] for rule in state.get("Retry", []))
    return 2 + 3 * (1 + retries)


WAIT = sum(map(most_events, ("ChooseByStatus", "AwaitEvent", "WaitForRender")))
LAP = WAIT + most_events("CheckProject")
UNTIMELY_WAKE = most_events("Deliver") + most_events("ChooseAfterDelivery")
REST = sum(map(most_events, STATES)) + 2


def looks(world: World, state: ExecutionState, untimely: bool) -> tuple[int, Exception]:
    """Return how often an execution looks at a project that never ends, and what ends it.

    `untimely`: each wait is ended by an event which deliver finds to be wrong.
    """
    error = CaughtError(Error="ProjectNotComplete") if untimely else None
    for number in range(1, MOST_EVENTS):
        world.clock.advance(seconds=state.wait_seconds)
        try:
            state = world.check(state.model_copy(update={"error": error}))
        except (HistoryFull, DeadlinePassed) as error:
            return number, error
    raise AssertionError("it never ends")


def watched(world: World) -> ExecutionState:
    """Return the state of the one execution that has not ended."""
    (state,) = world.running()
    return state


@given(
    first=st.integers(1, 300),
    cap=st.integers(1, 300),
    deadline=st.integers(60, 43_200),
    webhooks=st.booleans(),
)
@example(first=1, cap=1, deadline=43_200, webhooks=False)
@example(first=1, cap=1, deadline=43_200, webhooks=True)
def test_no_parameters_fill_a_history(first: int, cap: int, deadline: int, webhooks: bool) -> None:
    timing = Timing(first, deadline, webhooks)
    world = World(timing=timing, schedule=PollSchedule(cap, patience=0))
    world.drop("a.png", png())
    begin, in_all, ended = world.clock(), 0, Exception()
    while not isinstance(ended, DeadlinePassed):
        state = watched(world)
        taken, ended = looks(world, state, untimely=webhooks)
        in_all += taken
        assert taken * (LAP + webhooks * UNTIMELY_WAKE) + REST <= MOST_EVENTS
        world.fail(state, type(ended).__name__, ErrorReport.of(ended).model_dump_json())

    assert world.clock() - begin <= timedelta(seconds=deadline + 1)
    # Pauses that have not grown yet come beside those.
    assert in_all <= MOST_PAUSES + 100
    assert world.row("a.png").state is DropState.TIMED_OUT


def test_a_renewed_execution_delivers(world: World) -> None:
    world.drop("a.png", png())
    state = watched(world)

    world.fail(state, "HistoryFull")
    world.fail(state, "HistoryFull")

    renewed = watched(world)
    assert (renewed.generation, renewed.deadline) == (state.generation + 1, state.deadline)
    world.upscaler.finish()
    world.run_executions()
    assert world.row("a.png").state is DropState.DELIVERED
