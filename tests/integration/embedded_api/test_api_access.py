"""The embedded API accepts callers with the key or a signed URL, and no web page."""

from collections.abc import Callable
from typing import Any

import pytest
import requests

from dropscale_embedded.api import EmbeddedApi
from tests.integration.embedded_api.conftest import Caller

CALLS = [
    ("GET", "/v1/account"),
    ("POST", "/v1/ai-image-upscaler"),
    ("POST", "/v1/files/upload-urls"),
    ("GET", "/v1/image-projects/x"),
    ("DELETE", "/v1/image-projects/x"),
    ("GET", "/_control/book"),
    ("PUT", "/_control/faults"),
    ("DELETE", "/_control/faults"),
    ("GET", "/"),
    ("OPTIONS", "/v1/account"),
]
PAGES = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Host": "evil.example"},
    {"Host": "evil.example:{port}"},
    {"Host": "127.0.0.1:81"},
]

Send = Callable[..., requests.Response]


@pytest.fixture
def send(api: EmbeddedApi) -> Send:
    def send(method: str, path: str, **options: Any) -> requests.Response:
        answer = requests.request(method, api.base_url + path, timeout=10, **options)
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]
        return answer

    return send


@pytest.mark.parametrize(
    "authorization", [None, "x", "Bearer wrong", "Bearer ", "Basic {key}", "{key}"]
)
def test_another_user_is_refused(api: EmbeddedApi, send: Send, authorization: str | None) -> None:
    headers = {"Authorization": authorization.format(key=api.token)} if authorization else {}
    for method, path in CALLS:
        answer = send(method, path, headers=headers, data=b"rules: []")
        assert (answer.status_code, answer.json()) == (401, {"message": "Unauthorized"})


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_a_page_is_refused_even_with_the_key(
    api: EmbeddedApi, call: Caller, send: Send, page: dict[str, str]
) -> None:
    port = api.base_url.rpartition(":")[2]
    page = {name: value.format(port=port) for name, value in page.items()}
    key = {"Authorization": f"Bearer {api.token}"}
    for method, path in CALLS:
        assert send(method, path, headers=key | page).status_code == 403
    upload = call.upload_url()["upload_url"].removeprefix(api.base_url)
    assert send("PUT", upload, headers=page, data=b"x").status_code == 403
    assert send("PUT", upload, data=b"x").status_code == 200


def test_what_a_person_types_into_the_address_bar_is_answered(call: Caller) -> None:
    assert call("GET", "/v1/account", headers={"Sec-Fetch-Site": "none"}).status_code == 200


@pytest.mark.parametrize("path", ["/v1/ai-image-upscaler", "/v1/files/upload-urls"])
def test_a_body_that_no_call_has_is_not_read(call: Caller, path: str) -> None:
    assert call("POST", path, data=b" " * (1024 * 1024)).status_code < 500
    assert call("POST", path, data=b" " * (1024 * 1024 + 1)).status_code == 413
    assert call.upload(bytes(2 * 1024 * 1024)), "an upload may be longer"
