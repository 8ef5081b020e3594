"""One table of uses, run by the vendor's SDK and by our clients, each sync and async.

The embedded API must satisfy the SDK, and our clients must behave like it: the same answers, the
same errors, the same bytes on disk, and the same entries in the book. `test_better.py` tests where
ours do better.
"""

import io
from pathlib import Path
from typing import Any

import pytest

from dropscale_embedded.api import Tier
from tests.integration.embedded_api.four_clients import (
    PHOTO,
    Use,
    answered,
    check,
    create,
    generate,
    held,
    outcome,
)


def upload_open_file(client: Any, _folder: Path) -> object:
    with PHOTO.open("rb") as file:
        return client.v1.files.upload_file(file)


def upload_named_bytes(client: Any, _folder: Path) -> object:
    file = io.BytesIO(PHOTO.read_bytes())
    file.name = "cat.JPG"
    return client.v1.files.upload_file(file)


def generate_of_no_image(client: Any, folder: Path) -> object:
    (folder / "cat.png").write_bytes(b"no cat")
    return generate(client, folder, assets={"image_file_path": str(folder / "cat.png")})


def create_twice(client: Any, _folder: Path) -> object:
    create(client)
    return create(client)


def delete_twice(client: Any, _folder: Path) -> object:
    project = create(client).id
    assert client.v1.image_projects.delete(id=project) is None
    return client.v1.image_projects.delete(id=project)


def get_deleted(client: Any, _folder: Path) -> object:
    project = create(client).id
    client.v1.image_projects.delete(id=project)
    return client.v1.image_projects.get(id=project)


UPLOAD = [
    Use("str", lambda c, _: c.v1.files.upload_file(str(PHOTO)), "api-assets/<id>/image.jpg"),
    Use("Path", lambda c, _: c.v1.files.upload_file(PHOTO), "api-assets/<id>/image.jpg"),
    Use("open file", upload_open_file, "api-assets/<id>/image.jpg"),
    Use("BytesIO", upload_named_bytes, "api-assets/<id>/image.jpg"),
    Use("URL", lambda c, _: c.v1.files.upload_file("https://a.example/b.png?c=1"), "b.png?c=1"),
    Use("asset", lambda c, _: c.v1.files.upload_file("api-assets/1/a.png"), "api-assets/1/a.png"),
    Use("missing", lambda c, d: c.v1.files.upload_file(d / "a.png"), "FileNotFoundError"),
    Use("no extension", lambda c, d: c.v1.files.upload_file(io.BytesIO(b"x")), "ValueError"),
    Use(
        "refused",
        lambda c, _: c.v1.files.upload_file(PHOTO),
        "403",
        "[{call: upload, fault: {kind: expired}}]",
    ),
    Use(
        "URLs",
        lambda c, _: c.v1.files.upload_urls.create(
            items=[
                {"type_": "image", "extension": "png"},
                {"type_": "video", "extension": "mp4"},
                {"type_": "audio", "extension": "ogg"},
            ]
        ),
        "image.ogg",
    ),
    Use(
        "bad URLs",
        lambda c, _: c.v1.files.upload_urls.create(items=[{"type_": "image", "extension": "exe"}]),
        "422",
    ),
]
CREATE = [
    Use("defaults", lambda c, _: create(c), '"credits_charged": 50'),
    Use("mode", lambda c, _: create(c, style={"mode": "preserve"}), '"credits_charged": 25'),
    Use("older mode", lambda c, _: create(c, style={"mode": "pro"}), '"credits_charged": 25'),
    Use("4x", lambda c, _: create(c, scale_factor=4.0), '"credits_charged": 200'),
    Use(
        "enhancement",
        lambda c, _: create(c, style={"enhancement": "Resemblance"}, name="Cat"),
        '"frame_cost": 25',
    ),
    Use(
        "prompt",
        lambda c, _: create(c, style={"mode": "creative", "prompt": "fur"}),
        "prompt='fur'",
    ),
    Use("no name", lambda c, _: create(c, name=None, style=None), "Image Upscaler - "),
    Use("nothing uploaded", lambda c, _: create(c, image="api-assets/1/a.png"), "422"),
    Use("no image", lambda c, _: create(c, image="https://a.example/b"), "400"),
    Use("no credits", lambda c, _: create(c), "402", options={"credits_granted": 49}),
    Use("free 4x", lambda c, _: create(c, scale_factor=4), "402", options={"tier": Tier.FREE}),
    Use("full", create_twice, "429", held("queued"), options={"tier": Tier.FREE}),
    Use("throttled", lambda c, _: create(c), "429", answered("create", 429)),
    Use("unavailable", lambda c, _: create(c), "503", answered("create", 503)),
    Use("failed", lambda c, _: create(c), "500", answered("create", 500)),
    Use("proxy", lambda c, _: create(c), "(502, None)", answered("create", 502, "html")),
]
PROJECT = [
    *(
        Use(
            status,
            lambda c, _: c.v1.image_projects.get(id=create(c).id),
            f'"status": "{status}"',
            held(status),
        )
        for status in ("draft", "queued", "rendering", "canceled", "error")
    ),
    Use("unknown", lambda c, _: c.v1.image_projects.get(id="p1"), "404"),
    Use("deleted", get_deleted, "404"),
    Use("deleted twice", delete_twice, "404"),
    Use(
        "no look", lambda c, d: check(c, d, False, True), '"downloaded_paths": null', held("queued")
    ),
    Use("no download", lambda c, d: check(c, d, True, False), '"url": "<storage>'),
    Use("download", lambda c, d: check(c, d, True, True), '"downloaded_paths": ["<bytes>'),
]
GENERATE = [
    Use("balanced", lambda c, d: generate(c, d, style={"enhancement": "Balanced"}), "<bytes>"),
    Use("4x", lambda c, d: generate(c, d, scale_factor=4, style={"mode": "creative"}), "<bytes>"),
    Use(
        "not waiting",
        lambda c, d: generate(c, d, wait_for_completion=False),
        '"status": "queued"',
        held("queued"),
    ),
    Use(
        "no download",
        lambda c, d: generate(c, d, download_outputs=False),
        '"downloaded_paths": null',
    ),
    Use("no image", generate_of_no_image, "invalid_file_format"),
    Use("canceled", generate, '"status": "canceled"', held("canceled")),
    Use("error", generate, "content_policy_violation", held("error")),
    Use("key", generate, "401", answered("upload_urls", 401)),
    Use(
        "cut off",
        generate,
        "(None, None)",
        "[{call: download, fault: {kind: truncated}}]",
    ),
]
ACCOUNT = [
    Use("paid", lambda c, _: c.v1.account.list(), '"name": "Business"'),
    Use(
        "free",
        lambda c, _: c.v1.account.list(),
        '"subscription": null',
        options={"tier": Tier.FREE},
    ),
    Use("throttled", lambda c, _: c.v1.account.list(), "429", answered("account", 429)),
]
TABLE = {
    f"{group}: {use.name}": use
    for group, uses in {
        "upload": UPLOAD,
        "create": CREATE,
        "project": PROJECT,
        "generate": GENERATE,
        "account": ACCOUNT,
    }.items()
    for use in uses
}


@pytest.mark.parametrize("use", TABLE.values(), ids=TABLE)
def test_all_give_the_same(use: Use, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAGIC_HOUR_POLL_INTERVAL", "0.01")
    outcomes = {}
    for kind in ("theirs", "theirs, async", "ours", "ours, async"):
        (folder := tmp_path / kind).mkdir()
        outcomes[kind] = outcome(use, kind, folder)
    assert use.expected in outcomes["theirs"]
    assert outcomes == dict.fromkeys(outcomes, outcomes["theirs"])
