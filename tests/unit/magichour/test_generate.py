"""`generate` and `check_result`: upload, create, wait, download.

What the vendor's SDK does too is in `tests/integration/embedded_api/test_conformance.py`.
"""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from dropscale.magichour import (
    Client,
    CreateOutcomeUnknown,
    LocalAssets,
    Progress,
    Stage,
    Style,
    TransferFailed,
)
from dropscale.upscaler import ProjectStatus
from tests.unit.magichour.conftest import Connect
from tests.unit.magichour.scripted_server import Behaviour, Reply, ScriptedServer, json_reply

PROJECT = "/v1/image-projects/p1"
CREATE = "/v1/ai-image-upscaler"
SEEN = ("queued", "rendering", "complete")


def project(server: ScriptedServer, status: str, *urls: str, **fields: object) -> Reply:
    downloads = [{"url": server.base_url + url, "expires_at": "2026-10-22"} for url in urls]
    return json_reply({"id": "p1", "status": status, "downloads": downloads, **fields})


@pytest.fixture
def image(server: ScriptedServer, tmp_path: Path) -> Path:
    """Return a local image; the server takes it and creates the project p1 of it."""
    item = {"upload_url": f"{server.base_url}/put?signature=s", "file_path": "api-assets/1.png"}
    server.on("POST", "/v1/files/upload-urls", json_reply({"items": [item]}))
    server.on("PUT", "/put", Reply())
    server.on("POST", CREATE, json_reply({"id": "p1", "credits_charged": 50}))
    path = tmp_path / "cat.png"
    path.write_bytes(b"an image")
    return path


def generate(client: Client, image: Path, **options: Any) -> Any:
    return client.v1.ai_image_upscaler.generate(
        assets={"image_file_path": str(image)}, scale_factor=2.0, **options
    )


def serve_output(server: ScriptedServer, *replies: Reply) -> None:
    """Let the project be complete, with one output."""
    server.on("GET", PROJECT, project(server, "complete", "/output.png"))
    server.on("GET", "/output.png", *(replies or [Reply(200, b"upscaled")]))


def collected(client: Client, folder: Path) -> list[bytes]:
    """Wait for the project, and return what its outputs hold."""
    paths = client.v1.image_projects.check_result("p1", True, True, folder).downloaded_paths
    return [Path(path).read_bytes() for path in paths or ()]


def test_the_outputs_are_downloaded(
    server: ScriptedServer, client: Client, image: Path, tmp_path: Path
) -> None:
    more = {"credits_charged": 50, "future": 1, "downloaded_paths": "the vendor's"}
    server.on(
        "GET",
        PROJECT,
        project(server, "queued"),
        Reply(503, b'{"message": "busy"}'),
        project(server, "rendering"),
        project(server, "complete", "/p1/output.png?signature=s", **more),
    )
    server.on("GET", "/p1/output.png", Reply(200, b"upscaled"))
    assets: LocalAssets = {"image_file_path": str(image)}
    style: Style = {"enhancement": "Balanced"}
    given = deepcopy((assets, style))
    news: list[Progress] = []
    result = client.v1.ai_image_upscaler.generate(
        assets=assets,
        scale_factor=2.0,
        style=style,
        name="Cat",
        download_directory=str(tmp_path / "new" / "outputs"),
        progress=news.append,
    )
    assert (assets, style) == given, "the caller's dicts are left alone"
    assert server.sent_to("POST", CREATE)[0].json["assets"] == {
        "image_file_path": "api-assets/1.png"
    }
    expected = tmp_path / "new" / "outputs" / "p1-output.png"
    assert result.downloaded_paths == [str(expected)]
    assert expected.read_bytes() == b"upscaled"
    assert [path.name for path in expected.parent.iterdir()] == ["p1-output.png"]
    assert (result.id, result.status, result.credits_charged) == ("p1", "complete", 50)
    assert result.model_extra == {"future": 1}
    assert news == [
        Progress(Stage.UPLOADING, bytes_done=8, bytes_total=8),
        Progress(Stage.CREATED, "p1"),
        *(Progress(Stage.WAITING, "p1", ProjectStatus(seen)) for seen in SEEN),
        Progress(Stage.DOWNLOADING, "p1", path=str(expected), bytes_done=8, bytes_total=8),
    ]


def test_a_callers_error_in_progress_leaves_no_part(
    server: ScriptedServer, client: Client, tmp_path: Path
) -> None:
    def broken(news: Progress) -> None:
        if news.stage is Stage.DOWNLOADING:
            raise LookupError

    serve_output(server)
    with pytest.raises(LookupError):
        client.v1.image_projects.check_result("p1", True, True, tmp_path, progress=broken)
    assert list(tmp_path.iterdir()) == []


def test_outputs_go_to_the_current_directory_by_default(
    server: ScriptedServer,
    client: Client,
    image: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    serve_output(server)
    assert generate(client, image).downloaded_paths == ["p1-output.png"]
    assert (tmp_path / "p1-output.png").read_bytes() == b"upscaled"


def test_two_outputs_of_one_name_are_two_files(
    server: ScriptedServer, client: Client, tmp_path: Path
) -> None:
    server.on("GET", PROJECT, project(server, "complete", "/a/output.png", "/b/output.png"))
    server.on("GET", "/a/output.png", Reply(200, b"a"))
    server.on("GET", "/b/output.png", Reply(200, b"b"))
    assert collected(client, tmp_path) == [b"a", b"b"]


def test_an_output_cannot_be_written_outside_the_directory(
    server: ScriptedServer, client: Client, tmp_path: Path
) -> None:
    evil = project(server, "complete", "/..%2F..%2Fevil.png", id="../p1")
    server.on("GET", "/v1/image-projects/..%2Fp1", evil)
    server.on("GET", "/..%2F..%2Fevil.png", Reply(200, b"a"))
    result = client.v1.image_projects.check_result("../p1", True, True, tmp_path / "out")
    [path] = result.downloaded_paths or [""]
    assert Path(path).resolve().parent == tmp_path / "out"


def test_without_waiting_it_looks_once(server: ScriptedServer, client: Client, image: Path) -> None:
    server.on("GET", PROJECT, project(server, "queued"))
    assert generate(client, image, wait_for_completion=False).status == "queued"
    assert len(server.sent_to("GET", PROJECT)) == 1


@pytest.mark.parametrize("status", [403, 404, 410, None])
def test_a_download_that_expired_or_was_cut_off_is_asked_for_once_more(
    server: ScriptedServer, client: Client, tmp_path: Path, status: int | None
) -> None:
    cut_off = Reply(200, b"upscaled", behaviour=Behaviour.RESET_INSIDE_ANSWER)
    fails = Reply(status) if status else cut_off
    old, fresh = (project(server, "complete", url) for url in ("/old.png", "/fresh.png"))
    server.on("GET", PROJECT, old, fresh)
    server.on("GET", "/old.png", fails)
    server.on("GET", "/fresh.png", Reply(200, b"upscaled"))
    assert collected(client, tmp_path) == [b"upscaled"]
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"upscaled"]
    assert len(server.sent_to("GET", PROJECT)) == 2

    serve_output(server, fails)
    server.received.clear()
    with pytest.raises(TransferFailed):
        collected(client, tmp_path / "again")
    assert len(server.sent_to("GET", PROJECT)) == 2


def test_a_deleted_project_still_tries_its_downloads(
    server: ScriptedServer, client: Client, tmp_path: Path
) -> None:
    deleted = project(server, "complete", enabled=False)
    server.on("GET", PROJECT, project(server, "complete", "/output.png", enabled=False), deleted)
    server.on("GET", "/output.png", Reply(200, b"upscaled"), Reply(410))
    assert collected(client, tmp_path) == [b"upscaled"]
    server.on("GET", PROJECT, project(server, "complete", "/output.png"), deleted)
    with pytest.raises(TransferFailed):
        collected(client, tmp_path)


def test_answers_that_pass_are_looked_at_again(
    server: ScriptedServer, client: Client, tmp_path: Path
) -> None:
    passing = [
        project(server, "complete"),
        project(server, "paused"),
        Reply(200, b"<html>"),
        Reply(401, b"<html>"),
        project(server, "error", id="p2"),
    ]
    fresh = project(server, "complete", "/fresh.png")
    expired = project(server, "complete", "/old.png")
    server.on("GET", PROJECT, *passing, expired, *passing, fresh)
    server.on("GET", "/old.png", Reply(410))
    server.on("GET", "/fresh.png", Reply(200, b"upscaled"))
    assert collected(client, tmp_path) == [b"upscaled"]
    assert len(server.sent_to("GET", PROJECT)) == 12


def test_a_failed_download_leaves_no_file_and_names_the_project(
    server: ScriptedServer, client: Client, image: Path, tmp_path: Path
) -> None:
    serve_output(server, Reply(200, b"part", {"Content-Length": "100"}))
    with pytest.raises(TransferFailed) as caught:
        generate(client, image, download_directory=tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    assert "check_result(id='p1'" in caught.value.__notes__[0]


def test_an_unknown_create_is_the_end_of_it(
    server: ScriptedServer, client: Client, image: Path
) -> None:
    server.on("POST", CREATE, Reply(500))
    with pytest.raises(CreateOutcomeUnknown):
        generate(client, image, name="Cat #1")
    assert len(server.sent_to("POST", CREATE)) == 1


def test_nothing_is_paid_when_the_result_could_not_be_collected(
    server: ScriptedServer, image: Path, monkeypatch: pytest.MonkeyPatch, connect: Connect
) -> None:
    client = connect(token="t", base_url=server.base_url)
    with pytest.raises(FileExistsError):
        generate(client, image, download_directory=image)
    monkeypatch.setenv("MAGIC_HOUR_POLL_INTERVAL", "often")
    with pytest.raises(ValueError, match="MAGIC_HOUR_POLL_INTERVAL"):
        generate(client, image)
    assert server.sent_to("POST", CREATE) == []
