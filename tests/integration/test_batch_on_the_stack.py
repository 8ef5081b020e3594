"""A batch on the embedded stack: its report, its table and its event; and again when more comes.

`python -m tests.integration.test_batch_on_the_stack 300` shows it with so many images.
"""

import csv
import io
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dropscale.results.announcement import BATCH_DETAIL_TYPE, BatchAnnouncement
from dropscale.results.batch_report import BatchReport
from dropscale_embedded.api import EmbeddedApi, EntryKind, StubEngine
from dropscale_embedded.cloud import EmbeddedCloud
from tests.fakes import png
from tests.integration.sweeps import sweeps_every

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
PARAMETERS = {
    "SettleSeconds": "0",
    "FirstCheckSeconds": "1",
    "PollIntervalCapSeconds": "1",
    "MaxConcurrentJobs": "100",
    "DailyCreditLimit": "0",
    "BatchQuietSeconds": "2",
}
SWEEP_SECONDS = 1
DEADLINE_SECONDS = 600.0
IMAGES = 12


@dataclass(frozen=True)
class Stack:
    """A running stack, and a queue with the events of its batches."""

    cloud: EmbeddedCloud
    api: EmbeddedApi
    queue_url: str

    def drop(self, key: str, body: bytes) -> None:
        bucket = self.cloud.outputs["InputBucketName"]
        self.cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=body)

    def settled(self, images: int) -> BatchAnnouncement:
        """Wait for a settlement of so many images, and return its event's detail.

        While a slow machine reads one image after the other, there may be earlier ones.
        """
        deadline = time.monotonic() + DEADLINE_SECONDS
        sqs = self.cloud.client("sqs")
        while time.monotonic() < deadline:
            answer = sqs.receive_message(QueueUrl=self.queue_url, WaitTimeSeconds=5)
            for message in answer.get("Messages", []):
                sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
                detail = json.loads(message["Body"])["detail"]
                if detail["totals"]["images"] == images:
                    return BatchAnnouncement.model_validate(detail)
        raise AssertionError("no batch was settled")

    def read(self, key: str) -> bytes:
        bucket = self.cloud.outputs["ResultsBucketName"]
        body: bytes = self.cloud.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        return body


@contextmanager
def running_stack() -> Iterator[Stack]:
    """Run the stack, with a sweep every few seconds."""
    with sweeps_every(SWEEP_SECONDS), EmbeddedApi(engine=StubEngine(0)) as api:
        parameters = {**PARAMETERS, "ApiBaseUrl": api.base_url}
        secrets = {"ApiKeySecret": api.token}
        with EmbeddedCloud(template=TEMPLATE, parameters=parameters, secrets=secrets) as stack:
            sqs, events = stack.client("sqs"), stack.client("events")
            url = sqs.create_queue(QueueName="batches")["QueueUrl"]
            attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
            pattern = {"source": ["dropscale"], "detail-type": [BATCH_DETAIL_TYPE]}
            events.put_rule(Name="batches", EventPattern=json.dumps(pattern))
            target = {"Id": "queue", "Arn": attributes["Attributes"]["QueueArn"]}
            events.put_targets(Rule="batches", Targets=[target])
            yield Stack(stack, api, url)


def drop_batch(stack: Stack, images: int) -> None:
    stack.drop("photos/dropscale.yaml", b"batch: spring")
    for number in range(images):
        stack.drop(f"photos/{number:04}.png", png(8, 6 + number // 250, shade=number % 250))
    stack.drop("photos/broken.png", b"no image")


def test_a_batch_is_reported_on_once_and_again_if_more_comes() -> None:
    with running_stack() as stack:
        drop_batch(stack, IMAGES)
        first = stack.settled(IMAGES + 1)
        stack.drop("photos/late.png", png(shade=251))
        second = stack.settled(IMAGES + 2)

        report = BatchReport.model_validate_json(stack.read(first.report.key))
        table = csv.DictReader(io.StringIO(stack.read(first.table.key).decode("utf-8-sig")))
        charged = sum(entry.credits for entry in stack.api.book.entries(EntryKind.CHARGE))

    assert first.report.key == f"photos/spring.{first.settlement}.dropscale-batch.json"
    assert first.totals == report.totals
    assert (report.totals.images, report.totals.delivered) == (IMAGES + 1, IMAGES)
    assert report.totals.failed == 1
    assert [row["key"] for row in table] == [image.key for image in report.images]
    assert second.settlement > first.settlement
    assert (second.totals.images, second.totals.delivered) == (IMAGES + 2, IMAGES + 1)
    assert second.totals.credits == charged == 50 * (IMAGES + 1)


def main(images: int) -> None:
    """Show a batch of so many images on the embedded stack."""
    with running_stack() as stack:
        begun = time.monotonic()
        drop_batch(stack, images)
        settled = stack.settled(images + 1)
        told: dict[str, Any] = settled.model_dump(mode="json")
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
        sys.stdout.write(f"settled after {time.monotonic() - begun:.0f} s\n")
        sys.stdout.write(stack.read(settled.table.key).decode("utf-8-sig")[:1000])


if __name__ == "__main__":
    main(int(sys.argv[1]))
