"""Takes S3 events off the queue; the dropped file says what to do with it."""

import json
import os
from typing import Any

import boto3


def handler(event: dict[str, Any], context: Any) -> Any:
    """Write down the event, then act as the object's body says."""
    (record,) = event["Records"]
    drop = json.loads(record["body"])
    detail = drop["detail"]
    s3 = boto3.client("s3")
    got = s3.get_object(
        Bucket=detail["bucket"]["name"],
        Key=detail["object"]["key"],
        VersionId=detail["object"]["version-id"],
    )
    seen = {
        "event": event,
        "environment": dict(os.environ),
        "context": {
            "function_name": context.function_name,
            "arn": context.invoked_function_arn,
            "remaining": context.get_remaining_time_in_millis(),
        },
        "secret": boto3.client("secretsmanager").get_secret_value(SecretId=os.environ["SECRET"])[
            "SecretString"
        ],
    }
    count = record["attributes"]["ApproximateReceiveCount"]
    s3.put_object(
        Bucket=os.environ["RESULTS"],
        Key=f"seen/{detail['object']['key']}/{count}",
        Body=json.dumps(seen).encode(),
    )
    order = json.loads(got["Body"].read())
    if order["do"] == "refuse":
        return {"batchItemFailures": [{"itemIdentifier": record["messageId"]}]}
    if order["do"] == "raise":
        raise RuntimeError("told to")
    boto3.client("stepfunctions").start_execution(
        stateMachineArn=os.environ["STATE_MACHINE"],
        name=drop["id"],
        input=json.dumps({"wait_seconds": 1, "key": detail["object"]["key"], **order}),
    )
    return {"batchItemFailures": []}
