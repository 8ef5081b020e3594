import asyncio
import socket
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from dropscale.magichour import AsyncClient, Client, Polling
from tests.blocking import Blocking
from tests.unit.magichour.scripted_server import ScriptedServer

TOKEN = "mhk_live_secret"

Connect = Callable[..., Client]


def connect_async(**options: Any) -> Client:
    return cast(Client, Blocking(AsyncClient(**options), asyncio.run))


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


@pytest.fixture(params=[Client, connect_async], ids=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Connect:
    """Make a client: every test that takes this, or `client`, runs on both."""
    return cast(Connect, request.param)


@pytest.fixture
def client(server: ScriptedServer, connect: Connect) -> Client:
    return connect(
        token=TOKEN, base_url=server.base_url, timeout=5, polling=Polling(interval=0.001)
    )


@pytest.fixture
def impatient_client(server: ScriptedServer, connect: Connect) -> Client:
    return connect(token=TOKEN, base_url=server.base_url, timeout=0.1)


@pytest.fixture
def closed_port_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return f"http://127.0.0.1:{port}"
