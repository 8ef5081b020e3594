from collections.abc import Iterator
from pathlib import Path

import pytest

from dropscale_embedded.api.picture import ImageFault
from dropscale_embedded.api.sources import read_image
from dropscale_embedded.api.storage import Storage
from tests.unit.magichour.scripted_server import Reply, ScriptedServer


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with ScriptedServer() as server:
        server.on("GET", "/cat.png", Reply(200, b"cat"))
        server.on("GET", "/moved.png", Reply(302, headers={"Location": "/cat.png"}))
        yield server.base_url


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path)


def test_a_url_of_this_machine_is_fetched(site: str, storage: Storage) -> None:
    assert read_image(f"{site}/cat.png?size=big", storage) == b"cat"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("{site}/missing.png", "answers 404"),
        ("{site}/moved.png", "answers 302"),
        ("http://127.0.0.1:1/cat.png", "could not be read"),
        ("http://127.0.0.1:99999/c.png", "could not be read"),
        ("http://[::1]:1/a b.png", "could not be read"),
    ],
)
def test_any_other_url_is_an_invalid_file(
    site: str, storage: Storage, url: str, message: str
) -> None:
    with pytest.raises(ImageFault, match=message) as caught:
        read_image(url.format(site=site), storage)

    assert caught.value.code == "invalid_file_format"


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/cat.png",
        "http://10.0.0.1/cat.png",
        "http://127.0.0.1.example.com/cat.png",
        "http://localhost@example.com/cat.png",
        "https://magichour.ai/my-library?imageId=1",
    ],
)
def test_nothing_is_fetched_from_outside(
    storage: Storage, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(*_: object, **__: object) -> None:
        pytest.fail("a connection was made")

    monkeypatch.setattr("socket.create_connection", connect)

    with pytest.raises(ImageFault, match="fetches nothing from outside") as caught:
        read_image(url, storage)

    assert caught.value.code == "invalid_file_format"
