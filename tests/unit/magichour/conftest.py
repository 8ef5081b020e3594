import socket
from collections.abc import Iterator

import pytest

from dropscale.magichour import Client, Polling
from tests.unit.magichour.scripted_server import ScriptedServer

TOKEN = "mhk_live_secret"


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


@pytest.fixture
def client(server: ScriptedServer) -> Client:
    return Client(token=TOKEN, base_url=server.base_url, timeout=5, polling=Polling(interval=0.001))


@pytest.fixture
def impatient_client(server: ScriptedServer) -> Client:
    return Client(token=TOKEN, base_url=server.base_url, timeout=0.1)


@pytest.fixture
def closed_port_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return f"http://127.0.0.1:{port}"
