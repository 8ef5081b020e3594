"""A request that was never sent raises an error that says so; one that was sent never does.

One rule over every way a create can fail, on both clients: it ends in a class of `NOT_CHARGED`
exactly if the server read nothing of it, or refused it in the vendor's own shape.
"""

import io
import re
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from dropscale.aws.magic_hour import MagicHourUpscaler
from dropscale.magichour import (
    NOT_CHARGED,
    Client,
    CreateAnswerUnreadable,
    CreateOutcomeUnknown,
    MagicHourError,
    Misconfigured,
    Unauthorized,
    Unreachable,
    base_transport,
    calls,
    environment,
)
from dropscale.magichour.async_transport import AsyncTransport
from dropscale.magichour.transport import BlockingTransport
from tests.certificate import server_context, write_certificate
from tests.unit.magichour.conftest import TOKEN, Connect
from tests.unit.magichour.scripted_server import Reply, ScriptedServer

PATH = "/v1/ai-image-upscaler"
ELSEWHERE = "https://api.example"
CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")


@pytest.fixture(autouse=True)
def _no_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*CA_VARIABLES, "SSLKEYLOGFILE"):
        monkeypatch.delenv(name, raising=False)


def create(client: Client) -> None:
    client.v1.ai_image_upscaler.create(assets={"image_file_path": "x"}, scale_factor=2, name="cat")


def failure_of(act: Callable[[], object]) -> MagicHourError:
    with pytest.raises(MagicHourError) as caught:
        act()
    assert caught.value.__context__ is None
    return caught.value


def require_misconfigured(error: MagicHourError, said: str) -> None:
    assert type(error) is Misconfigured
    assert re.search(said, str(error))
    assert "hush" not in str(error)


def was_read(server: ScriptedServer) -> bool:
    """Whether the server read any part of a create, even only its first line."""
    return any(line.startswith(b"POST") for line in server.first_lines)


PROXIES = {
    "socks5://127.0.0.1:1080": "HTTPS_PROXY .*scheme is 'socks5', which needs the package",
    "socks5h://127.0.0.1:1080": "HTTPS_PROXY .*scheme is 'socks5h', which needs the package",
    "foo://127.0.0.1:3128": "HTTPS_PROXY .*scheme is not one of http, https, socks5, socks5h",
    "socks4://127.0.0.1:1080": "HTTPS_PROXY .*scheme is not one of http, https, socks5, socks5h",
    "http://127.0.0.1:99999": "HTTPS_PROXY .*port cannot be read",
    "127.0.0.1:http": "HTTPS_PROXY .*port cannot be read",
    "http://": "HTTPS_PROXY .*names no host",
    "http://[::1": "HTTPS_PROXY .*not a URL",
    "http://pröxy.example": "HTTPS_PROXY .*visible ASCII",
    "http://a..b": "HTTPS_PROXY .*not a host name",
    "http://%E2%82%AC:hush@127.0.0.1:3128": "HTTPS_PROXY .*user or password",
}


@pytest.mark.parametrize("proxy", PROXIES)
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_that_cannot_be_used_is_a_setting_to_correct(
    monkeypatch: pytest.MonkeyPatch, connect: Connect, variable: str, proxy: str
) -> None:
    monkeypatch.setenv(variable, proxy)
    monkeypatch.setattr(environment, "find_spec", lambda _module: None)
    client = connect(token=TOKEN, base_url=ELSEWHERE)
    said = PROXIES[proxy].replace("HTTPS_PROXY", variable)
    for act in (
        lambda: create(client),
        client.v1.account.list,
        lambda: client.download("https://storage.example/1.png", io.BytesIO()),
    ):
        require_misconfigured(failure_of(act), said)


@pytest.mark.parametrize(
    ("no_proxy", "bypassed", "others"),
    [
        ("*", ["api.example"], []),
        ("other.example, api.example", ["api.example"], []),
        (".example", ["api.example"], []),
        ("api.example:8443", ["api.example:8443"], ["api.example:443"]),
        ("pi.example", [], ["api.example"]),
        ("10.1.2.3", ["10.1.2.3"], []),
        ("10.0.0.0/8,fd00::/8", ["10.1.2.3:443", "[fd00::1]"], ["11.1.2.3"]),
        ("10.0.0.0/800,", [], ["api.example"]),
    ],
)
def test_who_is_reached_past_the_proxy(
    monkeypatch: pytest.MonkeyPatch, no_proxy: str, bypassed: list[str], others: list[str]
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    for host in (*bypassed, *others):
        schemes = BlockingTransport.proxy_schemes
        route = environment.route_to(f"https://{host}/x", schemes, direct=False)
        assert route.proxy == ("http://proxy.example:3128" if host in others else None)


def test_what_a_proxy_refuses_was_not_sent(
    monkeypatch: pytest.MonkeyPatch, server: ScriptedServer, connect: Connect, closed_port_url: str
) -> None:
    for proxy in (server.base_url, server.base_url.replace("http", "https"), closed_port_url):
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        client = connect(token=TOKEN, base_url=ELSEWHERE)
        assert type(failure_of(lambda: create(client))) is Unreachable  # noqa: B023 # called here
    assert not was_read(server)
    [request] = server.received
    assert (request.method, request.path) == ("CONNECT", "api.example:443")
    assert TOKEN not in str(request.headers)


BROKEN = {
    "nowhere.pem": (None, "does not exist"),
    "nowhere/bundle.pem": (None, "does not exist"),
    "empty.pem": ("", "cannot be read"),
    "text.pem": ("no certificate", "cannot be read"),
    "half.pem": ("-----BEGIN CERTIFICATE-----\nAAAA\n", "cannot be read"),
}


@pytest.mark.parametrize(("name", "variable"), [*zip(BROKEN, CA_VARIABLES * 2, strict=False)])
def test_certificates_that_cannot_be_read_are_a_setting_to_correct(
    monkeypatch: pytest.MonkeyPatch,
    server: ScriptedServer,
    client: Client,
    connect: Connect,
    tmp_path: Path,
    name: str,
    variable: str,
) -> None:
    content, said = BROKEN[name]
    if content is not None:
        (tmp_path / name).write_text(content)
    monkeypatch.setenv(variable, str(tmp_path / name))
    https = server.base_url.replace("http", "https")
    item = f'{{"items": [{{"upload_url": "{https}/put", "file_path": "api-assets/1.png"}}]}}'
    server.on("POST", "/v1/files/upload-urls", Reply(200, item.encode()))
    server.on("POST", PATH, Reply(200, b'{"id": "p1"}'))

    for act in (
        lambda: create(connect(token=TOKEN, base_url=https)),
        connect(token=TOKEN, base_url=https).v1.account.list,
        lambda: client.download(f"{https}/1.png", io.BytesIO()),
        lambda: client.v1.files.upload_file(io.BytesIO(b"an image"), "png"),
    ):
        require_misconfigured(failure_of(act), f"{variable} .*{said}")
    assert [request.path for request in server.received] == ["/v1/files/upload-urls"]
    create(client)  # nobody's certificates are asked for on plain http


def test_a_key_log_that_cannot_be_written_is_a_setting_to_correct(
    monkeypatch: pytest.MonkeyPatch, connect: Connect, tmp_path: Path
) -> None:
    client = connect(token=TOKEN, base_url="https://127.0.0.1:1")
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "nowhere/keys.log"))
    with pytest.raises(Misconfigured, match=r"SSLKEYLOGFILE .*cannot be written"):
        create(client)


BASE_URLS = {
    "http://api.magichour.ai": "begin with https://",
    "ftp://127.0.0.1": "begin with https://",
    "api.magichour.ai": "names no host",
    "https://": "names no host",
    "https:///v1": "names no host",
    "http://[::1": "cannot be read",
    "https://[v1.x]": "not a host name",
    "https://api.example:99999": "port cannot be read",
    "https://api.example:https": "port cannot be read",
    "https://api.example:0": "port is not a number from 1 to 65535",
    "https://api.example:": "port is not a number from 1 to 65535",
    "https://äpi.example": "visible ASCII",
    "https://api.example\n": "visible ASCII",
    "https://a..b": "not a host name",
    f"https://{'a' * 64}.example": "not a host name",
    "https://user:hush@api.example": "has a user",
    "https://api.example?key=hush": "a query or a fragment",
}


@pytest.mark.parametrize("base_url", BASE_URLS)
def test_a_base_url_that_cannot_be_used_is_a_setting_to_correct(
    connect: Connect, base_url: str
) -> None:
    upscaler = MagicHourUpscaler(lambda: TOKEN, base_url, timeout=5)
    for act in (lambda: connect(token=TOKEN, base_url=base_url), upscaler.account):
        require_misconfigured(failure_of(act), f"the base URL .*{BASE_URLS[base_url]}")


def test_a_time_out_that_is_none_is_a_setting_to_correct_and_a_wrong_key_none(
    connect: Connect,
) -> None:
    for timeout in (0, -1, float("nan"), float("inf"), 1e9):
        with pytest.raises(Misconfigured, match="time-out"):
            connect(token=TOKEN, timeout=timeout)
    with pytest.raises(Misconfigured):
        MagicHourUpscaler(lambda: TOKEN, ELSEWHERE, timeout=0).account()
    for key in ("", "key\n"):
        with pytest.raises(Unauthorized):
            MagicHourUpscaler(lambda key=key: key, ELSEWHERE, timeout=5).account()  # type: ignore[misc]


VENDORS = b'{"message": "no", "code": "insufficient_credits"}'
BODIES = (VENDORS, b"<html>", b"", b"[]", b'{"code": "x"}', b'{"message": null}', b'{"error": "x"}')
STATUSES = (201, 204, 302, 307, *range(400, 405), 407, 408, 418, 422, 429, 451, 499)
SERVER_STATUSES = (500, 501, 502, 503, 504, 520, 599)
REFUSALS = {400, 401, 402, 403, 404, 422, 429, 502, 503}


def test_a_create_is_not_charged_if_the_vendor_itself_refuses_it(
    server: ScriptedServer, client: Client
) -> None:
    for status, body in product((*STATUSES, *SERVER_STATUSES), BODIES):
        server.on("POST", PATH, Reply(status, body))
        error = failure_of(lambda: create(client))
        is_refused = status in REFUSALS and body == VENDORS
        assert isinstance(error, NOT_CHARGED) == is_refused, (status, body)
        is_foreign = 400 <= status < 500 and body != VENDORS
        assert isinstance(error, CreateAnswerUnreadable) == is_foreign, (status, body)
        assert isinstance(error, CreateOutcomeUnknown) == (not is_refused)
        assert error.status == status
        if isinstance(error, CreateOutcomeUnknown):
            assert error.project_name == "cat"


def test_a_foreign_refusal_says_what_to_do(server: ScriptedServer, client: Client) -> None:
    server.on("POST", PATH, Reply(429, b"<html>", {"Retry-After": "7"}))
    with pytest.raises(CreateAnswerUnreadable, match="look for a project named 'cat'") as caught:
        create(client)
    assert caught.value.retry_after == 7
    server.on("POST", PATH, Reply(503, b"<html>", {"Retry-After": "8"}))
    assert failure_of(lambda: create(client)).retry_after == 8


class Surprise(Exception):
    """An unexpected error."""


@pytest.mark.parametrize("error", [Surprise, ValueError, OSError, RecursionError, MemoryError])
def test_the_unforeseen_is_judged_by_what_was_sent(
    monkeypatch: pytest.MonkeyPatch, server: ScriptedServer, client: Client, error: type[Exception]
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise error

    server.on("POST", PATH, Reply(200, b'{"id": "p1"}'))
    before = [(base_transport, "route_to"), (BlockingTransport, "exchange")]
    after = [(base_transport.Request, "incoming"), (calls, "document_of")]
    for owner, name in before + after:
        server.first_lines.clear()
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, fail)
            if owner is BlockingTransport:
                patch.setattr(AsyncTransport, name, fail)
            failed = failure_of(lambda: create(client))
        is_sent = (owner, name) in after
        assert was_read(server) == is_sent
        assert type(failed) is (CreateOutcomeUnknown if is_sent else Unreachable)


def test_a_server_that_is_not_trusted_reads_nothing(connect: Connect, tmp_path: Path) -> None:
    with ScriptedServer(server_context(write_certificate(tmp_path))) as server:
        error = failure_of(lambda: create(connect(token=TOKEN, base_url=server.base_url)))
        assert type(error) is Unreachable
        assert not was_read(server)
