"""Uploads and downloads over signed URLs."""

import io
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dropscale.magichour import Client, TransferFailed, UnsafeUrl
from tests.unit.magichour.conftest import Connect
from tests.unit.magichour.scripted_server import Behaviour, Reply, ScriptedServer, json_reply

IMAGE = bytes(range(256)) * 4096  # 1 MiB: many chunks
UPLOAD_URLS = "/v1/files/upload-urls"
CUT_OFF = Behaviour.RESET_INSIDE_ANSWER


def offer_upload(server: ScriptedServer, *, extension: str = "png") -> str:
    path = f"/storage/1.{extension}"
    item = {"upload_url": f"{server.base_url}{path}?signature=s", "file_path": f"api-assets{path}"}
    server.on("POST", UPLOAD_URLS, json_reply({"items": [item]}))
    server.on("PUT", path, Reply())
    return f"api-assets{path}"


@pytest.mark.parametrize("kind", ["str", "Path", "file", "BytesIO", "spooled"])
def test_upload_streams_the_file_without_the_token(
    server: ScriptedServer, client: Client, tmp_path: Path, kind: str
) -> None:
    file_path = offer_upload(server)
    image = tmp_path / "Cat.PNG"
    image.write_bytes(IMAGE)
    with image.open("rb") as opened, tempfile.SpooledTemporaryFile() as spooled:
        spooled.write(IMAGE)
        given: dict[str, Any] = {
            "str": str(image),
            "Path": image,
            "file": opened,
            "BytesIO": io.BytesIO(IMAGE),
        }
        extension = "png" if kind in {"BytesIO", "spooled"} else None
        assert client.v1.files.upload_file(given.get(kind, spooled), extension) == file_path
    asked, put = server.received
    assert asked.json == {"items": [{"type": "image", "extension": "png"}]}
    assert put.path == "/storage/1.png?signature=s"
    assert put.body == IMAGE
    assert put.headers["Content-Length"] == str(len(IMAGE))
    assert "Transfer-Encoding" not in put.headers
    assert "Authorization" not in put.headers


def test_the_callers_file_keeps_its_position(server: ScriptedServer, client: Client) -> None:
    offer_upload(server)
    file = io.BytesIO(IMAGE)
    file.seek(5)
    client.v1.files.upload_file(file, "png")
    assert file.tell() == 5
    assert server.received[1].body == IMAGE


def test_a_netrc_file_adds_no_credentials_to_a_signed_url(
    server: ScriptedServer, client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    offer_upload(server)
    server.on("GET", "/out.png", Reply(200, IMAGE))
    client.v1.files.upload_file(io.BytesIO(IMAGE), "png")
    client.download(f"{server.base_url}/out.png", io.BytesIO())
    assert all("Authorization" not in transfer.headers for transfer in server.received[1:])


@pytest.mark.parametrize(
    "reference",
    ["api-assets/id/1234.png", "https://example.com/a.png?signature=1", "http://example.com/a.png"],
)
def test_only_local_files_are_uploaded(
    server: ScriptedServer, client: Client, reference: str
) -> None:
    assert client.v1.files.upload_file(reference) == reference
    assert server.received == []


def test_a_file_the_api_would_refuse_is_refused_before(
    server: ScriptedServer, client: Client, tmp_path: Path
) -> None:
    wrong = [tmp_path / name for name in ("cat.gif", "cat", "cat.png.txt")]
    for path in (*wrong, right := tmp_path / "cat.png"):
        path.write_bytes(IMAGE)
    for file in (*wrong, io.BytesIO(IMAGE)):
        with pytest.raises(ValueError, match="the API accepts png, jpg"):
            client.v1.files.upload_file(file)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="empty"):
        client.v1.files.upload_file(io.BytesIO(), "png")
    with right.open(encoding="latin-1") as text, pytest.raises(ValueError, match="text mode"):
        client.v1.files.upload_file(text)  # type: ignore[arg-type]
    assert server.received == []


def test_download_writes_the_body_and_counts_it(server: ScriptedServer, client: Client) -> None:
    server.on("GET", "/out.png", Reply(200, IMAGE))
    file = io.BytesIO()
    assert client.download(f"{server.base_url}/out.png?signature=s", file) == len(IMAGE)
    assert file.getvalue() == IMAGE
    assert "Authorization" not in server.received[0].headers


FAILED = [
    ("PUT", Reply(403, b"<Error/>"), 403),
    ("PUT", Reply(307, headers={"Location": "/elsewhere"}), 307),
    ("PUT", Reply(behaviour=Behaviour.RESET_AFTER_REQUEST), None),
    ("GET", Reply(behaviour=Behaviour.RESET_AFTER_REQUEST), None),
    ("GET", Reply(200, IMAGE, {"Content-Length": str(len(IMAGE) + 1)}), None),
    ("GET", Reply(200, IMAGE, behaviour=CUT_OFF), None),
    ("GET", Reply(200, IMAGE, {"Transfer-Encoding": "chunked"}, CUT_OFF), None),
    *(
        ("GET", Reply(status, b"no", {"Location": "/elsewhere"}), status)
        for status in (302, 403, 404, 410, 500)
    ),
]


@pytest.mark.parametrize(("method", "reply", "status"), FAILED)
def test_a_failed_transfer(
    server: ScriptedServer, client: Client, method: str, reply: Reply, status: int | None
) -> None:
    offer_upload(server)
    server.on(method, "/storage/1.png", reply)
    file = io.BytesIO()
    upload = partial(client.v1.files.upload_file, io.BytesIO(IMAGE), "png")
    download = partial(client.download, f"{server.base_url}/storage/1.png", file)
    with pytest.raises(TransferFailed) as caught:
        upload() if method == "PUT" else download()
    assert (caught.value.request, caught.value.status) == (f"{method} 127.0.0.1", status)
    assert caught.value.expired is (status in {403, 404, 410})
    assert status is None or file.getvalue() == b""
    assert len(server.sent_to(method, "/storage/1.png")) == 1


class BadDisk(io.BytesIO):
    def write(self, _data: object) -> int:
        raise OSError(28, "No space left on device")

    def read(self, _size: int | None = -1) -> bytes:
        raise OSError(5, "Input/output error")


def test_a_fault_of_the_disk_is_not_a_failed_transfer(
    server: ScriptedServer, client: Client
) -> None:
    server.on("GET", "/out.png", Reply(200, IMAGE))
    with pytest.raises(OSError, match="No space left"):
        client.download(f"{server.base_url}/out.png", BadDisk())
    offer_upload(server)
    with pytest.raises(OSError, match="Input/output error"):
        client.v1.files.upload_file(BadDisk(IMAGE), "png")


UNSAFE = ("http://example.com/a.png", "file:///etc/passwd", "out.png", "http://[::1/a.png")


def test_only_safe_urls_are_fetched_and_none_of_loopback_for_a_public_api(
    server: ScriptedServer, client: Client, connect: Connect
) -> None:
    loopback = f"{server.base_url}/out.png"
    for user, url in [*((client, url) for url in UNSAFE), (connect(token="t"), loopback)]:
        with pytest.raises(UnsafeUrl):
            user.download(url, io.BytesIO())
    assert server.received == []
