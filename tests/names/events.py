"""What submit does about each message that may come into its queue."""

import json
from collections.abc import Iterator
from typing import Any

_OBJECT = {"bucket": {"name": "input"}, "object": {"key": "a b.png"}}


def _bridge(kind: str, source: str = "aws.s3") -> dict[str, Any]:
    return {"version": "0", "source": source, "detail-type": kind, "detail": _OBJECT}


def _notification(name: str) -> dict[str, Any]:
    described = {"bucket": {"name": "input"}, "object": {"key": "a+b.png"}}
    return {"Records": [{"eventSource": "aws:s3", "eventName": name, "s3": described}]}


LOOKED_AT, DONE, WARNED, DEAD = (
    "looked at",
    "acknowledged",
    "acknowledged, with a warning in the log",
    "comes again, then dead-letter queue",
)

MESSAGES: dict[str, tuple[object, str]] = {
    "EventBridge: Object Created": (_bridge("Object Created"), LOOKED_AT),
    "S3: ObjectCreated:Put": (_notification("ObjectCreated:Put"), LOOKED_AT),
    "S3: s3:ObjectCreated:CompleteMultipartUpload": (
        _notification("s3:ObjectCreated:CompleteMultipartUpload"),
        LOOKED_AT,
    ),
    "EventBridge: Object Deleted": (_bridge("Object Deleted"), DONE),
    "EventBridge: Object Restore Completed": (_bridge("Object Restore Completed"), DONE),
    "EventBridge: Object Tags Added": (_bridge("Object Tags Added"), DONE),
    "S3: ObjectRemoved:Delete": (_notification("ObjectRemoved:Delete"), DONE),
    "S3: ObjectRestore:Completed": (_notification("ObjectRestore:Completed"), DONE),
    "S3: s3:TestEvent": (
        {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "input"},
        DONE,
    ),
    "EventBridge: of another service": (_bridge("EC2 Instance", "aws.ec2"), WARNED),
    "EventBridge: without a key": ({"detail": {"bucket": {"name": "input"}}}, WARNED),
    "SNS around it": ({"Type": "Notification", "Message": "{}"}, WARNED),
    "JSON that is no object": ([1, 2], WARNED),
    "a key that is a number": ({"detail": {**_OBJECT, "object": {"key": 7}}}, WARNED),
    "no JSON": ("{not json", DEAD),
}
"""Messages by their kind, and what to do about them."""


def body_of(message: object) -> str:
    """Return a message as SQS has it."""
    return message if isinstance(message, str) else json.dumps(message)


def rows() -> Iterator[str]:
    """Yield the document's rows."""
    for name, (_, outcome) in MESSAGES.items():
        yield f"| {name} | {outcome} |\n"
