"""Make a client of each AWS service that the layer has a model of, and have it serialise calls.

Run with the layer on Python's path and nothing else. No request leaves: each is signed, looked at
and answered here.
"""

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any

import boto3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from urllib3 import HTTPResponse

TABLE, KEY = {"TableName": "ledger"}, {"pk": {"S": "drop#1"}, "sk": {"S": "drop"}}
ARN = "arn:aws:states:us-east-1:123456789012:stateMachine:upscale"
QUEUE = "https://sqs.us-east-1.amazonaws.com/123456789012/drops"
CONDITION = "attribute_not_exists(pk)"
PUT = {"Put": {**TABLE, "Item": KEY, "ConditionExpression": CONDITION}}
EVENT = {"Source": "dropscale", "DetailType": "Drop Delivered", "Detail": "{}"}

CALLS: Mapping[str, Callable[[Any], object]] = {
    "dynamodb": lambda client: (
        client.transact_write_items(TransactItems=[PUT]),
        list(client.get_paginator("scan").paginate(**TABLE)),
    ),
    "events": lambda client: client.put_events(Entries=[EVENT]),
    "s3": lambda client: (
        client.put_object(Bucket="results", Key="a@2x.png", Body=b"", IfNoneMatch="*"),
        client.put_object(Bucket="results", Key="a@2x.png", Body=b"", IfMatch="before"),
        list(client.get_paginator("list_objects_v2").paginate(Bucket="drops")),
    ),
    "secretsmanager": lambda client: client.get_secret_value(SecretId="key"),
    "sqs": lambda client: client.send_message(QueueUrl=QUEUE, MessageBody="{}"),
    "stepfunctions": lambda client: client.start_execution(stateMachineArn=ARN, name="1"),
}
SAYS = {
    "dynamodb": ["attribute_not_exists(pk)", "ClientRequestToken"],
    "s3": ["If-None-Match: *", "If-Match: before"],
}
"""What must be in a service's requests, since nothing is paid twice only because of it."""


def main() -> None:
    """Call each service; raise if one cannot be called or answers wrongly."""
    session = boto3.Session("id", "secret", region_name="us-east-1")
    available = session.get_available_services()
    assert available == sorted(CALLS), available
    for service in CALLS:
        client = session.client(service)  # type: ignore[call-overload] # chosen by name
        wire = Wire(b"" if service == "s3" else b"{}")
        client.meta.events.register("before-send", wire)
        CALLS[service](client)
        for said in SAYS.get(service, []):
            assert said in wire.sent, f"{service} does not send {said}"


class Wire:
    """Records requests, and answers all with one body."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.sent = ""

    def __call__(self, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        """Answer a request in place of the network."""
        headers = {name: _text(value) for name, value in request.headers.items()}
        assert headers["Authorization"].startswith("AWS4-HMAC-SHA256"), request.url
        lines = [f"{name}: {value}" for name, value in headers.items()]
        self.sent += "\n".join([*lines, _text(request.body), ""])
        body = HTTPResponse(BytesIO(self._body), preload_content=False)
        return AWSResponse(request.url, 200, HTTPHeaders(), body)


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


if __name__ == "__main__":
    main()
