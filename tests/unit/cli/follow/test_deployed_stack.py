"""A run on a deployed stack announces each image to it immediately, if permitted."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from dropscale.aws.settings import CommandSettings
from dropscale_cli.files.drops import find_drops
from dropscale_cli.follow.deployed_stack import StackRun
from dropscale_cli.follow.stack_plan import PlannedChange
from dropscale_cli.stacks.aws_target import AwsTarget
from dropscale_cli.tracking.round_trip import RoundTrip
from tests.fakes import png

_SETTINGS: Any = CommandSettings.model_construct
SETTINGS: CommandSettings = _SETTINGS(input_bucket="in", drop_queue_url="drops")


@dataclass
class Queue:
    """An SQS client; its received messages, or the error code of its answers."""

    refusal: str | None = None
    sent: list[dict[str, Any]] = field(default_factory=list)

    def send_message(self, **message: Any) -> None:
        self.sent.append(message)
        if self.refusal:
            raise ClientError({"Error": {"Code": self.refusal, "Message": ""}}, "SendMessage")


@dataclass
class Trip:
    """Records drops."""

    dropped: list[str] = field(default_factory=list)

    def drop(self, key: str, _: Path) -> None:
        self.dropped.append(key)

    def follow(self, known: list[tuple[str, str | None]]) -> None:
        assert known == []

    def counter(self, *_: object) -> Callable[[int], None]:
        return lambda _: None


@pytest.mark.parametrize(
    ("refusal", "asked", "told"),
    [(None, 3, 0), ("AccessDenied", 1, 1), ("AccessDeniedException", 1, 1)],
)
def test_each_image_is_announced_immediately_or_the_reason_is_given_once(
    tmp_path: Path, refusal: str | None, asked: int, told: int
) -> None:
    for number in range(3):
        (tmp_path / f"{number} é.png").write_bytes(png(shade=number))
    drops, queue, trip = find_drops(tmp_path, tmp_path / "out"), Queue(refusal), Trip()
    target = AwsTarget(lambda _: queue, "1", "dead", SETTINGS)
    changes = {key: PlannedChange(key, "", "", 0, is_known=True) for key in drops.to_follow}
    said: list[str] = []

    StackRun(target, drops, changes).bring(cast(RoundTrip, trip), said.append)

    assert trip.dropped == list(drops.to_follow)
    assert {message["DelaySeconds"] for message in queue.sent} == {0}
    assert len(queue.sent) == asked
    first = json.loads(queue.sent[0]["MessageBody"])["Records"][0]["s3"]
    assert first == {"bucket": {"name": "in"}, "object": {"key": "0+%C3%A9.png"}}
    assert len(said) == told
    assert all("sqs:SendMessage" in line for line in said)


def test_another_error_of_the_queue_is_raised(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    target = AwsTarget(lambda _: Queue("NonExistentQueue"), "1", "dead", SETTINGS)

    with pytest.raises(ClientError):
        target.look_at_once("a.png")
