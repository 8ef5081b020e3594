"""What is left when the embedded API was closed: nothing."""

import socket
import tempfile
import threading
import time
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
