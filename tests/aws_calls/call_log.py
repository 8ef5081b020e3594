"""A file of the AWS calls that each function makes, as the permissions that they take.

Workers import this too, beside nothing but botocore.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

_ATTRIBUTE = re.compile(r"(?<![:\w#])#?[a-z]\w*\b(?!\()")
"""In an expression, whose keywords are capitals, and its functions before a parenthesis."""

ACCOUNT, REGION = "123456789012", "us-east-1"


class Permission(NamedTuple):
    """An action on one resource: what a call asks IAM for.

    `leading_key` is the kind of a row's partition key, such as `job#`; "": the call names none.
    `attributes` are those that an update of a row names.
    """

    action: str
    resource: str
    leading_key: str = ""
    attributes: tuple[str, ...] = ()


class CallLog:
    """Appends lines that are shorter than a page, so that processes do not mix theirs."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, function: str, service: str, operation: str, call: Mapping[str, Any]) -> None:
        """Write down a call, by its parameters as boto3 takes them."""
        with self._path.open("a", encoding="utf-8") as file:
            for permission in permissions(service, operation, call):
                file.write(json.dumps([function, *permission]) + "\n")

    def read(self) -> dict[str, set[Permission]]:
        """Return what each function needed."""
        needed: dict[str, set[Permission]] = {}
        with self._path.open(encoding="utf-8") as lines:
            for line in lines:
                function, action, resource, row, attributes = json.loads(line)
                permission = Permission(action, resource, row, tuple(attributes))
                needed.setdefault(function, set()).add(permission)
        return needed


def permissions(  # noqa: PLR0912 # one for each shape of call
    service: str, operation: str, call: Mapping[str, Any]
) -> Iterator[Permission]:
    """Yield what a call asks IAM for.

    https://docs.aws.amazon.com/service-authorization/latest/reference/: most actions are called
    like the operation.

    Raises:
        KeyError: The service is not known here.
    """
    prefix = f"arn:aws:{service}:{REGION}:{ACCOUNT}"
    match service:
        case "s3" if operation.startswith("List"):
            yield Permission("s3:ListBucket", f"arn:aws:s3:::{call['Bucket']}")
        case "s3":
            action = "GetObject" if operation == "HeadObject" else operation
            of_version = "ObjectVersion" if "VersionId" in call else "Object"
            action = action.replace("Object", of_version)
            yield Permission(f"s3:{action}", f"arn:aws:s3:::{call['Bucket']}/{call['Key']}")
        case "dynamodb" if operation == "TransactWriteItems":
            for item in call["TransactItems"]:
                ((kind, change),) = item.items()
                action = "ConditionCheckItem" if kind == "ConditionCheck" else f"{kind}Item"
                table = f"{prefix}:table/{change['TableName']}"
                yield Permission(f"dynamodb:{action}", table, *_row(change))
        case "dynamodb" if operation == "BatchGetItem":
            for table in call["RequestItems"]:
                yield Permission(f"dynamodb:{operation}", f"{prefix}:table/{table}")
        case "dynamodb":
            index = f"/index/{call['IndexName']}" if "IndexName" in call else ""
            table = f"{prefix}:table/{call['TableName']}"
            yield Permission(f"dynamodb:{operation}", f"{table}{index}", *_row(call))
        case "sqs":
            yield Permission(f"sqs:{operation}", f"{prefix}:{call['QueueUrl'].rpartition('/')[2]}")
        case "secretsmanager":
            yield Permission(f"secretsmanager:{operation}", call["SecretId"])
        case "stepfunctions":
            # A task token is of the stack's only machine, but does not name it.
            machine = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:dropscale-upscale"
            arn = call.get("executionArn") or call.get("stateMachineArn", machine)
            yield Permission(f"states:{operation}", arn)
        case "events":
            for entry in call["Entries"]:
                bus = entry.get("EventBusName", "default")
                yield Permission(f"events:{operation}", f"{prefix}:event-bus/{bus}")
        case _:
            raise KeyError(f"say what {service}:{operation} asks IAM for")


def _row(call: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """Return the kind of row that a call names, and the attributes that its update names."""
    values = call.get("ExpressionAttributeValues", {})
    key = call.get("Item") or call.get("Key") or {"pk": values.get(":pk", {"S": ""})}
    kind, mark, _ = key["pk"]["S"].partition("#")
    if "UpdateExpression" not in call:
        return f"{kind}{mark}", ()
    names = call.get("ExpressionAttributeNames", {})
    text = f"{call['UpdateExpression']} {call.get('ConditionExpression', '')}"
    words = (names.get(word, word) for word in _ATTRIBUTE.findall(text))
    return f"{kind}{mark}", tuple(sorted({*key, *words}))
