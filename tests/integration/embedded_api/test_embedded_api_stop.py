"""A closed embedded API leaves nothing behind."""

import socket
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from dropscale_embedded.api import EmbeddedApi, ModelEngine, StubEngine
from tests.integration.embedded_api.conftest import EXAMPLES, Caller


def test_no_thread_and_no_file_is_left_even_in_the_middle_of_work(
    tmp_path: Path, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    threads = set(threading.enumerate())
    with EmbeddedApi(engine=StubEngine(seconds=60), workers=2) as api:
        call = Caller(api)
        for _ in range(4):
            last = call.create(call.upload(photo)).json()["id"]
        assert call.project(last)["status"] == "queued"
        assert list(tmp_path.iterdir())
        closed_from = time.monotonic()

    assert time.monotonic() - closed_from < 10
    assert set(threading.enumerate()) == threads
    assert not list(tmp_path.iterdir())
    assert api.book.credits_spent == 200
    with pytest.raises(requests.ConnectionError):
        requests.get(api.base_url, timeout=5)


def test_the_model_gives_up_between_tiles() -> None:
    photo = (EXAMPLES / "astronaut.jpg").read_bytes()
    with EmbeddedApi(engine=ModelEngine(), workers=1) as api:
        call = Caller(api)
        for _ in range(50):
            call.create(call.upload(photo), scale_factor=4)
        closed_from = time.monotonic()

    assert time.monotonic() - closed_from < 10


def test_the_port_can_be_chosen_and_is_free_afterwards() -> None:
    with EmbeddedApi(engine=StubEngine(seconds=0)) as first:
        port = int(first.base_url.rpartition(":")[2])
    with EmbeddedApi(engine=StubEngine(seconds=0), port=port, token="known") as second:
        assert (second.base_url, second.token) == (first.base_url, "known")
        assert Caller(second)("GET", "/v1/account").status_code == 200


def test_a_taken_port_is_an_error_and_leaves_no_thread() -> None:
    threads = set(threading.enumerate())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        api = EmbeddedApi(engine=StubEngine(seconds=0), port=taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"), api:
            pass

    assert set(threading.enumerate()) == threads


def test_a_call_in_progress_is_answered_before_the_api_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with ExitStack() as stack:
        api = stack.enter_context(EmbeddedApi(engine=StubEngine(seconds=0)))
        address = ("127.0.0.1", int(api.base_url.rpartition(":")[2]))
        path = Caller(api).upload_url()["upload_url"].removeprefix(api.base_url)
        client = stack.enter_context(socket.create_connection(address, timeout=10))
        host = f"Host: {address[0]}:{address[1]}"
        client.sendall(f"PUT {path} HTTP/1.1\r\n{host}\r\nContent-Length: 4\r\n\r\nha".encode())
        wait_until(lambda: any(tmp_path.glob("*/storage/*")))
        closing = threading.Thread(target=api.__exit__, args=(None, None, None))
        closing.start()
        wait_until(lambda: not accepts(address))

        client.sendall(b"lf")

        assert client.recv(100).startswith(b"HTTP/1.1 200 ")
        closing.join(10)
        assert not closing.is_alive()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 240
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def accepts(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=10).close()
    except ConnectionError:  # refused; or reset, when it was in the backlog of a closing listener
        return False
    return True
