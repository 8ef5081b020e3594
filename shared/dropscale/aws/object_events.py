"""Reads the events of S3 and EventBridge about objects.

EventBridge: https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html. S3's own
notifications: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote_plus

_TEST_EVENT = "s3:TestEvent"
_CREATED = "Object Created"
_MOST_FIELDS = 20
_MOST_LEVELS = 4
_LONGEST_NAME = 40


class NotUnderstood(Exception):
    """An event does not have a form that S3 or EventBridge sends.

    Attributes:
        shape: the names and types of its fields, without their values.
    """

    def __init__(self, event: object) -> None:
        self.shape = _shape(event, _MOST_LEVELS)
        super().__init__(str(self.shape))


def created_objects(event: object) -> Sequence[tuple[str, str]]:
    """Return bucket and key of each new object in an event; a deletion has none.

    EventBridge sends the key as it is, S3's own notifications send it URL-encoded.

    Raises:
        NotUnderstood: the event has an unknown form.
    """
    if not isinstance(event, Mapping):
        raise NotUnderstood(event)
    if event.get("Event") == _TEST_EVENT:
        return []
    try:
        if "detail" in event:
            return _from_event_bridge(event)
        return [found for record in event["Records"] for found in _from_notification(record)]
    except (KeyError, TypeError, AttributeError) as error:
        raise NotUnderstood(event) from error


def _from_event_bridge(event: Mapping[str, Any]) -> list[tuple[str, str]]:
    kind = event.get("detail-type", _CREATED)
    if kind != _CREATED:
        if event.get("source") == "aws.s3" and kind.startswith("Object "):
            return []
        raise NotUnderstood(event)
    detail = event["detail"]
    return [_named(detail["bucket"]["name"], detail["object"]["key"])]


def _from_notification(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    if not record["eventName"].removeprefix("s3:").startswith("ObjectCreated:"):
        return []
    described = record["s3"]
    return [_named(described["bucket"]["name"], unquote_plus(described["object"]["key"]))]


def _named(bucket: object, key: object) -> tuple[str, str]:
    if not isinstance(bucket, str) or not isinstance(key, str):
        raise TypeError("bucket and key must be text")
    return bucket, key


def _shape(value: object, levels: int) -> object:
    """Return a value with its contents replaced by their types."""
    if isinstance(value, Mapping) and levels:
        fields = list(value.items())[:_MOST_FIELDS]
        return {str(name)[:_LONGEST_NAME]: _shape(inner, levels - 1) for name, inner in fields}
    if isinstance(value, list) and levels:
        return [_shape(inner, levels - 1) for inner in value[:1]]
    return type(value).__name__
