import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from dropscale_embedded.cloud import InvalidTemplateError, UnsupportedTemplateError
from dropscale_embedded.cloud.lambda_workers import Invocation
from dropscale_embedded.cloud.names import StackContext
from dropscale_embedded.cloud.queue_mapping import (
    QueueMapping,
    failed_message_ids,
    function_queue_mappings,
    sqs_event,
)
from dropscale_embedded.cloud.template import read_template, resolve_template

ARN = "arn:aws:sqs:eu-west-1:123456789012:dev-Queue"


def mappings(folder: Path, **properties: Any) -> list[QueueMapping]:
    source = {"Type": "SQS", "Properties": {"Queue": ARN, **properties}}
    template = {
        "Resources": {
            "Queue": {"Type": "AWS::SQS::Queue"},
            "F": {"Type": "AWS::Serverless::Function", "Properties": {"Events": {"Q": source}}},
        }
    }
    path = folder / "template.yaml"
    path.write_text(yaml.safe_dump(template))
    context = StackContext("dev", "eu-west-1", "123456789012", "http://127.0.0.1:4000")
    stack = resolve_template(read_template(path), {}, context)
    return function_queue_mappings(stack.resources["F"], stack)


def test_mappings_are_as_the_template_says_or_refused(tmp_path: Path) -> None:
    says = {"BatchSize": 1, "ScalingConfig": {"MaximumConcurrency": "4"}}
    (mapping,) = mappings(tmp_path, **says, FunctionResponseTypes=["ReportBatchItemFailures"])
    assert mapping == QueueMapping(
        function_name="dev-F",
        queue_url="http://127.0.0.1:4000/123456789012/dev-Queue",
        queue_arn=ARN,
        batch_size=1,
        maximum_concurrency=4,
        reports_item_failures=True,
    )
    (default,) = mappings(tmp_path)
    assert (default.batch_size, default.reports_item_failures) == (10, False)
    with pytest.raises(UnsupportedTemplateError, match=r"F\.Events\.Q: BatchSize 11"):
        mappings(tmp_path, BatchSize=11)
    with pytest.raises(InvalidTemplateError, match=r"F\.Events\.Q: arn:.*:other is not a queue"):
        mappings(tmp_path, Queue="arn:aws:sqs:eu-west-1:123456789012:other")


def test_messages_reach_the_function_in_lambdas_shape() -> None:
    mapping = QueueMapping("f", "http://queue", ARN, 1, 2, True)
    message = {
        "MessageId": "m1",
        "ReceiptHandle": "r1",
        "Body": "hello",
        "MD5OfBody": "5d41402abc4b2a76b9719d911017c592",
        "Attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1700000000000"},
        "MessageAttributes": {"from": {"DataType": "String", "StringValue": "sweeper"}},
    }
    sent_by: dict[str, Any] = {"stringValue": "sweeper", "dataType": "String"}
    sent_by |= {"stringListValues": [], "binaryListValues": []}
    assert sqs_event([message], mapping) == {
        "Records": [
            {
                "messageId": "m1",
                "receiptHandle": "r1",
                "body": "hello",
                "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1700000000000"},
                "messageAttributes": {"from": sent_by},
                "md5OfBody": "5d41402abc4b2a76b9719d911017c592",
                "eventSource": "aws:sqs",
                "eventSourceARN": ARN,
                "awsRegion": "eu-west-1",
            }
        ]
    }


@pytest.mark.parametrize(
    ("payload", "failed"),
    [
        ({"batchItemFailures": []}, set()),
        ({"batchItemFailures": None}, set()),
        ({}, set()),
        (None, set()),
        ({"batchItemFailures": [{"itemIdentifier": "b"}]}, {"b"}),
        ({"batchItemFailures": [{"itemIdentifier": "unknown"}]}, {"a", "b"}),
        ({"batchItemFailures": [{"itemIdentifier": None}]}, {"a", "b"}),
        ({"batchItemFailures": [{"wrong": "b"}]}, {"a", "b"}),
        ({"batchItemFailures": "b"}, {"a", "b"}),
        ("fine", {"a", "b"}),
    ],
)
def test_which_messages_of_a_reported_batch_stay(payload: Any, failed: set[str]) -> None:
    invocation = Invocation(json.dumps(payload), failed=False)
    assert failed_message_ids({"a", "b"}, invocation, reports=True) == failed


def test_without_reports_a_batch_stays_or_goes_as_one() -> None:
    report = json.dumps({"batchItemFailures": [{"itemIdentifier": "a"}]})
    assert failed_message_ids({"a", "b"}, Invocation(report, failed=False), reports=False) == set()
    for reports in (True, False):
        failure = Invocation("{}", failed=True)
        assert failed_message_ids({"a", "b"}, failure, reports=reports) == {"a", "b"}
