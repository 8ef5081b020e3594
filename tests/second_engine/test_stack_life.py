"""A stack is created, updated, deleted and created again, and pays for nothing twice."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dropscale_embedded.api import EmbeddedApi, EntryKind, StubEngine
from tests.fakes import png
from tests.second_engine.engine import Engine, awaited

COMMAND = Path(sys.executable).with_name("dropscale")
NAME = "photos"
PREFIXES = {"InputPrefix": "team/drops/", "ResultsPrefix": "up/scaled/"}


@dataclass(frozen=True)
class Stack:
    """A stack that is there."""

    engine: Engine
    outputs: Mapping[str, str]
    prefixes: Mapping[str, str]

    def drop(self, name: str, body: bytes) -> None:
        key = self.prefixes["InputPrefix"] + name
        bucket = self.outputs["InputBucketName"]
        self.engine.client("s3").put_object(Bucket=bucket, Key=key, Body=body)

    def manifest(self, name: str, is_there: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return an image's manifest once it says something."""
        s3, bucket = self.engine.client("s3"), self.outputs["ResultsBucketName"]
        below = self.prefixes["ResultsPrefix"] + self.prefixes["InputPrefix"]
        seen: dict[str, Any] = {}

        def found() -> dict[str, Any] | None:
            try:
                answer = s3.get_object(Bucket=bucket, Key=f"{below}{name}.dropscale.json")
            except s3.exceptions.NoSuchKey:
                return None
            seen.update(json.load(answer["Body"]))
            return seen if is_there(seen) else None

        try:
            return awaited(found)
        except TimeoutError as error:
            error.add_note(f"{name}: {seen or 'no manifest'}")
            raise

    def has_submitted_all(self) -> bool:
        """Whether no drop waits for submit, or is in its hands."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.engine.client("sqs").get_queue_attributes(
            QueueUrl=self.outputs["DropQueueUrl"], AttributeNames=names
        )
        return not any(int(count) for count in found["Attributes"].values())

    def command(self, *words: str, given: str | None = None) -> None:
        """Have a person call `dropscale` on it."""
        done = subprocess.run(
            [COMMAND, *words, "--stack", NAME],
            env=self.engine.environment,
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def is_delivered(manifest: dict[str, Any]) -> bool:
    return bool(manifest["state"] == "delivered")


def existing_buckets(engine: Engine) -> dict[str, str]:
    """Make what somebody had before: two buckets and a key; return the parameters."""
    s3 = engine.client("s3")
    for bucket in ("their-photos", "their-results"):
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_notification_configuration(
        Bucket="their-photos", NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    return {
        **PREFIXES,
        "ExistingInputBucket": "their-photos",
        "ExistingResultsBucket": "their-results",
        "KmsKeyArn": engine.client("kms").create_key()["KeyMetadata"]["Arn"],
        "AlarmEmail": "somebody@example.org",
    }


@pytest.mark.parametrize(
    ("keeps_ledger", "before"),
    [(True, lambda _: {}), (False, existing_buckets)],
    ids=["plain, with its ledger", "existing buckets, prefixes, key and mail, rebuilt"],
)
def test_nothing_is_paid_twice(
    cloud: Engine, keeps_ledger: bool, before: Callable[[Engine], dict[str, str]]
) -> None:
    given = before(cloud)
    prefixes = {name: given.get(name, "") for name in PREFIXES}
    with EmbeddedApi(engine=StubEngine(0)) as api:
        given |= {"SettleSeconds": "0", "FirstCheckSeconds": "1", "ApiBaseUrl": api.base_url}

        def created(parameters: dict[str, str]) -> Stack:
            stack = Stack(cloud, cloud.create_stack(NAME, parameters), prefixes)
            stack.command("secret", "set", given=f"{api.token}\n")
            return stack

        def creates() -> int:
            return len(api.book.entries(EntryKind.CREATE))

        stack = created(given)
        stack.command("doctor")
        stack.drop("cat.png", png())
        stack.manifest("cat.png", is_delivered)
        given |= {"DailyCreditLimit": "20000"}
        assert cloud.update_stack(NAME, given) == stack.outputs
        stack.drop("copy.png", png())
        stack.manifest("copy.png", is_delivered)
        assert creates() == 1

        cloud.delete_stack(NAME)
        given |= {
            "ExistingInputBucket": stack.outputs["InputBucketName"],
            "ExistingResultsBucket": stack.outputs["ResultsBucketName"],
            "ExistingLedger": stack.outputs["LedgerTableName"] if keeps_ledger else "",
        }
        stack = created(given)
        stack.drop("dog.png", png(shade=9))
        waiting = stack.manifest("dog.png", lambda told: bool(told["waiting_for"]))
        code = "LedgerOwnedByAnother" if keeps_ledger else "LedgerNotRebuilt"
        assert (waiting["waiting_for"], waiting["reason"]["code"]) == ("ledger", code)
        if keeps_ledger:
            stack.command("doctor", "--take-over", "--yes")
        else:
            stack.command("ledger", "rebuild")
        stack.command("doctor")
        for name, body in (("again.png", png()), ("cat.png", png()), ("dog.png", png(shade=9))):
            stack.drop(name, body)
            stack.manifest(name, is_delivered)
        awaited(stack.has_submitted_all)
        assert creates() == 2
        cloud.delete_stack(NAME)
