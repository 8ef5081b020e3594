"""Hand signed events to the webhook's handler, with answers of AWS that are made here.

Run in a process of its own by `tests.bench.imports`; takes how many events.
"""

import hashlib
import hmac
import json
import sys
import time
from typing import Any

import app  # type: ignore[import-not-found] # the webhook's handler is on the path
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.handlers import BUILTIN_HANDLERS

_SECRET = "whsec_1"
_PROJECT = {name: {"S": "x"} for name in ("fingerprint", "project_id")}
_WAITER = {name: {"S": "x"} for name in ("drop_id", "rendition_id", "token")} | _PROJECT
_ANSWERS = {
    "GetSecretValue": {"SecretString": _SECRET},
    "GetItem": {"Item": _PROJECT},
    "Query": {
        "Items": [{**_WAITER, "generation": {"N": "1"}, "entered": {"S": "2026-11-30T00:00:00Z"}}]
    },
}
"""A project of this stack, and one execution that waits for it."""


class _Body:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, **_: Any) -> Any:
        """Yield the content, as urllib3's answer does."""
        yield self._content


class _Context:
    function_name, memory_limit_in_mb = "webhook", 512
    invoked_function_arn = aws_request_id = "none"


def _answer(request: Any, **_: Any) -> AWSResponse:
    operation = request.headers["X-Amz-Target"].decode().rpartition(".")[2]
    body = json.dumps(_ANSWERS.get(operation, {})).encode()
    return AWSResponse(request.url, 200, HTTPHeaders(), _Body(body))


def _event(number: int) -> dict[str, Any]:
    payload = {"id": f"project{number}", "name": f"cat.jpg {number:024x}", "status": "complete"}
    body = json.dumps({"type": "image.completed", "payload": payload})
    timestamp = str(int(time.time()))
    signed = f"{timestamp}.{body}".encode()
    signature = hmac.new(_SECRET.encode(), signed, hashlib.sha256).hexdigest()
    headers = {
        "magic-hour-event-timestamp": timestamp,
        "magic-hour-event-signature": signature,
    }
    return {"headers": headers, "body": body, "isBase64Encoded": False}


BUILTIN_HANDLERS.append(("before-send", _answer))
for number in range(int(sys.argv[1])):
    answer = app.handler(_event(number), _Context)
    if answer != {"statusCode": 200}:
        sys.exit(str(answer))
