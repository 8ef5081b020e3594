"""A task that does as its input says, counting its runs in the table."""

import os
import time
from typing import Any

import boto3
import stamp  # type: ignore[import-not-found]  # comes with the layer


class TryAgain(Exception):
    """Named in the state machine's Retry."""


def handler(event: dict[str, Any], context: Any) -> Any:
    """Fail, hang, die or finish."""
    if event.get("detail-type") == "Scheduled Event":
        _count("scheduled")
        return None
    runs = _count(event["key"])
    do = event["do"]
    if do == "hang":
        print("about to hang")  # noqa: T201
        time.sleep(60)
    if do == "exit":
        os._exit(3)
    if do == "break":
        raise ValueError("no good")
    if runs == 1:
        raise TryAgain("the first time fails")
    if runs == 2:
        return {**event, "status": "rendering"}
    boto3.client("s3").put_object(
        Bucket=os.environ["RESULTS"], Key=event["key"], Body=stamp.STAMP.encode()
    )
    return {**event, "status": "done"}


def _count(key: str) -> int:
    answer = boto3.client("dynamodb").update_item(
        TableName=os.environ["TABLE"],
        Key={"pk": {"S": key}},
        UpdateExpression="ADD runs :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
        ReturnValues="UPDATED_NEW",
    )
    return int(answer["Attributes"]["runs"]["N"])
