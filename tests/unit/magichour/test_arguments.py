"""Arguments: refused before anything is sent, or sent unchanged."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from dropscale.magichour import AsyncClient, Client, Environment, Misconfigured, RequestOptions
from tests.unit.magichour.conftest import TOKEN, Connect
from tests.unit.magichour.scripted_server import Behaviour, Reply, ScriptedServer, json_reply

CREATE, PROJECT = "/v1/ai-image-upscaler", "/v1/image-projects/p1"
CREATED = json_reply({"id": "p1"})
ACCOUNT = json_reply({"id": "a"})

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"scale_factor": 3}, "scale_factor is 3; it must be 2 or 4"),
    ({"scale_factor": True}, "scale_factor is True"),
    ({"scale_factor": "2"}, "scale_factor is '2'"),
    ({"scale_factor": float("nan")}, "scale_factor is nan"),
    ({"style": {"mod": "x"}}, "style has no field 'mod'; it takes mode, enhancement, prompt"),
    ({"style": {"mode": ["creative"]}}, "style.mode is ['creative']; it must be text"),
    ({"style": {"prompt": 5}}, "style.prompt is 5; it must be text"),
    ({"style": "creative"}, "style is str; it must be a dict"),
    ({"name": 5}, "name is 5; it must be text"),
    ({"assets": {}}, "assets has no image_file_path"),
    ({"assets": {"image": "a.png"}}, "assets has no field 'image'; it takes image_file_path"),
    ({"assets": None}, "assets is NoneType; it must be a dict"),
    ({"request_options": {"timeouts": 5}}, "request_options has no field 'timeouts'"),
    ({"request_options": {"additional_headers": {"authorization": "x"}}}, "set by the client"),
    ({"request_options": {"additional_headers": {"X\n": "x"}}}, "not a valid header name"),
    ({"request_options": {"additional_headers": {"X": "a\r\nY: b"}}}, "value of X has characters"),
]


@pytest.mark.parametrize(("wrong", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_what_the_api_would_refuse_is_not_even_sent(
    server: ScriptedServer, client: Client, tmp_path: Path, wrong: dict[str, Any], said: str
) -> None:
    (tmp_path / "cat.png").write_bytes(b"an image")
    right = {"assets": {"image_file_path": str(tmp_path / "cat.png")}, "scale_factor": 2}
    for call in (client.v1.ai_image_upscaler.create, client.v1.ai_image_upscaler.generate):
        with pytest.raises(ValueError, match=r"^.*") as caught:
            call(**{**right, **wrong})
        assert said in str(caught.value)
    with pytest.raises(ValueError, match="upload a local file first"):
        client.v1.ai_image_upscaler.create(
            assets={"image_file_path": Path("cat.png")},  # type: ignore[typeddict-item]
            scale_factor=2,
        )
    assert server.received == []


def test_what_the_api_takes_is_sent(server: ScriptedServer, client: Client) -> None:
    server.on("POST", CREATE, CREATED)
    styles: list[Any] = [None, {}, {"mode": "pro"}, {"mode": "creative", "prompt": ""}]
    for style in styles:
        client.v1.ai_image_upscaler.create(
            assets={"image_file_path": "api-assets/1.png"}, scale_factor=4.0, style=style
        )
    assert [request.json.get("style") for request in server.received] == styles


def test_the_options_of_a_call_are_in_its_request(server: ScriptedServer, client: Client) -> None:
    options: RequestOptions = {
        "additional_headers": {"X-Trace": "t1", "User-Agent": "mine/1"},
        "additional_params": {"page": 2, "q": "a b"},
    }
    v1 = client.v1
    item = {"upload_url": f"{server.base_url}/put", "file_path": "api-assets/1.png"}
    server.on("GET", "/v1/account", ACCOUNT)
    server.on("POST", CREATE, CREATED)
    server.on("POST", "/v1/files/upload-urls", json_reply({"items": [item]}))
    server.on("GET", PROJECT, json_reply({"id": "p1", "status": "queued"}))
    server.on("DELETE", PROJECT, Reply())

    v1.account.list(request_options=options)
    v1.files.upload_urls.create(items=[], request_options=options)
    v1.ai_image_upscaler.create(
        assets={"image_file_path": "x"}, scale_factor=2, request_options=options
    )
    v1.image_projects.get(id="p1", request_options=options)
    v1.image_projects.delete(id="p1", request_options=options)

    assert len(server.received) == 5
    for request in server.received:
        assert request.path.endswith("?page=2&q=a+b")
        assert request.headers["X-Trace"] == "t1"
        assert request.headers["User-Agent"] == "mine/1"
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    v1.account.list()
    assert server.received[-1].path == "/v1/account"


def test_a_call_may_have_a_time_out_of_its_own(server: ScriptedServer, client: Client) -> None:
    server.on("GET", "/v1/account", Reply(behaviour=Behaviour.NEVER_ANSWER))
    began = time.monotonic()
    with pytest.raises(Exception, match="connection was lost"):
        client.v1.account.list(request_options={"timeout": 0.1})
    assert time.monotonic() - began < 4  # the client's own is 5
    with pytest.raises(Misconfigured, match="time-out is 0"):
        client.v1.account.list(request_options={"timeout": 0})


def test_none_means_no_time_out(server: ScriptedServer, connect: Connect) -> None:
    server.on("GET", "/v1/account", ACCOUNT)
    patient = connect(token=TOKEN, base_url=server.base_url, timeout=None, transfer_timeout=None)
    assert patient.v1.account.list().id == "a"
    assert patient.v1.account.list(request_options={"timeout": None}).id == "a"


def test_environments_are_addresses_and_a_base_url_goes_before_them(
    server: ScriptedServer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.on("GET", "/v1/account", ACCOUNT)
    mock = Environment.MOCK_SERVER
    client = connect(token=TOKEN, base_url=server.base_url, environment=mock)
    assert client.v1.account.list().id == "a"
    monkeypatch.setattr(mock, "_value_", server.base_url)
    assert connect(token=TOKEN, environment=mock).v1.account.list().id == "a"


def test_a_closed_client_sends_nothing(server: ScriptedServer, client: Client) -> None:
    server.on("GET", "/v1/account", ACCOUNT)
    server.on("POST", CREATE, CREATED)
    client.v1.account.list()
    getattr(client, "close" if isinstance(client, Client) else "aclose")()
    with pytest.raises(Misconfigured, match="the client is closed"):
        client.v1.ai_image_upscaler.create(assets={"image_file_path": "x"}, scale_factor=2)
    assert len(server.received) == 1


def test_a_block_closes_the_client_at_its_end(server: ScriptedServer) -> None:
    server.on("GET", "/v1/account", ACCOUNT)
    with Client(token=TOKEN, base_url=server.base_url) as blocking:
        assert blocking.v1.account.list().id == "a"

    async def use() -> None:
        async with AsyncClient(token=TOKEN, base_url=server.base_url) as client:
            assert (await client.v1.account.list()).id == "a"
        await client.v1.account.list()

    for act in (blocking.v1.account.list, lambda: asyncio.run(use())):
        with pytest.raises(Misconfigured, match="the client is closed"):
            act()
