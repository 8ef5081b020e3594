"""The calls of the API, as plain HTTP."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from dropscale_embedded.api import EmbeddedApi, EntryKind, StubEngine, Tier
from tests.integration.embedded_api.conftest import Caller, GatedEngine


def test_a_project_from_its_create_call_to_its_deletion(
    call: Caller, engine: GatedEngine, photo: bytes
) -> None:
    first = call.create(call.upload(photo)).json()
    engine.entered.wait(10)
    assert call.project(first["id"])["status"] == "rendering"

    created = call.create(call.upload(photo), name="Cat", style={"mode": "preserve"}).json()
    queued = call.project(created["id"])
    engine.gate.set()
    finished = call.finish(created["id"])

    assert created == {"id": created["id"], "credits_charged": 25, "frame_cost": 25}
    assert call.project(first["id"])["name"].startswith("Image Upscaler - 20")
    assert queued.pop("status") == "queued"
    assert datetime.fromisoformat(queued.pop("created_at")) <= datetime.now(UTC)
    assert queued == {
        "id": created["id"],
        "name": "Cat",
        "type": "IMAGE_UPSCALER",
        "image_count": 1,
        "enabled": True,
        "credits_charged": 25,
        "total_frame_cost": 25,
        "downloads": [],
        "error": None,
    }
    url = finished["downloads"][0]["url"]
    downloaded = requests.get(url, timeout=10)
    assert downloaded.headers["Content-Type"] == "image/png"
    assert int(downloaded.headers["Content-Length"]) == len(downloaded.content)

    assert call("DELETE", f"/v1/image-projects/{created['id']}").status_code == 204
    assert call("GET", f"/v1/image-projects/{created['id']}").status_code == 404
    assert call("DELETE", f"/v1/image-projects/{created['id']}").status_code == 404
    assert requests.get(url, timeout=10).status_code == 404


def test_a_project_deleted_while_rendering_leaves_nothing(
    engine: GatedEngine, photo: bytes, tmp_path: Path
) -> None:
    with EmbeddedApi(engine=engine, workers=1, folder=tmp_path) as api:
        call = Caller(api)
        deleted = call.create(call.upload(photo)).json()["id"]
        engine.entered.wait(10)
        call("DELETE", f"/v1/image-projects/{deleted}")
        engine.gate.set()

        # The only worker is done with the deleted project once it has finished the next one.
        call.finish(call.create(call.upload(photo)).json()["id"])

        assert call("GET", f"/v1/image-projects/{deleted}").status_code == 404
        assert not api.book.entries(EntryKind.REFUND)
        assert len(list((tmp_path / "storage").iterdir())) == 3, "two uploads and one output"


def test_a_bad_image_ends_in_error_and_the_credits_come_back(
    call: Caller, api: EmbeddedApi
) -> None:
    for path in (call.upload(b"not an image"), call.upload(b""), "https://example.com/cat.png"):
        created = call.create(path).json()

        project = call.finish(created["id"])

        assert project["status"] == "error"
        assert project["error"]["code"] == "invalid_file_format"
        assert (created["credits_charged"], project["credits_charged"]) == (50, 0)
        assert call("GET", "/v1/account").json()["credits"] == 120
        assert api.book.credits_spent == 0


def test_a_fault_of_the_engine_itself_is_an_error_too(
    call: Caller,
    engine: GatedEngine,
    photo: bytes,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def explode(*_: object, **__: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(engine, "upscale", explode)

    project = call.finish(call.create(call.upload(photo)).json()["id"])

    assert (project["status"], project["credits_charged"]) == ("error", 0)
    assert "no room" in caplog.text
    assert "no room" not in project["error"]["message"]


def test_the_account(call: Caller, photo: bytes) -> None:
    call.create(call.upload(photo))

    assert call("GET", "/v1/account").json() == {
        "id": "embedded",
        "email": "embedded@localhost",
        "credits": 70,
        "tier": "business",
        "subscription": {
            "status": "active",
            "name": "Business",
            "billing_interval": "month",
            "cancel_at_period_end": False,
            "current_period_end": None,
            "price": {"amount": 0, "currency": "usd"},
            "discount": None,
        },
    }


def test_a_create_beyond_the_credits_is_402(call: Caller, api: EmbeddedApi, photo: bytes) -> None:
    path = call.upload(photo)

    answers = [call.create(path) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 402]
    assert answers[-1].json()["code"] == "insufficient_credits"
    assert "costs 50 credits" in answers[-1].json()["message"]
    assert len(api.book.entries(EntryKind.CREATE)) == 3
    assert len(api.book.entries(EntryKind.CHARGE)) == 2


def test_4x_on_a_free_account_is_402_with_a_code_of_its_own(photo: bytes) -> None:
    with EmbeddedApi(engine=StubEngine(seconds=0), tier=Tier.FREE) as api:
        call = Caller(api)
        answer = call.create(call.upload(photo), scale_factor=4)

    assert answer.status_code == 402
    assert answer.json() == {
        "code": "plan_upgrade_required",
        "message": "4x upscale is only available on Creator, Pro, or Business tier",
    }


@pytest.mark.parametrize(
    ("tier", "jobs"), [(Tier.FREE, 1), (Tier.CREATOR, 3), (Tier.PRO, 5), (Tier.BUSINESS, 8)]
)
def test_a_tier_runs_its_jobs_at_once(
    tier: Tier, jobs: int, engine: GatedEngine, photo: bytes
) -> None:
    with EmbeddedApi(engine=engine, tier=tier) as api:
        call = Caller(api)
        path = call.upload(photo)
        answers = [call.create(path) for _ in range(8)]
        engine.gate.set()
        call.finish(answers[0].json()["id"])
        again = call.create(path)

    statuses = [answer.status_code for answer in answers]
    assert (statuses, again.status_code) == ([200] * jobs + [429] * (8 - jobs), 200)
    for refused in answers[jobs:]:
        assert refused.json()["message"] == f"The account runs {jobs} jobs at once; wait for one"
    assert len(api.book.entries(EntryKind.CHARGE)) == jobs + 1


BAD_FIELDS: dict[str, list[dict[str, Any]]] = {
    "assets": [{"assets": None}],
    "assets.image_file_path": [{"assets": {}}],
    "scale_factor": [{"scale_factor": value} for value in (None, 3, 2.5, "2", True)],
    "style": [{"style": "balanced"}],
    "style.mode": [{"style": {"mode": "wild"}}],
    "style.enhancement": [{"style": {"enhancement": "balanced"}}],
    "style.prompt": [{"style": {"prompt": 1}}],
    "name": [{"name": 7}],
}


def test_a_bad_field_is_400_and_named(call: Caller, api: EmbeddedApi) -> None:
    for field, wrongs in BAD_FIELDS.items():
        for wrong in wrongs:
            answer = call.create("https://example.com/cat.png", **wrong)
            assert answer.status_code == 400, wrong
            assert answer.json()["message"].startswith(f"{field}: ")
    assert not api.book.entries()


BAD_PATHS = (
    *("", "cat.png", "/etc/cat.png", "file:///etc/cat.png", "ftp://example.com/cat.png"),
    *("https://example.com/cat", "https://example.com/cat.gif", "https://example.com/?cat.png"),
    *("https://magichour.ai/my-library", "https://[cat.png", "api-assets/../../cat.png"),
)


def test_an_image_path_of_no_known_kind_is_400_and_an_empty_one_422(
    call: Caller, api: EmbeddedApi
) -> None:
    empty = call.upload_url()["file_path"]
    for path in (*BAD_PATHS, empty):
        answer = call.create(path)
        assert answer.status_code == (422 if path == empty else 400), path
        assert answer.json()["message"].startswith("assets.image_file_path: ")
    assert not api.book.entries()


def test_a_body_of_another_shape_is_400(call: Caller) -> None:
    needed = "assets: Field required; scale_factor: Field required"
    bodies = {b"": "body: ", b"{": "body: ", b"\xff": "body: ", b"[]": "body: ", b"{}": needed}
    for data, message in bodies.items():
        answer = call("POST", "/v1/ai-image-upscaler", data=data)
        assert answer.status_code == 400
        assert answer.json()["message"].startswith(message)


def test_what_the_vendor_ignores_is_ignored(call: Caller, api: EmbeddedApi, photo: bytes) -> None:
    path = call.upload(photo)

    call.create(path, style={"mode": "preserve", "prompt": "fur", "later": 1}, unknown={"is": "x"})
    call.create(path, style={})

    charges = api.book.entries(EntryKind.CHARGE)
    assert [(entry.credits, entry.params.prompt) for entry in charges] == [(25, None), (50, None)]


PNG = {"type": "image", "extension": "png"}
BAD_ITEMS = [
    (None, 400, "items"),
    ([], 400, "items"),
    ([{"type": "image"}], 400, "items.0.extension"),
    ([{"type": "text", "extension": "txt"}], 400, "items.0.type"),
    *(
        ([PNG, {"type": kind, "extension": extension}], 422, "items.1.extension: must be one of ")
        for kind, extension in (
            *(("image", wrong) for wrong in ("PNG", ".png", "exe")),
            ("video", "png"),
        )
    ),
]


def test_a_bad_request_for_upload_urls_is_refused(call: Caller) -> None:
    for items, status, message in BAD_ITEMS:
        answer = call("POST", "/v1/files/upload-urls", json={"items": items})
        assert answer.status_code == status, items
        assert message in answer.json()["message"]


def test_upload_urls_come_in_the_order_of_the_items(call: Caller) -> None:
    items = [{"type": "image", "extension": extension} for extension in ("png", "webp", "jpg")]

    answer = call("POST", "/v1/files/upload-urls", json={"items": items}).json()["items"]

    assert [item["file_path"].rpartition(".")[2] for item in answer] == ["png", "webp", "jpg"]
    assert all(item["file_path"].startswith("api-assets/") for item in answer)
    assert all(datetime.fromisoformat(item["expires_at"]) > datetime.now(UTC) for item in answer)


def test_every_error_has_a_message(call: Caller) -> None:
    for method, path, status, message in [
        ("GET", "/v1/image-projects/none", 404, "Not Found"),
        ("DELETE", "/v1/image-projects/none", 404, "Not Found"),
        ("GET", "/v1/nothing-here", 404, "Not Found"),
        ("GET", "/v1/ai-image-upscaler", 405, "The method is not allowed"),
    ]:
        answer = call(method, path)
        assert answer.status_code == status
        assert answer.json()["message"].startswith(message)


def test_an_upload_url_is_for_its_path_alone_and_needs_a_length(call: Caller) -> None:
    item = call.upload_url()
    url = item["upload_url"]
    other = url.replace(item["file_path"], "api-assets/x/image.jpg")
    for method, address, data, status in [
        ("PUT", other, b"x", 403),
        ("GET", url, None, 403),
        ("PUT", url.partition("?")[0], b"", 403),
        ("PUT", url, iter([b"chunk"]), 411),
    ]:
        assert requests.request(method, address, data=data, timeout=10).status_code == status


def test_a_download_url_expires_and_a_new_get_gives_a_fresh_one(photo: bytes) -> None:
    now = datetime(2026, 7, 1, tzinfo=UTC)
    with EmbeddedApi(engine=StubEngine(seconds=0), clock=lambda: now) as api:
        call = Caller(api)
        project_id = call.create(call.upload(photo)).json()["id"]
        old = call.finish(project_id)["downloads"][0]["url"]
        now += timedelta(hours=24)
        fresh = call.project(project_id)["downloads"][0]["url"]

        assert requests.get(old, timeout=10).status_code == 403
        assert requests.get(fresh, timeout=10).status_code == 200
