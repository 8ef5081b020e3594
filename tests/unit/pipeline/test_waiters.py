"""What ends the wait of an execution: an event of its project, its own look, or its time."""

from datetime import timedelta
from functools import partial
from itertools import repeat
from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dropscale.ledger.states import DropState
from dropscale.magichour.webhooks import EventKind
from dropscale.pipeline.parts.execution import CaughtError, ExecutionState
from dropscale.pipeline.parts.follow import Timing
from dropscale.pipeline.parts.poll_schedule import SHORTEST_CALLBACK, PollSchedule
from dropscale.pipeline.parts.waiters import MOST_WOKEN
from dropscale.upscaler import ProjectStatus
from tests.chaos.simulated_stack import Setting, SimulatedStack
from tests.chaos.vendor import Plan, Vendor
from tests.fakes import Clock, png
from tests.world import World

WEBHOOKS = Timing(first_check=30, deadline=3600, webhooks=True)
STARTED, COMPLETED, ERRORED = EventKind
COMPLETE, ERROR = ProjectStatus.COMPLETE, ProjectStatus.ERROR

Events = list[tuple[float, EventKind]]


@pytest.fixture
def waiting() -> World:
    world = World(timing=WEBHOOKS)
    world.drop("a.png", png())
    return world


def only(world: World) -> ExecutionState:
    (state,) = world.running()
    return state


def played(plan: Plan, events: Events) -> SimulatedStack:
    """Return what came of a drop whose project sends events, so many seconds after its create."""
    stack = SimulatedStack(Vendor(Clock(), plans=repeat(plan)), Setting(timing=WEBHOOKS))
    stack.put("a.png", png())

    def send() -> None:
        if not stack.vendor.book:
            stack.time.after(0.1, send)
            return
        (job,), (entry,) = stack.ledger.jobs.values(), stack.vendor.book.values()
        for seconds, kind in events:
            late = (entry.created_at - stack.clock.now).total_seconds() + seconds
            wake = partial(stack.world.wake_waiters, job.fingerprint, entry.id, kind)
            stack.time.after(late, wake)

    send()
    stack.settle(timedelta(hours=2))
    return stack


def row(stack: SimulatedStack) -> DropState:
    (drop,) = stack.ledger.drops.values()
    return drop.state


def test_a_project_that_is_watched_late_can_still_be_waited_for(waiting: World) -> None:
    waiting.clock.advance(minutes=30)
    waiting.drop("copy.png", png())

    assert waiting.running()[1].wait_seconds == SHORTEST_CALLBACK


def test_an_execution_that_only_completed_wakes_takes_four_transitions() -> None:
    stack = played(Plan(12), [(12.2, COMPLETED)])

    assert (row(stack), stack.transitions) == (DropState.DELIVERED, 4)
    assert stack.invoked["check"] == 1


@pytest.mark.parametrize(
    ("events", "transitions"),
    [
        pytest.param([], 6, id="lost"),
        pytest.param([(3, STARTED)], 6, id="started alone"),
        pytest.param([(22, COMPLETED)] * 3, 4, id="repeated"),
        pytest.param([(22, ERRORED)], 6, id="wrong, but it leads to a look"),
        pytest.param([(5, ERRORED), (22, COMPLETED)], 7, id="of an end that was none"),
    ],
)
def test_whatever_events_come_the_result_is_delivered_once(
    events: Events, transitions: int
) -> None:
    stack = played(Plan(21), events)

    assert (row(stack), stack.transitions) == (DropState.DELIVERED, transitions)
    assert len(stack.vendor.book) == 1
    assert stack.ledger.waiters == {}


@given(
    seconds=st.floats(0.5, 90),
    verdict=st.sampled_from([COMPLETE, ERROR, ProjectStatus.CANCELED]),
    events=st.lists(st.tuples(st.floats(0, 120), st.sampled_from(EventKind)), max_size=6),
)
@example(seconds=60, verdict=COMPLETE, events=[(5, COMPLETED)])
def test_events_decide_nothing(seconds: float, verdict: ProjectStatus, events: Events) -> None:
    ends = {COMPLETE: DropState.DELIVERED, ERROR: DropState.FAILED}
    stack = played(Plan(seconds, verdict), events)

    assert row(stack) is ends.get(verdict, DropState.CANCELED)
    assert len(stack.vendor.book) == 1
    assert stack.ledger.waiters == {}
    assert stack.ledger.taken == 0


@pytest.mark.parametrize(("status", "how"), [(COMPLETE, "deliver"), (ERROR, "look")])
def test_a_project_that_ended_before_the_wait_ends_it(
    waiting: World, status: ProjectStatus, how: str
) -> None:
    waiting.upscaler.finish(status)

    assert waiting.wait(only(waiting)) == how


def test_the_token_is_stored_before_the_look(waiting: World) -> None:
    """So an event can only come before the look that sees it, or find the token."""
    state = only(waiting)
    waiting.upscaler.before_look = lambda: waiting.wake_waiters(
        state.fingerprint, state.project_id, COMPLETED
    )

    assert waiting.wait(state) == "deliver"


@pytest.mark.parametrize("first_to_look", ["check", "another wait"])
def test_a_look_of_another_drop_hides_no_event(waiting: World, first_to_look: str) -> None:
    """A project ends, and its event comes, after another drop's look and before the token."""
    waiting.drop("copy.png", png())
    first, second = waiting.running()
    if first_to_look == "check":
        waiting.check(first)
    else:
        assert waiting.wait(first) is None
    waiting.upscaler.finish()
    waiting.wake_waiters(first.fingerprint, first.project_id, COMPLETED)

    assert waiting.wait(second) == "deliver"


def test_one_event_wakes_at_most_25_and_the_others_look(waiting: World) -> None:
    for number in range(MOST_WOKEN + 4):
        waiting.drop(f"{number}.png", png())
    states = waiting.running()
    for state in states:
        assert waiting.wait(state) is None
    job = waiting.only_job
    waiting.upscaler.finish()
    waiting.clock.advance(seconds=4)

    assert waiting.wake_waiters(job.fingerprint, "another project", COMPLETED) == 0
    assert waiting.wake_waiters(job.fingerprint, states[0].project_id, COMPLETED) == MOST_WOKEN
    waiting.run_executions()
    assert {drop.state for drop in waiting.ledger.drops.values()} == {DropState.DELIVERED}
    assert waiting.ledger.waiters == {}


def test_a_dead_token_is_normal(waiting: World) -> None:
    state = only(waiting)
    waiting.wait(state)
    waiting.callbacks.dead.update(waiter.token for waiter in waiting.ledger.waiters.values())
    assert waiting.wake_waiters(state.fingerprint, state.project_id, COMPLETED) == 0

    waiting.callbacks.deliver = lambda token: False  # type: ignore[method-assign]
    waiting.upscaler.finish()
    waiting.wait(state)
    assert waiting.ledger.waiters == {}


@pytest.mark.parametrize("status", [COMPLETE, ERROR])
def test_a_result_is_reported_although_the_row_of_its_wait_cannot_be_removed(
    waiting: World, status: ProjectStatus
) -> None:
    """As after webhooks were turned off: the roles may remove no rows then."""
    with mock.patch.object(waiting.ledger, "remove_waiter", side_effect=PermissionError):
        waiting.wait(only(waiting))
        waiting.finish_all(status)

    ends = {COMPLETE: DropState.DELIVERED, ERROR: DropState.FAILED}
    assert waiting.row("a.png").state is ends[status]


def test_a_renewed_execution_waits_with_a_token_of_its_own(waiting: World) -> None:
    state = only(waiting)
    waiting.wait(state)
    waiting.fail(state, "HistoryFull")
    renewed = only(waiting)
    waiting.wait(renewed)
    waiting.clock.advance(seconds=1)
    waiting.wait(state)  # Lambda runs the earlier one again.

    (waiter,) = waiting.ledger.waiters.values()
    assert (waiter.generation, renewed.webhooks) == (state.generation + 1, True)


def test_a_verdict_is_reported_without_the_error_of_an_event_that_came_too_soon(
    waiting: World,
) -> None:
    untimely = CaughtError(Error="ProjectNotComplete")
    waiting.upscaler.finish(ERROR)

    found = waiting.check(only(waiting).model_copy(update={"error": untimely}))

    assert (found.status, found.error) == (ERROR, None)


def test_a_state_of_an_earlier_version_only_polls(waiting: World) -> None:
    told = only(waiting).to_json()
    del told["webhooks"]
    earlier = ExecutionState.model_validate(told)

    assert waiting.check(earlier).webhooks is False


@given(cap=st.integers(1, 300), age=st.integers(0, 43_200), deadline=st.integers(60, 43_200))
def test_a_pause_between_two_looks_is_never_longer_than_polling_may_make_it(
    cap: int, age: int, deadline: int
) -> None:
    schedule = PollSchedule(cap, shortest=1000)
    polls, waits = (
        next_wait(0, age, deadline) for next_wait in (schedule.next_wait, schedule.next_callback)
    )

    assert waits == polls or polls < waits == min(SHORTEST_CALLBACK, deadline - age)
