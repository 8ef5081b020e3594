import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dropscale_embedded.api.picture import ImageFault
from dropscale_embedded.api.sources import read_image
from dropscale_embedded.api.storage import Storage


class Site(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/cat.png?size=big":
            self.send_response(200)
            self.send_header("Content-Length", "3")
            self.end_headers()
            self.wfile.write(b"cat")
        elif self.path == "/moved.png":
            self.send_response(302)
            self.send_header("Location", "/cat.png?size=big")
            self.end_headers()
        else:
            self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Stay quiet."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


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
