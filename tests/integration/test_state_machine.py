"""functions/upscale.asl.yaml at work: every state, transition, Retry and Catch.

States and errors are taken from the definition, so a new Retry or Catch is tested as it comes.
"""

import hashlib
import threading
from collections.abc import Callable, Iterator
from functools import cache
from itertools import cycle, islice, pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from dropscale.ledger.store import LedgerConflict
from dropscale.magichour.errors import ServerFault, UnknownProjectStatus
from dropscale.magichour.webhooks import EventKind
from dropscale.pipeline.parts.delivery_errors import ProjectNotComplete
from dropscale.upscaler import ProjectStatus
from tests.aws_calls.call_log import CallLog
from tests.chaos.deployment import FIRST_STATE, FIRST_STATE_WITH_WEBHOOKS
from tests.integration.upscale_machine import (
    DEADLINE_SECONDS,
    VENDOR_ERROR,
    Ended,
    Scenario,
    UpscaleMachine,
    deployed_machine,
    failing,
    is_wait,
)

Run = Callable[[Scenario], Ended]
Transition = tuple[str | None, str | None]

ASL: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parents[2] / "functions/upscale.asl.yaml").read_text()
)
STATES: dict[str, Any] = ASL["States"]
TASKS = [name for name, state in STATES.items() if state["Type"] == "Task" and not is_wait(state)]
CAUGHT_TASKS = [name for name in TASKS if "Catch" in STATES[name]]
UNCAUGHT_TASKS = [name for name in TASKS if "Catch" not in STATES[name]]

UNFORESEEN = "Unforeseen"
"""The name of an error that the definition names nowhere."""

DELIVERED = Scenario([ProjectStatus.QUEUED, ProjectStatus.RENDERING, ProjectStatus.COMPLETE])
VENDOR_FAILED = Scenario([ProjectStatus.QUEUED, ProjectStatus.ERROR])
CANCELED = Scenario([ProjectStatus.CANCELED])
DRAFT_FOR_EVER = Scenario([ProjectStatus.DRAFT])
RENDERING_FOR_EVER = Scenario([ProjectStatus.QUEUED, ProjectStatus.RENDERING])
UNKNOWN_TO_CHECK = Scenario([UnknownProjectStatus("GET the project", project_status="paused")])
PASSING = Scenario(
    [
        ServerFault("GET the project", status=200, message="body: json_invalid"),
        UnknownProjectStatus("GET the project", project_status="paused"),
        ProjectStatus.RENDERING,
        ServerFault("GET the project", status=403),
        ProjectStatus.COMPLETE,
    ]
)
HISTORY_FULL = Scenario(
    [ProjectStatus.RENDERING],
    {"CheckProject": [failing("HistoryFull")], "ReportFailure": [lambda _: None]},
)
WOKEN = Scenario(DELIVERED.vendor[1:], events=[EventKind.COMPLETED])
NOT_WOKEN = Scenario(DELIVERED.vendor, events=[None])
WOKEN_TO_LOOK = Scenario(VENDOR_FAILED.vendor, events=[EventKind.ERRORED])
ENDED_BEFORE = Scenario([ProjectStatus.ERROR], events=[None])
WOKEN_TOO_SOON = Scenario(
    [*[ProjectStatus.RENDERING] * 6, ProjectStatus.COMPLETE], events=[EventKind.COMPLETED]
)
NOT_WAITING = Scenario(
    DELIVERED.vendor[2:], {"AwaitEvent": [failing(UNFORESEEN)]}, events=[EventKind.COMPLETED]
)
UNKNOWN_TO_THE_MACHINE = Scenario(
    [ProjectStatus.QUEUED], {"CheckProject": [lambda state: {**state, "status": "paused"}]}
)

PASSING_THROUGH = {"CheckProject": DELIVERED, "Deliver": DELIVERED, "ReportFailure": VENDOR_FAILED}
"""For each Task state, how an execution comes through it; a new one needs an entry."""


def disturbed(state: str, errors: list[str]) -> Scenario:
    """Return a scenario whose function of a state first fails with these errors, one by one."""
    return Scenario(PASSING_THROUGH[state].vendor, {state: [failing(error) for error in errors]})


def attempts(retrier: dict[str, Any]) -> int:
    """Return how often a state is tried again by a Retry; 3 is the language's default."""
    return int(retrier.get("MaxAttempts", 3))


def passing_errors() -> Iterator[pytest.ParameterSet]:
    """Yield each state with every error that it retries, as many at once as it puts up with."""
    for name in TASKS:
        for retrier in STATES[name].get("Retry", []):
            errors, most = retrier["ErrorEquals"], attempts(retrier)
            for start in range(0, len(errors), most):
                some = errors[start : start + most]
                yield pytest.param(name, some, id=f"{name}: {', '.join(some)}")


def exhausting_errors(states: list[str]) -> Iterator[pytest.ParameterSet]:
    """Yield each state with one error more than each of its Retries puts up with."""
    for name in states:
        for retrier in STATES[name].get("Retry", []):
            errors = list(islice(cycle(retrier["ErrorEquals"]), attempts(retrier) + 1))
            yield pytest.param(name, errors, id=f"{name}: {len(errors)} from {errors[0]} on")


CATCHES = {
    name: disturbed(name, [UNFORESEEN])
    for name in CAUGHT_TASKS
    if ["States.ALL"] in [catcher["ErrorEquals"] for catcher in STATES[name]["Catch"]]
}


@pytest.fixture(scope="module")
def machine(aws_calls: CallLog) -> Iterator[UpscaleMachine]:
    with deployed_machine(aws_calls) as deployed:
        yield deployed


@pytest.fixture(scope="module")
def run(machine: UpscaleMachine) -> Run:
    """Run a scenario; the same one only once."""
    return cache(machine.run)


def test_a_complete_project_is_delivered(machine: UpscaleMachine, run: Run) -> None:
    ended = run(DELIVERED)

    assert ended.verdict == ("SUCCEEDED", None, "delivered", None)
    timeline = [entry["state"] for entry in ended.manifest["timeline"]]
    assert timeline[-3:] == ["submitted", "rendering", "delivered"]
    (job,) = ended.manifest["jobs"]
    assert job["credits_charged"] == 50
    delivered = machine.output(job["output"]["key"])
    assert delivered == machine.vendor.result
    assert job["output"]["sha256"] == hashlib.sha256(delivered).hexdigest()


def test_answers_that_say_nothing_are_no_verdict(run: Run) -> None:
    ended = run(PASSING)

    assert ended.verdict == ("SUCCEEDED", None, "delivered", None)
    assert ended.invocations["CheckProject"] == len(PASSING.vendor)


def test_a_failed_project_shows_why_and_that_nothing_is_charged(run: Run) -> None:
    ended = run(VENDOR_FAILED)

    assert ended.verdict == ("FAILED", "UpscaleFailed", "failed", VENDOR_ERROR["code"])
    assert ended.manifest["reason"]["message"] == VENDOR_ERROR["message"]
    assert ended.manifest["jobs"][0]["credits_charged"] == 0


@pytest.mark.parametrize(
    ("scenario", "state", "reason"),
    [
        pytest.param(CANCELED, "canceled", "ProjectCanceled", id="canceled"),
        pytest.param(DRAFT_FOR_EVER, "timed_out", "DeadlinePassed", id="draft for ever"),
        pytest.param(RENDERING_FOR_EVER, "timed_out", "DeadlinePassed", id="rendering for ever"),
        pytest.param(UNKNOWN_TO_CHECK, "timed_out", "DeadlinePassed", id="unknown to check"),
        pytest.param(
            UNKNOWN_TO_THE_MACHINE, "timed_out", "DeadlinePassed", id="unknown to the machine"
        ),
    ],
)
def test_a_project_without_a_result_is_reported(
    run: Run, scenario: Scenario, state: str, reason: str
) -> None:
    ended = run(scenario)

    assert ended.verdict == ("FAILED", "UpscaleFailed", state, reason)
    assert ended.manifest["reason"]["message"]
    assert ended.manifest["reason"]["fix"]


def test_waits_and_retries_pass_in_virtual_time(run: Run) -> None:
    assert run(DRAFT_FOR_EVER).seconds == pytest.approx(DEADLINE_SECONDS, abs=1)

    retried = run(disturbed("CheckProject", [LedgerConflict.__name__] * 5))

    assert retried.seconds > run(DELIVERED).seconds


@pytest.mark.parametrize(
    ("scenario", "entered"),
    [
        pytest.param(WOKEN, "Choose Await Deliver", id="complete"),
        pytest.param(NOT_WOKEN, "Choose Await Check Choose Await Deliver", id="lost"),
        pytest.param(
            WOKEN_TOO_SOON, "Choose Await Deliver Choose Check Choose Await Deliver", id="too soon"
        ),
        pytest.param(NOT_WAITING, "Choose Await Wait Check Choose Deliver", id="without a wait"),
    ],
)
def test_an_event_ends_a_wait_and_without_it_its_time_does(
    run: Run, scenario: Scenario, entered: str
) -> None:
    ended = run(scenario)

    assert ended.verdict == run(DELIVERED).verdict
    assert len(ended.entered) == len(entered.split())
    for state, begin in zip(ended.entered, entered.split(), strict=True):
        assert state.startswith(begin)


@pytest.mark.parametrize("scenario", [WOKEN_TO_LOOK, ENDED_BEFORE], ids=["event", "look"])
def test_an_error_seen_in_a_wait_is_looked_at_before_it_is_reported(
    run: Run, scenario: Scenario
) -> None:
    ended, polled = run(scenario), run(VENDOR_FAILED)

    assert ended.verdict == polled.verdict
    assert ended.entered[1:3] == ("AwaitEvent", "CheckProject")
    assert ended.manifest["reason"] == polled.manifest["reason"]


@pytest.mark.parametrize(("state", "errors"), [*passing_errors()])
def test_errors_that_pass_are_retried_and_leave_no_trace(
    run: Run, state: str, errors: list[str]
) -> None:
    ended, undisturbed = run(disturbed(state, errors)), run(PASSING_THROUGH[state])

    assert ended.verdict == undisturbed.verdict
    assert ended.entered == undisturbed.entered
    assert ended.invocations[state] == undisturbed.invocations[state] + len(errors)


@pytest.mark.parametrize(("state", "errors"), [*exhausting_errors(CAUGHT_TASKS)])
def test_errors_that_do_not_pass_are_reported_in_the_end(
    run: Run, state: str, errors: list[str]
) -> None:
    ended = run(disturbed(state, errors))

    assert ended.verdict == ("FAILED", "UpscaleFailed", "timed_out", errors[-1])
    assert ended.invocations[state] == len(errors)
    assert "seven more days" in ended.manifest["reason"]["fix"]


@pytest.mark.parametrize(("state", "errors"), [*exhausting_errors(UNCAUGHT_TASKS)])
def test_errors_that_do_not_pass_where_nothing_catches_them_fail_the_execution(
    run: Run, state: str, errors: list[str]
) -> None:
    ended = run(disturbed(state, errors))

    assert (ended.status, ended.error) == ("FAILED", errors[-1])
    assert ended.invocations[state] == len(errors)


@pytest.mark.parametrize("state", CAUGHT_TASKS)
def test_every_other_error_is_caught_and_reported(run: Run, state: str) -> None:
    ended = run(CATCHES[state])

    assert ended.verdict == ("FAILED", "UpscaleFailed", "failed", UNFORESEEN)
    assert UNFORESEEN in ended.manifest["reason"]["message"]
    assert ended.manifest["reason"]["fix"]


@pytest.mark.parametrize("state", TASKS)
def test_a_task_that_hangs_times_out_and_is_tried_again(
    machine: UpscaleMachine, run: Run, state: str
) -> None:
    undisturbed = run(PASSING_THROUGH[state])
    over = threading.Event()
    try:
        ended = machine.run(
            Scenario(PASSING_THROUGH[state].vendor, {state: [lambda _: over.wait()]}, 1)
        )
    finally:
        over.set()

    assert ended.verdict == undisturbed.verdict
    assert ended.entered == undisturbed.entered
    assert ended.invocations[state] > undisturbed.invocations[state]


def test_a_paid_result_that_lambda_could_not_deliver_in_time_is_delivered_later(
    machine: UpscaleMachine,
) -> None:
    message = "RequestId: 1 Error: Task timed out after 300.00 seconds"
    (retrier,) = (r for r in STATES["Deliver"]["Retry"] if "Sandbox.Timedout" in r["ErrorEquals"])
    time_outs = [failing("Sandbox.Timedout", message)] * (attempts(retrier) + 1)
    ended = machine.run(Scenario(DELIVERED.vendor, {"Deliver": time_outs}))
    assert ended.verdict == ("FAILED", "UpscaleFailed", "timed_out", "Sandbox.Timedout")
    assert ended.manifest["reason"]["message"] == message
    machine.clock.advance(minutes=5)

    assert machine.sweep().verdict == ("SUCCEEDED", None, "delivered", None)


def test_the_sweeper_reports_the_failure_that_could_not_be_reported(
    machine: UpscaleMachine, run: Run
) -> None:
    ended = machine.run(disturbed("ReportFailure", [UNFORESEEN]))
    assert ended.verdict == ("FAILED", UNFORESEEN, "submitted", None)
    machine.clock.advance(minutes=5)

    assert machine.sweep().verdict == run(VENDOR_FAILED).verdict


def test_the_sweeper_delivers_what_comes_after_an_unreported_deadline(
    machine: UpscaleMachine,
) -> None:
    late = Scenario(RENDERING_FOR_EVER.vendor, {"ReportFailure": [failing(UNFORESEEN)]})
    ended = machine.run(late)
    assert ended.verdict == ("FAILED", UNFORESEEN, "rendering", None)
    machine.vendor.step(ProjectStatus.COMPLETE)

    assert machine.sweep().verdict == ("SUCCEEDED", None, "delivered", None)


def test_every_state_and_every_transition_is_visited_by_these_tests(run: Run) -> None:
    # Retries stay within a state.
    scenarios = [
        *(DELIVERED, VENDOR_FAILED, CANCELED, DRAFT_FOR_EVER, RENDERING_FOR_EVER),
        *(UNKNOWN_TO_CHECK, UNKNOWN_TO_THE_MACHINE, HISTORY_FULL, *CATCHES.values()),
        *(WOKEN, NOT_WOKEN, WOKEN_TO_LOOK, WOKEN_TOO_SOON, NOT_WAITING),
        disturbed("Deliver", [ProjectNotComplete.__name__] * 4),
    ]
    visited = {step for scenario in scenarios for step in steps(run(scenario))}

    assert transitions() - visited == set()


def steps(ended: Ended) -> Iterator[Transition]:
    """Yield the transitions that an execution took."""
    yield None, ended.entered[0]
    yield from pairwise(ended.entered)
    yield ended.entered[-1], None


def transitions() -> set[Transition]:
    """Return every transition of the definition; None stands for its start and its end."""
    found: set[Transition] = {(None, FIRST_STATE), (None, FIRST_STATE_WITH_WEBHOOKS)}
    for name, state in STATES.items():
        ways = [state, *state.get("Choices", []), *state.get("Catch", [])]
        found |= {(name, way["Next"]) for way in ways if "Next" in way}
        if "Default" in state:
            found.add((name, state["Default"]))
        if state.get("End") or state["Type"] in {"Fail", "Succeed"}:
            found.add((name, None))
    return found
