"""The queue that feeds submit, on SQS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient


class SqsDropQueue:
    """A `dropscale.pipeline.parts.ports.DropQueue`; its messages look like S3's own."""

    def __init__(self, client: SQSClient, url: str) -> None:
        self._client = client
        self._url = url

    def send(self, bucket: str, key: str, *, at_once: bool = False) -> None:
        """See `DropQueue.send`; `at_once`: without the delay in which specs may still arrive."""
        record = {
            "eventSource": "aws:s3",
            "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": bucket}, "object": {"key": quote_plus(key)}},
        }
        body = json.dumps({"Records": [record]})
        if at_once:
            self._client.send_message(QueueUrl=self._url, MessageBody=body, DelaySeconds=0)
        else:
            self._client.send_message(QueueUrl=self._url, MessageBody=body)
