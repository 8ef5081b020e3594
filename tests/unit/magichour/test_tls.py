"""HTTPS: whom the clients trust."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dropscale.magichour import Unreachable
from tests.certificate import server_context, write_certificate
from tests.unit.magichour.conftest import Connect
from tests.unit.magichour.scripted_server import ScriptedServer, json_reply

ACCOUNT = {"id": "a", "credits": 7, "tier": "free"}


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return write_certificate(tmp_path)


@pytest.fixture
def https_server(certificate: Path) -> Iterator[ScriptedServer]:
    with ScriptedServer(server_context(certificate)) as running:
        running.on("GET", "/v1/account", json_reply(ACCOUNT))
        yield running


def test_the_environments_certificates_are_trusted(
    https_server: ScriptedServer,
    connect: Connect,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(variable, str(certificate))
    client = connect(token="t", base_url=https_server.base_url)
    assert [client.v1.account.list().credits for _ in range(2)] == [7, 7]


def test_others_are_not(https_server: ScriptedServer, connect: Connect) -> None:
    with pytest.raises(Unreachable):
        connect(token="t", base_url=https_server.base_url).v1.account.list()
    assert https_server.received == []
