"""HTTPS: whom the clients trust. That they trust nobody else is in `test_sent_or_not.py`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificate import folder_of, server_context, write_certificate
from tests.unit.magichour.conftest import Connect
from tests.unit.magichour.scripted_server import ScriptedServer, json_reply

CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
ACCOUNT = {"id": "a", "credits": 7, "tier": "free"}


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return write_certificate(tmp_path)


@pytest.fixture
def https_server(certificate: Path) -> Iterator[ScriptedServer]:
    with ScriptedServer(server_context(certificate)) as running:
        running.on("GET", "/v1/account", json_reply(ACCOUNT))
        yield running


@pytest.mark.parametrize("variable", CA_VARIABLES)
@pytest.mark.parametrize("is_folder", [False, True])
def test_each_variable_names_a_file_or_a_folder_for_both_clients(
    https_server: ScriptedServer,
    connect: Connect,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    is_folder: bool,
) -> None:
    path = folder_of(certificate) if is_folder else certificate
    for name in CA_VARIABLES[: CA_VARIABLES.index(variable)]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", "/nowhere")  # comes last, so it is not asked
    monkeypatch.setenv(variable, str(path))
    client = connect(token="t", base_url=https_server.base_url)
    assert [client.v1.account.list().credits for _ in range(2)] == [7, 7]
