"""Each sample in events/ is taken by the handler it is named after."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dropscale.aws.invocation import logger
from dropscale.ledger.drops import Drop, Source
from dropscale.pipeline.parts.execution import ExecutionState
from dropscale.pipeline.submit import SubmitOutcome, Submitted
from dropscale.specs.keys import KeyKind
from functions.check import app as check
from functions.deliver import app as deliver
from functions.fail import app as fail
from functions.submit import app as submit
from functions.sweep import app as sweep
from tests.lambda_context import FakeLambdaContext
from tests.names.events import DEAD, LOOKED_AT, MESSAGES, WARNED, body_of
from tests.world import World

EVENTS = Path(__file__).parents[2] / "events"
HARD_KEY = "été 2026/a+b %20 'c' \"d\".jpg"
DROP = Drop(id="d", source=Source(bucket="in", key=HARD_KEY, etag="e"))


def event(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return found


def test_every_sample_is_tested_here() -> None:
    text = Path(__file__).read_text()

    assert {path.stem for path in EVENTS.iterdir() if f'"{path.stem}"' not in text} == set()


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("submit-eventbridge-in-sqs", HARD_KEY),
        ("submit-s3-notification-in-sqs", HARD_KEY),
        ("submit-s3-put", "photos/cat one.jpg"),
    ],
)
def test_submit_gets_the_key_as_it_was_dropped(
    monkeypatch: pytest.MonkeyPatch, name: str, key: str
) -> None:
    seen: list[tuple[str, str]] = []

    def use_case(bucket: str, key: str, remaining: Callable[[], float]) -> Submitted:
        seen.append((bucket, key))
        return Submitted(SubmitOutcome.IGNORED, KeyKind.OTHER)

    settings = SimpleNamespace(input_bucket="dropscale-inputbucket", input_prefix="")
    monkeypatch.setattr(submit, "_settings", lambda: settings)
    monkeypatch.setattr(submit, "_submit", lambda: use_case)

    submit.handler(event(name), FakeLambdaContext())

    assert seen == [("dropscale-inputbucket", key)]


def test_check_answers_the_input_of_the_next_state(monkeypatch: pytest.MonkeyPatch) -> None:
    def use_case(state: ExecutionState) -> ExecutionState:
        return state.model_copy(update={"wait_seconds": 7})

    monkeypatch.setattr(check, "_check", lambda: use_case)

    answer = check.handler(event("check"), FakeLambdaContext())

    assert answer == {**event("check"), "wait_seconds": 7}


def test_check_begins_the_wait_that_its_token_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    use_case = SimpleNamespace(begin_wait=lambda *what: seen.extend(what))
    monkeypatch.setattr(check, "_check", lambda: use_case)
    sample = event("check-wait")

    assert check.handler(sample, FakeLambdaContext()) == {}
    state, token, entered = seen
    assert isinstance(state, ExecutionState)
    assert state.to_json() == sample["state"]
    assert (token, entered) == (sample["task_token"], datetime.fromisoformat(sample["entered"]))


@pytest.mark.parametrize(
    ("app", "name"),
    [
        (deliver, "deliver"),
        (fail, "fail-project-error"),
        (fail, "fail-caught-error"),
    ],
)
def test_the_last_states_take_what_the_state_machine_hands_them(
    monkeypatch: pytest.MonkeyPatch, app: Any, name: str
) -> None:
    seen: list[ExecutionState] = []

    def use_case(state: ExecutionState, remaining: Callable[[], float]) -> Drop:
        seen.append(state)
        return DROP

    monkeypatch.setattr(app, f"_{name.partition('-')[0]}", lambda: use_case)

    answer = app.handler(event(name), FakeLambdaContext())

    assert seen[0].to_json() == event(name)
    assert answer == {"drop_id": "d", "state": "waiting"}


@pytest.mark.parametrize(
    ("app", "name", "use_case"),
    [
        (check, "check", "check"),
        (deliver, "deliver", "deliver_result"),
        (fail, "fail-project-error", "report_failure"),
        (fail, "fail-caught-error", "report_failure"),
    ],
)
def test_of_a_drop_that_is_not_in_the_ledger_the_error_says_so(
    monkeypatch: pytest.MonkeyPatch, app: Any, name: str, use_case: str
) -> None:
    world = World()
    monkeypatch.setattr(app, f"_{name.partition('-')[0]}", lambda: getattr(world, use_case))

    with pytest.raises(Exception, match=r"this (drop|job) is not in the ledger: ") as caught:
        app.handler(event(name), FakeLambdaContext())

    assert caught.typename == "NotInLedger"


def test_sweep_says_what_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(listens=False)
    world.drop("text.png", b"not an image")
    world.clock.advance(minutes=2)
    monkeypatch.setattr(sweep, "_sweep", lambda: world.sweep_once)

    assert sweep.handler(event("sweep-schedule"), FakeLambdaContext())["projected"] == 1


@pytest.mark.parametrize("name", MESSAGES)
def test_each_message_is_looked_at_acknowledged_or_a_dead_letter(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    seen: list[str] = []

    def use_case(bucket: str, key: str, remaining: Callable[[], float]) -> Submitted:
        seen.append(key)
        return Submitted(SubmitOutcome.IGNORED, KeyKind.OTHER)

    settings = SimpleNamespace(input_bucket="input", input_prefix="", max_receives=5)
    monkeypatch.setattr(submit, "_settings", lambda: settings)
    monkeypatch.setattr(submit, "_submit", lambda: use_case)
    warnings: list[object] = []
    monkeypatch.setattr(logger, "warning", lambda text, *, shape: warnings.append((text, shape)))
    message, expected = MESSAGES[name]
    record = {
        "messageId": "1",
        "eventSource": "aws:sqs",
        "body": body_of(message),
        "attributes": {"ApproximateReceiveCount": "1"},
    }

    answer = submit.handler({"Records": [record]}, FakeLambdaContext())

    assert answer is not None
    assert bool(answer["batchItemFailures"]) is (expected == DEAD)
    assert seen == (["a b.png"] if expected == LOOKED_AT else [])
    assert bool(warnings) is (expected == WARNED)
