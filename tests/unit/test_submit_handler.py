"""Submit's handler: every shape of event leads to the object it is about."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from dropscale.pipeline.submit import SubmitOutcome, Submitted
from dropscale.spec.keys import KeyKind
from functions.submit import app

HARD_KEY = "été 2026/a+b %20 'c' \"d\".jpg"
ENCODED_KEY = "%C3%A9t%C3%A9+2026/a%2Bb+%2520+%27c%27+%22d%22.jpg"


@dataclass
class Context(LambdaContext):
    """What a handler uses of Lambda's context."""

    _function_name: str = "submit"
    _memory_limit_in_mb: int = 512
    _invoked_function_arn: str = "arn:aws:lambda:eu-central-1:123456789012:function:submit"
    _aws_request_id: str = "request"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 90_000


@dataclass
class Seen:
    """A stand-in for the use case."""

    objects: list[tuple[str, str]] = field(default_factory=list)
    remaining: float = 0.0
    bad_key: str = ""

    def __call__(self, bucket: str, key: str, remaining: Callable[[], float]) -> Submitted:
        self.remaining = remaining()
        self.objects.append((bucket, key))
        if key == self.bad_key:
            raise OSError("no luck")
        return Submitted(SubmitOutcome.IGNORED, KeyKind.OTHER)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    use_case = Seen()
    monkeypatch.setattr(app, "_submit", lambda: use_case)
    monkeypatch.setenv("POWERTOOLS_METRICS_DISABLED", "true")
    return use_case


def in_sqs(*bodies: dict[str, Any]) -> dict[str, Any]:
    records = [
        {"messageId": f"m{number}", "eventSource": "aws:sqs", "body": json.dumps(body)}
        for number, body in enumerate(bodies)
    ]
    return {"Records": records}


def from_eventbridge(key: str) -> dict[str, Any]:
    detail = {"bucket": {"name": "in"}, "object": {"key": key, "size": 1, "etag": "e"}}
    return {"detail-type": "Object Created", "source": "aws.s3", "detail": detail}


def from_s3(key: str, name: str = "ObjectCreated:Put") -> dict[str, Any]:
    described = {"bucket": {"name": "in"}, "object": {"key": key}}
    return {"Records": [{"eventSource": "aws:s3", "eventName": name, "s3": described}]}


@pytest.mark.parametrize(
    "event",
    [
        in_sqs(from_eventbridge(HARD_KEY)),
        in_sqs(from_s3(ENCODED_KEY)),
        from_s3(ENCODED_KEY),
    ],
    ids=["EventBridge in SQS", "S3 in SQS", "S3 alone"],
)
def test_the_key_comes_out_as_it_was_dropped(seen: Seen, event: dict[str, Any]) -> None:
    app.handler(event, Context())

    assert seen.objects == [("in", HARD_KEY)]
    assert seen.remaining == 90.0


@pytest.mark.filterwarnings("ignore:No application metrics")
@pytest.mark.parametrize(
    "event",
    [
        in_sqs({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "in"}),
        in_sqs(from_s3("cat.png", "ObjectRemoved:Delete")),
    ],
    ids=["S3's test event", "a deletion"],
)
def test_what_created_nothing_is_acknowledged(seen: Seen, event: dict[str, Any]) -> None:
    answer = app.handler(event, Context())

    assert seen.objects == []
    assert answer == {"batchItemFailures": []}


def test_a_message_that_fails_takes_no_other_with_it(seen: Seen) -> None:
    seen.bad_key = "bad.png"

    answer = app.handler(in_sqs(*map(from_eventbridge, ("bad.png", "good.png"))), Context())

    assert answer == {"batchItemFailures": [{"itemIdentifier": "m0"}]}
    assert [key for _, key in seen.objects] == ["bad.png", "good.png"]


def test_a_batch_that_fails_whole_is_reported_not_raised(seen: Seen) -> None:
    seen.bad_key = "bad.png"

    answer = app.handler(in_sqs(from_eventbridge("bad.png")), Context())

    assert answer == {"batchItemFailures": [{"itemIdentifier": "m0"}]}


def test_a_direct_event_that_fails_is_raised_for_lambda_to_retry(seen: Seen) -> None:
    seen.bad_key = "bad.png"

    with pytest.raises(OSError, match="no luck"):
        app.handler(from_s3("bad.png"), Context())
