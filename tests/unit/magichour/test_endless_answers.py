"""Endless answers, slow or compressed: every call and transfer ends in time.

The servers are real, on their own sockets, because the end of a wait is tested.
"""

import gzip
import io
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from dropscale.magichour import Assets, Client
from dropscale.magichour import base_transport as transports
from dropscale.magichour.calls import MAX_ANSWER
from dropscale.magichour.client import run
from dropscale.magichour.errors import (
    ConnectionLost,
    CreateOutcomeUnknown,
    ServerFault,
    TransferFailed,
)
from dropscale.magichour.json_document import document_of
from tests.unit.magichour.conftest import TOKEN, Connect
from tests.unit.magichour.scripted_server import Reply, ScriptedServer

TIMEOUT = 0.2
MOST_SECONDS = 15.0
"""More than a call's time-outs, 0.4 s, need on a busy machine; an endless answer takes 30 s."""

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
Pieces = Callable[[], Iterator[bytes]]


def drip(text: bytes, pause: float = 0.05) -> Iterator[bytes]:
    for byte in text:
        time.sleep(pause)
        yield bytes([byte])


def endless(piece: bytes, before: bytes = b"", pause: float = 0.0) -> Iterator[bytes]:
    yield before
    while True:
        time.sleep(pause)
        yield piece


ANSWERS: dict[str, Pieces] = {
    "status line": lambda: drip(b"HTTP/1.1 200 " + b"O" * 600),
    "headers": lambda: drip(b"HTTP/1.1 200 OK\r\nA: " + b"a" * 600),
    "many headers": lambda: endless(b"A: a\r\n", b"HTTP/1.1 200 OK\r\n", 0.05),
    "interim answers": lambda: endless(b"HTTP/1.1 100 Continue\r\n\r\n", pause=0.05),
    "body": lambda: endless(b" ", HEAD + b"Content-Length: 600\r\n\r\n", 0.05),
    "body to its end": lambda: endless(b" ", HEAD + b"\r\n", 0.05),
    "chunks": lambda: endless(b"1\r\n \r\n", HEAD + b"Transfer-Encoding: chunked\r\n\r\n", 0.05),
    "size of a chunk": lambda: endless(b"0", HEAD + b"Transfer-Encoding: chunked\r\n\r\n", 0.05),
    "error": lambda: endless(
        b" ", HEAD.replace(b"200 OK", b"500 Error") + b"Content-Length: 600\r\n\r\n", 0.05
    ),
}


class Dripping:
    """A server that reads a request, and answers with pieces until it is stopped."""

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._is_over = False
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection:
                if self._is_over:
                    return
                connection.recv(65536)
                end = time.monotonic() + 30
                with suppress(OSError):
                    for piece in self._pieces():
                        if self._is_over or time.monotonic() > end:
                            break
                        connection.sendall(piece)

    def stop(self) -> None:
        self._is_over = True
        socket.create_connection(self._listener.getsockname()).close()
        self._thread.join()
        self._listener.close()


@pytest.fixture
def serve() -> Iterator[Callable[[Pieces], str]]:
    running: list[Dripping] = []

    def start(pieces: Pieces) -> str:
        running.append(Dripping(pieces))
        return running[-1].base_url

    yield start
    for each in running:
        each.stop()


@pytest.fixture
def hurried(connect: Connect) -> Callable[[str], Client]:
    return lambda url: connect(token=TOKEN, base_url=url, timeout=TIMEOUT, transfer_timeout=0.5)


def account(client: Client, _: str) -> None:
    client.v1.account.list()


def download(client: Client, url: str) -> None:
    client.download(f"{url}/1.png", io.BytesIO())


def create(client: Client, _: str) -> None:
    assets: Assets = {"image_file_path": "api-assets/a/b.png"}
    client.v1.ai_image_upscaler.create(assets=assets, scale_factor=2)


CALLS: dict[Callable[[Client, str], None], type[Exception]] = {
    account: ConnectionLost,
    download: TransferFailed,
    create: CreateOutcomeUnknown,
}


def test_calls_and_downloads_end_however_an_answer_drips(
    serve: Callable[[Pieces], str], hurried: Callable[[str], Client]
) -> None:
    cases = [(name, call) for name in ANSWERS for call in CALLS]
    urls = [serve(ANSWERS[name]) for name, _ in cases]

    def seconds_of(case: tuple[str, Callable[[Client, str], None]], url: str) -> float:
        began = time.monotonic()
        with pytest.raises(CALLS[case[1]]):
            case[1](hurried(url), url)
        return time.monotonic() - began

    with ThreadPoolExecutor(len(cases)) as waiting:  # they wait at the same time
        assert max(waiting.map(seconds_of, cases, urls)) < MOST_SECONDS


def test_an_upload_ends_that_is_taken_drop_by_drop(hurried: Callable[[str], Client]) -> None:
    over = threading.Event()

    def take(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            while not over.wait(0.05) and connection.recv(1024):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=take, args=[listener])
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        began = time.monotonic()

        with pytest.raises(TransferFailed):
            upload(hurried(url), f"{url}/1.png", bytes(20_000_000))

        assert time.monotonic() - began < MOST_SECONDS
        over.set()
        thread.join()


def upload(client: Client, url: str, body: bytes) -> None:
    sending = client._transport.upload(url, io.BytesIO(body), len(body))
    if sending is not None:  # the other kind of client has run it already
        run(sending)


@pytest.mark.parametrize("head", [b"", b"Transfer-Encoding: chunked\r\n"])
@pytest.mark.parametrize("status", [b"200 OK", b"500 Error", b"402 Payment Required"])
def test_no_more_of_an_answer_is_read_than_any_can_have(
    head: bytes, status: bytes, serve: Callable[[Pieces], str], connect: Connect
) -> None:
    sent = 0
    piece = b"[" * 65536
    framed = b"10000\r\n" + piece + b"\r\n" if head else piece

    def pieces() -> Iterator[bytes]:
        nonlocal sent
        yield HEAD.replace(b"200 OK", status) + head + b"\r\n"
        while True:
            sent += len(piece)
            yield framed

    client = connect(token=TOKEN, base_url=serve(pieces), timeout=20)
    with pytest.raises(ServerFault):
        client.v1.account.list()

    assert sent < 4 * MAX_ANSWER  # the rest is in the buffers of the sockets


def bomb(wbits: int) -> bytes:
    """Return the beginning of what inflates to 100 MiB and more, compressed once and repeated."""
    compressor, zeros = zlib.compressobj(9, wbits=wbits), bytes(1024 * 1024)
    head, piece = (
        compressor.compress(zeros) + compressor.flush(zlib.Z_FULL_FLUSH) for _ in range(2)
    )
    return head + 99 * piece


BOMBS = {"gzip": bomb(31), "X-GZip": bomb(31), "deflate": bomb(15)}


@pytest.mark.parametrize("encoding", BOMBS)
def test_an_answer_that_inflates_without_end_is_too_long(
    encoding: str, server: ScriptedServer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    take = transports.AnswerBody.take

    def note(self: transports.AnswerBody, piece: bytes) -> bool:
        taken.append(len(piece))
        return take(self, piece)

    monkeypatch.setattr(transports.AnswerBody, "take", note)
    server.on("GET", "/v1/account", Reply(200, BOMBS[encoding], {"Content-Encoding": encoding}))

    with pytest.raises(ServerFault):
        client.v1.account.list()

    assert sum(taken) <= MAX_ANSWER + transports.CHUNK
    assert max(taken) <= transports.CHUNK


def test_an_answer_is_asked_for_as_it_is_and_read_even_if_it_is_compressed(
    server: ScriptedServer, client: Client
) -> None:
    def answer(body: bytes) -> None:
        server.on("GET", "/v1/account", Reply(200, body, {"Content-Encoding": "gzip"}))

    answer(gzip.compress(b'{"id": "a", "credits": 7}'))
    assert client.v1.account.list().credits == 7
    assert server.received[0].headers["Accept-Encoding"] == "identity"
    for cannot_be_inflated in (b"no gzip", gzip.compress(b'{"id": "a"}')[:-12]):
        answer(cannot_be_inflated)
        with pytest.raises(ConnectionLost):
            client.v1.account.list()


def test_a_compressed_file_is_inflated_and_any_is_fetched_so_far_and_no_further(
    server: ScriptedServer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    gzipped = {"Content-Encoding": "gzip"}
    image, file = bytes(range(256)) * 3900, io.BytesIO()
    server.on("GET", "/1.png", Reply(200, gzip.compress(image), gzipped))
    monkeypatch.setattr(transports, "MAX_DOWNLOAD", 1_000_000)
    assert client.download(f"{server.base_url}/1.png", file) == len(image)
    assert file.getvalue() == image

    for reply in (Reply(200, BOMBS["gzip"], gzipped), Reply(200, bytes(1_000_001))):
        server.on("GET", "/1.png", reply)
        with pytest.raises(TransferFailed, match="longer than 1000000 bytes"):
            client.download(f"{server.base_url}/1.png", file := io.BytesIO())
        assert len(file.getvalue()) <= 1_000_000


@pytest.mark.parametrize(
    "document",
    [
        lambda: '{"c":0,"c":0,"b":' * 400 + "[" + "1," * 1_900_000 + "1]" + "}" * 400,
        lambda: '{"c":' * 400 + "[" + "1," * 1_900_000 + "1]" + ',"c":0}' * 400,
        lambda: '{"a":' * 800_000,
        lambda: "[" * 4_000_000,
        lambda: '{"a":' + "1" * 4_000_000 + "}",
        lambda: "{" + ",".join(f'"{n}":{n}' for n in range(250_000)) + "}",
        lambda: "[" + '{"a":0,"a":1},' * 250_000 + "0]",
    ],
)
def test_no_document_takes_long_to_read(document: Callable[[], str]) -> None:
    text = document().encode()
    began = time.process_time()
    document_of(text, MAX_ANSWER)

    assert time.process_time() - began < 5
