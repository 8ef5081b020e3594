"""The event source mapping from a queue to a function, like Lambda's own poller.

https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
"""

import json
import logging
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from dropscale_embedded.cloud.errors import InvalidTemplateError, UnsupportedTemplateError
from dropscale_embedded.cloud.lambda_workers import Invocation
from dropscale_embedded.cloud.template import Resource, Stack

_log = logging.getLogger(__name__)

_LONG_POLL_SECONDS = 20
_DEFAULT_BATCH_SIZE = 10
_LARGEST_RECEIVE = 10
_RETRY_SECONDS = 1.0
_REPORTING = "ReportBatchItemFailures"


@dataclass(frozen=True)
class QueueMapping:
    """Which queue feeds which function, and how."""

    function_name: str
    queue_url: str
    queue_arn: str
    batch_size: int
    maximum_concurrency: int
    reports_item_failures: bool

    @property
    def region(self) -> str:
        """The queue's region."""
        return self.queue_arn.split(":")[3]


def function_queue_mappings(function: Resource, stack: Stack) -> list[QueueMapping]:
    """Return the queues among a function's events.

    Raises:
        InvalidTemplateError: A queue is not one of the template's.
        UnsupportedTemplateError: A batch size is larger than one receive allows.
    """
    queues = {item.identity.attributes["Arn"]: item for item in stack.of_type("AWS::SQS::Queue")}
    mappings = []
    for name, event in function.properties.get("Events", {}).items():
        if event["Type"] != "SQS":
            continue
        where = f"Resources.{function.logical_id}.Events.{name}"
        properties = event["Properties"]
        if properties["Queue"] not in queues:
            raise InvalidTemplateError(
                f"{where}: {properties['Queue']} is not a queue of this template"
            )
        batch_size = int(properties.get("BatchSize", _DEFAULT_BATCH_SIZE))
        if batch_size > _LARGEST_RECEIVE:
            raise UnsupportedTemplateError(
                f"{where}: BatchSize {batch_size} is not supported by the embedded cloud; "
                f"the most is {_LARGEST_RECEIVE}"
            )
        scaling = properties.get("ScalingConfig", {})
        mappings.append(
            QueueMapping(
                function_name=function.identity.name,
                queue_url=queues[properties["Queue"]].identity.ref,
                queue_arn=properties["Queue"],
                batch_size=batch_size,
                maximum_concurrency=int(scaling.get("MaximumConcurrency", sys.maxsize)),
                reports_item_failures=_REPORTING in properties.get("FunctionResponseTypes", []),
            )
        )
    return mappings


def sqs_event(messages: Iterable[Mapping[str, Any]], mapping: QueueMapping) -> dict[str, Any]:
    """Return the function's event for messages received by boto3."""
    return {
        "Records": [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message["Attributes"],
                "messageAttributes": {
                    name: _message_attribute(value)
                    for name, value in message.get("MessageAttributes", {}).items()
                },
                "md5OfBody": message["MD5OfBody"],
                "eventSource": "aws:sqs",
                "eventSourceARN": mapping.queue_arn,
                "awsRegion": mapping.region,
            }
            for message in messages
        ]
    }


def _message_attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "stringValue": value.get("StringValue"),
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": value["DataType"],
    }


def failed_message_ids(message_ids: set[str], invocation: Invocation, reports: bool) -> set[str]:
    """Return which messages of a batch stay in the queue.

    All of them if the function failed, or if its report is invalid:
    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    """
    if invocation.failed:
        return message_ids
    if not reports:
        return set()
    try:
        report = json.loads(invocation.payload) or {}
        failed = {item["itemIdentifier"] for item in report.get("batchItemFailures") or []}
    except (AttributeError, KeyError, TypeError):
        return message_ids
    return failed if failed <= message_ids else message_ids


class QueuePoller:
    """Feeds a function from a queue until the cloud stops; `failed` gets failed messages."""

    def __init__(
        self,
        mapping: QueueMapping,
        *,
        sqs: Any,
        invoke: Callable[[str, Any], Invocation],
        stopping: threading.Event,
        failed: Callable[[str], None],
    ) -> None:
        self._mapping = mapping
        self._sqs = sqs
        self._invoke = invoke
        self._stopping = stopping
        self._failed = failed

    def run(self) -> None:
        """Receive, invoke, delete; called by one thread per concurrent invocation."""
        while not self._stopping.is_set():
            try:
                self._poll()
            except (BotoCoreError, ClientError):
                if not self._stopping.is_set():
                    _log.exception("cannot poll %s", self._mapping.queue_url)
                    self._stopping.wait(_RETRY_SECONDS)

    def _poll(self) -> None:
        mapping = self._mapping
        received = self._sqs.receive_message(
            QueueUrl=mapping.queue_url,
            MaxNumberOfMessages=mapping.batch_size,
            WaitTimeSeconds=_LONG_POLL_SECONDS,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        messages = {message["MessageId"]: message for message in received.get("Messages", [])}
        if not messages:
            return
        invocation = self._invoke(mapping.function_name, sqs_event(messages.values(), mapping))
        failed = failed_message_ids(set(messages), invocation, mapping.reports_item_failures)
        # A failed message becomes visible again when its visibility time-out ends, as on AWS.
        for message_id in failed:
            self._failed(messages[message_id]["Body"])
        for message_id in messages.keys() - failed:
            self._sqs.delete_message(
                QueueUrl=mapping.queue_url, ReceiptHandle=messages[message_id]["ReceiptHandle"]
            )
