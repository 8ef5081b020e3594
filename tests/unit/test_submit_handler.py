"""Submit's handler: messages that name many objects, none, or bad ones."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from dropscale.pipeline.submit import SubmitOutcome, Submitted
from dropscale.specs.keys import KeyKind
from functions.submit import app
from tests.lambda_context import FakeLambdaContext


@dataclass
class Seen:
    """A fake of the use case."""

    objects: list[tuple[str, str]] = field(default_factory=list)
    remaining: float = 0.0
    bad_key: str = ""
    given_up: list[str] = field(default_factory=list)
    left: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, bucket: str, key: str, remaining: Callable[[], float]) -> Submitted:
        self.remaining = remaining()
        self.objects.append((bucket, key))
        if key == self.bad_key:
            raise OSError("no luck")
        return Submitted(SubmitOutcome.IGNORED, KeyKind.OTHER)

    def leave(self, bucket: str, key: str) -> None:
        self.left.append((bucket, key))

    def give_up(self, bucket: str, key: str, error: Exception) -> None:
        self.given_up.append(f"{key}: {error}")


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    use_case = Seen()
    monkeypatch.setattr(app, "_submit", lambda: use_case)
    settings = SimpleNamespace(
        max_receives=5, input_bucket="in", input_prefix="", results_bucket="results"
    )
    monkeypatch.setattr(app, "_settings", lambda: settings)
    monkeypatch.setenv("POWERTOOLS_METRICS_DISABLED", "true")
    return use_case


def in_sqs(*bodies: dict[str, Any], receives: int = 1) -> dict[str, Any]:
    records = [
        {
            "messageId": f"m{number}",
            "eventSource": "aws:sqs",
            "attributes": {"ApproximateReceiveCount": str(receives)},
            "body": json.dumps(body),
        }
        for number, body in enumerate(bodies)
    ]
    return {"Records": records}


def from_eventbridge(key: str) -> dict[str, Any]:
    detail = {"bucket": {"name": "in"}, "object": {"key": key, "size": 1, "etag": "e"}}
    return {"detail-type": "Object Created", "source": "aws.s3", "detail": detail}


def from_s3(key: str, name: str = "ObjectCreated:Put") -> dict[str, Any]:
    described = {"bucket": {"name": "in"}, "object": {"key": key}}
    return {"Records": [{"eventSource": "aws:s3", "eventName": name, "s3": described}]}


def test_several_objects_of_one_message_are_all_submitted(seen: Seen) -> None:
    both = from_s3("a.png")
    both["Records"] += from_s3("b.png")["Records"]

    app.handler(in_sqs(both), FakeLambdaContext())

    assert seen.objects == [("in", "a.png"), ("in", "b.png")]
    assert seen.remaining == 90.0


def test_a_message_that_fails_takes_no_other_with_it(seen: Seen) -> None:
    seen.bad_key = "bad.png"

    answer = app.handler(
        in_sqs(*map(from_eventbridge, ("bad.png", "good.png"))), FakeLambdaContext()
    )

    assert answer == {"batchItemFailures": [{"itemIdentifier": "m0"}]}
    assert [key for _, key in seen.objects] == ["bad.png", "good.png"]


def test_a_direct_event_that_fails_is_raised_for_lambda_to_retry(seen: Seen) -> None:
    seen.bad_key = "bad.png"

    with pytest.raises(OSError, match="no luck"):
        app.handler(from_s3("bad.png"), FakeLambdaContext())


@pytest.mark.parametrize(("receives", "given_up"), [(4, []), (5, ["bad.png: no luck"])])
def test_a_drop_is_described_before_its_message_becomes_a_dead_letter(
    seen: Seen, receives: int, given_up: list[str]
) -> None:
    seen.bad_key = "bad.png"
    message = in_sqs(from_eventbridge("bad.png"), receives=receives)

    answer = app.handler(message, FakeLambdaContext())

    assert answer == {"batchItemFailures": [{"itemIdentifier": "m0"}]}
    assert seen.given_up == given_up


@pytest.mark.parametrize(
    ("bucket", "key", "is_taken"),
    [
        ("in", "drops/cat.png", True),
        ("in", "other/cat.png", False),
        ("earlier", "drops/cat.png", False),
        ("results", "drops/cat.png", False),
        ("results", "drops/cat.png.dropscale.json", False),
    ],
)
def test_only_what_lies_below_the_prefix_of_the_input_bucket_is_taken(
    monkeypatch: pytest.MonkeyPatch, seen: Seen, bucket: str, key: str, is_taken: bool
) -> None:
    monkeypatch.setattr(app._settings(), "input_prefix", "drops/")
    event = {"detail": {"bucket": {"name": bucket}, "object": {"key": key}}}

    assert app.handler(in_sqs(event), FakeLambdaContext()) == {"batchItemFailures": []}
    assert seen.objects == [(bucket, key)] * is_taken
    is_left = not is_taken and bucket != "results"
    assert seen.left == [(bucket, key)] * is_left
