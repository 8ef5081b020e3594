"""The webhook's public URL on the embedded stack: what anybody may send, and what they learn."""

import hashlib
import hmac
import json
import time
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from dropscale.magichour.webhooks import SIGNATURE_HEADER, TIMESTAMP_HEADER
from dropscale_embedded.cloud import EmbeddedCloud
from tests.policies import TEMPLATE

SECRET = "whsec_1"
DAY = 24 * 3600


def body_of(kind: str = "image.completed", **payload: Any) -> bytes:
    return json.dumps({"type": kind, "payload": {"id": "p1", **payload}}).encode()


def signed(body: bytes, age: float = 0, secret: str = SECRET) -> list[tuple[str, str]]:
    timestamp = str(int(time.time() - age))
    text = timestamp.encode() + b"." + body
    signature = hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()
    return [
        (SIGNATURE_HEADER.title(), signature),
        (TIMESTAMP_HEADER.upper(), timestamp),
    ]


def post(
    cloud: EmbeddedCloud,
    body: bytes,
    headers: list[tuple[str, str]],
    content_type: str = "application/json",
) -> tuple[int, bytes]:
    where = urlsplit(cloud.outputs["WebhookUrl"])
    connection = HTTPConnection(where.hostname or "", where.port, timeout=60)
    connection.putrequest("POST", where.path)
    for name, value in [*headers, ("Content-Type", content_type)]:
        connection.putheader(name, value)
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    told = answer.status, answer.read()
    connection.close()
    return told


def test_a_request_gets_a_status_and_not_a_word() -> None:
    parameters = {"ApiBaseUrl": "http://127.0.0.1:9", "Webhooks": "enabled"}
    event = body_of(name="été 🐈")
    deep = b'{"type": "image.completed", "payload": ' + b"[" * 50_000 + b"]" * 50_000 + b"}"
    with EmbeddedCloud(
        template=TEMPLATE, parameters=parameters, secrets={"ApiKeySecret": "key"}
    ) as cloud:
        assert post(cloud, event, signed(event)) == (503, b""), "the secret has no value yet"
        cloud.client("secretsmanager").put_secret_value(
            SecretId=cloud.outputs["WebhookSecretArn"], SecretString=SECRET
        )
        other = body_of("video.completed")
        octets, large = "application/octet-stream", b"x" * 300_000
        requests: list[tuple[int, tuple[Any, ...]]] = [
            (200, (event, signed(event))),
            (200, (event, signed(event, age=DAY), octets)),
            (200, (other, signed(other))),
            (401, (event, [])),
            (401, (event, signed(event, secret="another"))),
            (401, (event + b" ", signed(event))),
            (401, (event, signed(event, age=DAY + 3600))),
            (401, (event, signed(event, age=-3600))),
            (401, (event, signed(event) * 2)),
            (401, (event, signed(event)[:1])),
            (401, (large, signed(large))),
            (401, (deep, signed(deep))),
            (401, (b"\xff", signed(b"\xff"))),
            (200, (event, signed(event))),
        ]

        assert [post(cloud, *request) for _, request in requests] == [
            (status, b"") for status, _ in requests
        ]
