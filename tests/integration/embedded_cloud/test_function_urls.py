"""A function URL: anybody on this machine may call it, and the function gets what was sent."""

import base64
import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from dropscale_embedded.cloud import EmbeddedCloud
from tests.integration.embedded_cloud.test_cloud_access import FROM_A_PAGE, Caller, Got, Sent


def call(
    cloud: EmbeddedCloud, path: str = "", body: bytes = b"", method: str = "POST", **headers: str
) -> Got:
    caller, base = Caller(cloud), urlsplit(cloud.outputs["EchoUrl"]).path
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    sent = {"Host": caller.host, "Content-Length": str(len(body)), **named}
    return caller.send(Sent(method, base + path, sent, body))


@pytest.mark.parametrize(
    ("content_type", "body", "is_base64"),
    [
        ("application/json", '{"é": 1}'.encode(), False),
        ("application/json; charset=utf-8", b"{}", False),
        ("text/plain", b" a\r\n\r\nb ", False),
        ("text/plain", b"\xff\x00", True),
        ("application/octet-stream", b"plain", True),
        ("", b"plain", True),
    ],
)
def test_the_function_gets_what_was_sent(
    cloud: EmbeddedCloud, content_type: str, body: bytes, is_base64: bool
) -> None:
    got = call(cloud, "a/b?c=d%20e", body, Content_Type=content_type, X_CaSe="Kept")
    event = json.loads(got.body)

    assert (got.status, got.headers["X-Mine"]) == (202, "yes")
    told = event["body"].encode()
    assert (base64.b64decode(told) if is_base64 else told) == body
    assert event["isBase64Encoded"] is is_base64
    assert (event["version"], event["rawPath"], event["rawQueryString"]) == (
        "2.0",
        "/a/b",
        "c=d%20e",
    )
    assert event["headers"]["x-case"] == "Kept"
    assert event["requestContext"]["http"]["method"] == "POST"


def test_what_a_function_returns(cloud: EmbeddedCloud) -> None:
    answers = {name: call(cloud, name) for name in ("plain", "status", "bytes", "raise")}
    told = {name: (got.status, got.body) for name, got in answers.items()}

    assert told == {
        "plain": (200, b"[1, 2]"),
        "status": (401, b""),
        "bytes": (200, b"\xff"),
        "raise": (502, b'{"Message":"Internal Server Error"}'),
    }


def test_requests_that_reach_no_function(cloud: EmbeddedCloud) -> None:
    caller, from_a_page = Caller(cloud), dict[str, Any](FROM_A_PAGE)
    unknown = Sent("POST", "/_function-url/dropscale-WorkFunction/", {"Host": caller.host})

    assert caller.send(unknown).status == 404
    assert call(cloud, **from_a_page).status == 403
    assert call(cloud, Host="evil.example").status == 403
    assert call(cloud, body=b"x" * (6 * 1024 * 1024 + 1)).status == 413
