"""Submit: handles "Object Created" events, by SQS from EventBridge or S3, or directly from S3."""

import json
import os
from collections.abc import Iterator
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from dropscale.aws import wiring
from dropscale.aws.invocation import (
    add_metrics,
    compose_once,
    log_and_meter,
    logger,
    remaining_time,
)
from dropscale.aws.object_events import NotUnderstood, created_objects
from dropscale.aws.settings import SubmitSettings
from dropscale.ledger.drops import Drop
from dropscale.pipeline.parts.measurements import Measurement
from dropscale.pipeline.submit import Submitted


@cache
def _settings() -> SubmitSettings:
    return SubmitSettings.from_environment(os.environ)


_submit = compose_once(wiring.submit, SubmitSettings)


@log_and_meter
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any] | None:
    """Submit every object that the event names; messages that fail are reported one by one.

    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html. Powertools' batch
    processing does the same; its import takes a seventh of this function's cold start.
    """
    records = event.get("Records", [])
    if any(record.get("eventSource") == "aws:sqs" for record in records):
        failed = [record["messageId"] for record in records if not _try_message(record, context)]
        return {"batchItemFailures": [{"itemIdentifier": name} for name in failed]}
    _submit_objects(event, context)
    return None


def _try_message(record: dict[str, Any], context: LambdaContext) -> bool:
    try:
        _handle_message(record, context)
    except Exception:
        logger.exception("a message failed and will be retried", message_id=record["messageId"])
        return False
    return True


def _handle_message(record: dict[str, Any], context: LambdaContext) -> None:
    event = json.loads(record["body"])
    try:
        _submit_objects(event, context)
    except Exception as error:
        receives = int(record["attributes"]["ApproximateReceiveCount"])
        if receives >= _settings().max_receives:
            for bucket, key in _objects(event):
                _submit().give_up(bucket, key, error)
        raise


def _submit_objects(event: object, context: LambdaContext) -> None:
    for bucket, key in _objects(event):
        logger.set_correlation_id(Drop.id_of(bucket, key))
        logger.append_keys(key=key)
        try:
            _report(_submit()(bucket, key, remaining_time(context)))
        except Exception:
            logger.exception("submit failed and will be retried")
            add_metrics([Measurement("objects_failed", "Count", 1)])
            raise


def _objects(event: object) -> Iterator[tuple[str, str]]:
    """Yield bucket and key of each created object that may be a drop, never of a result."""
    settings = _settings()
    try:
        created = created_objects(event)
    except NotUnderstood as error:
        # A retry would not help, and the sweeper finds objects that submit missed.
        logger.warning("an event is not understood", shape=error.shape)
        return
    for bucket, key in created:
        if bucket == settings.input_bucket and key.startswith(settings.input_prefix):
            yield bucket, key
        else:
            logger.warning("not an object of the input bucket", bucket=bucket, key=key)
            if bucket != settings.results_bucket:
                _submit().leave(bucket, key)


def _report(submitted: Submitted) -> None:
    drop = submitted.drop
    if drop is not None:  # a sidecar's event is about its image
        logger.set_correlation_id(drop.id)
    logger.info(
        "submit",
        outcome=submitted.outcome,
        kind=submitted.kind,
        state=drop and drop.state,
        reason=drop and drop.reason and drop.reason.message,
    )
    add_metrics([Measurement(f"objects_{submitted.outcome}", "Count", 1)])
