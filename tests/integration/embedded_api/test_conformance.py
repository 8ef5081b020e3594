"""One table of uses, run by the vendor's SDK and by our clients, each sync and async.

The embedded API must satisfy the SDK, and our clients must behave like it: the same answers, the
same errors, the same bytes on disk, and the same entries in the book. `test_better.py` tests where
ours do better.
"""

import io
from collections.abc import Callable
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


def created(**fields: Any) -> Callable[[Any, Path], object]:
    return lambda client, _: create(client, **fields)


def generated(**fields: Any) -> Callable[[Any, Path], object]:
    return lambda client, folder: generate(client, folder, **fields)


def uploaded(file: Any) -> Callable[[Any, Path], object]:
    return lambda client, _: client.v1.files.upload_file(file)


def given_urls(*items: tuple[str, str]) -> Callable[[Any, Path], object]:
    asked = [{"type_": kind, "extension": extension} for kind, extension in items]
    return lambda client, _: client.v1.files.upload_urls.create(items=asked)


def account(client: Any, _folder: Path) -> object:
    return client.v1.account.list()


UPLOAD = [
    Use("str", uploaded(str(PHOTO)), "api-assets/<id>/image.jpg"),
    Use("Path", uploaded(PHOTO), "api-assets/<id>/image.jpg"),
    Use("open file", upload_open_file, "api-assets/<id>/image.jpg"),
    Use("BytesIO", upload_named_bytes, "api-assets/<id>/image.jpg"),
    Use("URL", uploaded("https://a.example/b.png?c=1"), "b.png?c=1"),
    Use("asset", uploaded("api-assets/1/a.png"), "api-assets/1/a.png"),
    Use("missing", lambda c, d: c.v1.files.upload_file(d / "a.png"), "FileNotFoundError"),
    Use("no extension", lambda c, d: c.v1.files.upload_file(io.BytesIO(b"x")), "ValueError"),
    Use("refused", uploaded(PHOTO), "403", "[{call: upload, fault: {kind: expired}}]"),
    Use("URLs", given_urls(("image", "png"), ("video", "mp4"), ("audio", "ogg")), "image.ogg"),
    Use("bad URLs", given_urls(("image", "exe")), "422"),
]
CREATE = [
    Use("defaults", created(), '"credits_charged": 50'),
    Use("mode", created(style={"mode": "preserve"}), '"credits_charged": 25'),
    Use("older mode", created(style={"mode": "pro"}), '"credits_charged": 25'),
    Use("4x", created(scale_factor=4.0), '"credits_charged": 200'),
    Use(
        "enhancement", created(style={"enhancement": "Resemblance"}, name="Cat"), '"frame_cost": 25'
    ),
    Use("prompt", created(style={"mode": "creative", "prompt": "fur"}), "prompt='fur'"),
    Use("no name", created(name=None, style=None), "Image Upscaler - "),
    Use("nothing uploaded", created(image="api-assets/1/a.png"), "422"),
    Use("no image", created(image="https://a.example/b"), "400"),
    Use("no credits", created(), "402", options={"credits_granted": 49}),
    Use("free 4x", created(scale_factor=4), "402", options={"tier": Tier.FREE}),
    Use("full", create_twice, "429", held("queued"), options={"tier": Tier.FREE}),
    Use("throttled", created(), "429", answered("create", 429)),
    Use("unavailable", created(), "503", answered("create", 503)),
    Use("failed", created(), "500", answered("create", 500)),
    Use("proxy", created(), "(502, None)", answered("create", 502, "html")),
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
    Use("balanced", generated(style={"enhancement": "Balanced"}), "<bytes>"),
    Use("4x", generated(scale_factor=4, style={"mode": "creative"}), "<bytes>"),
    Use("not waiting", generated(wait_for_completion=False), '"status": "queued"', held("queued")),
    Use("no download", generated(download_outputs=False), '"downloaded_paths": null'),
    Use("no image", generate_of_no_image, "invalid_file_format"),
    Use("canceled", generate, '"status": "canceled"', held("canceled")),
    Use("error", generate, "content_policy_violation", held("error")),
    Use("key", generate, "401", answered("upload_urls", 401)),
    Use("cut off", generate, "(None, None)", "[{call: download, fault: {kind: truncated}}]"),
]
ACCOUNT = [
    Use("paid", account, '"name": "Business"'),
    Use("free", account, '"subscription": null', options={"tier": Tier.FREE}),
    Use("throttled", account, "429", answered("account", 429)),
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
