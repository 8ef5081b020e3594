"""An account that outlives its API."""

import os
from pathlib import Path

import pytest
import requests

from dropscale_embedded.api import EmbeddedApi, Engine, EntryKind, StubEngine
from tests.integration.embedded_api.conftest import Caller, GatedEngine


def api_on(folder: Path, engine: Engine) -> EmbeddedApi:
    return EmbeddedApi(engine=engine, workers=1, folder=folder)


def test_a_project_that_was_not_finished_is_rendered_later_for_the_same_credits(
    tmp_path: Path, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with api_on(Path("account"), GatedEngine()) as api:
        call = Caller(api)
        path = call.upload(photo)
        rendering, queued = (call.create(path).json()["id"] for _ in range(2))
    with api_on(Path("account"), StubEngine(0)) as api:
        call = Caller(api)
        for project_id in (rendering, queued):
            url = call.finish(project_id)["downloads"][0]["url"]
            assert requests.get(url, timeout=20).content.startswith(b"\x89PNG")
        charged = [entry.project_id for entry in api.book.entries(EntryKind.CHARGE)]
        assert charged == [rendering, queued]
        assert api.book.credits_spent == 100


def test_outputs_failures_and_deletions_last(tmp_path: Path, photo: bytes) -> None:
    with api_on(tmp_path, StubEngine(0)) as api:
        call = Caller(api)
        path = call.upload(photo)
        kept, deleted = (call.create(path).json()["id"] for _ in range(2))
        failed = call.create(call.upload(b"no image")).json()["id"]
        before = [call.finish(project) for project in (kept, deleted, failed)][-1]
        call("DELETE", f"/v1/image-projects/{deleted}")
    with api_on(tmp_path, GatedEngine()) as api:
        call = Caller(api)
        assert call.project(kept)["status"] == "complete"
        assert call("GET", f"/v1/image-projects/{deleted}").status_code == 404
        assert call.project(failed) == before
        assert len(api.book.entries(EntryKind.CHARGE)) == 3
        assert api.book.credits_spent == 100, "what failed is not charged"


def test_files_are_kept_for_seven_days(tmp_path: Path, photo: bytes) -> None:
    with api_on(tmp_path, StubEngine(0)) as api:
        call = Caller(api)
        call.finish(call.create(call.upload(photo)).json()["id"])
    upload, output = (tmp_path / "storage").iterdir()
    for file, days in ((upload, 8), (output, 6)):
        stored_at = file.stat().st_mtime - days * 24 * 3600
        os.utime(file, (stored_at, stored_at))
    with api_on(tmp_path, GatedEngine()):
        assert list((tmp_path / "storage").iterdir()) == [output]
