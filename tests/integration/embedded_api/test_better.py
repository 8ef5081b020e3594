"""Where our clients do better than the vendor's SDK."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from dropscale.magichour import AsyncClient, DeadlinePassed, Polling
from dropscale_embedded.api import EmbeddedApi, EntryKind, StubEngine, parse_fault_plan
from tests.integration.embedded_api.four_clients import PHOTO, Use, create, generate, outcome


def generate_and_show_assets(client: Any, folder: Path) -> object:
    assets = {"image_file_path": str(PHOTO)}
    generate(client, folder, assets=assets, download_outputs=False)
    return "left alone" if assets == {"image_file_path": str(PHOTO)} else "changed"


def generate_twice(client: Any, folder: Path) -> object:
    for factor in (2, 4):
        generate(client, folder, scale_factor=factor)
    return f"{len(list(folder.iterdir()))} files"


def upload_gif(client: Any, folder: Path) -> object:
    (folder / "cat.gif").write_bytes(b"GIF89a")
    return client.v1.files.upload_file(folder / "cat.gif")


def first(fault: str, calls: int = 1, call: str = "download") -> str:
    return f"[{{call: {call}, when: {{first: {calls}}}, fault: {{{fault}}}}}]"


# What comes of a use with theirs, and with ours.
TABLE = {
    Use("the caller's dict", generate_and_show_assets, "changed"): "left alone",
    Use("two outputs of one name", generate_twice, "1 files"): "2 files",
    Use("no folder", lambda c, d: generate(c, d / "new" / "er"), "FileNotFoundError"): "<bytes>",
    Use("expired URL", generate, "(403, None)", first("kind: expired")): "<bytes>",
    Use("cut off", generate, "(None, None)", first("kind: truncated")): "<bytes>",
    Use(
        "throttled while waiting",
        generate,
        "(429, ",
        first("kind: answer, status: 429", calls=2, call="project"),
    ): "<bytes>",
    # Refused without asking the API.
    Use("a type the upscaler does not take", upload_gif, "(422, "): "ValueError",
    Use(
        "a misspelt field",
        lambda c, _: create(c, style={"mod": "creative"}),
        '"credits_charged": 50',
    ): "ValueError",
    Use("3x", lambda c, _: create(c, scale_factor=3), "scale_factor: must be 2 or 4"): "ValueError",
    # The SDK looks at enhancement and mode itself, so that new ones need a new SDK.
    Use("a new mode", lambda c, _: create(c, style={"mode": "vivid"}), "ValidationError"): (
        "style.mode"
    ),
}


@pytest.mark.parametrize(("use", "ours"), TABLE.items(), ids=[use.name for use in TABLE])
def test_better(use: Use, ours: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAGIC_HOUR_POLL_INTERVAL", "0.01")
    for kind in ("theirs", "theirs, async", "ours", "ours, async"):
        (folder := tmp_path / kind).mkdir()
        expected = ours if kind.startswith("ours") else use.expected
        assert expected in outcome(use, kind, folder)


def test_many_at_once_are_many_files(tmp_path: Path) -> None:
    async def run(api: EmbeddedApi) -> list[Any]:
        client = AsyncClient(token=api.token, base_url=api.base_url, polling=Polling(interval=0.05))
        return await asyncio.gather(*(generate_one(client) for _ in range(40)))

    async def generate_one(client: AsyncClient) -> Any:
        return await client.v1.ai_image_upscaler.generate(
            assets={"image_file_path": PHOTO}, scale_factor=2, download_directory=tmp_path
        )

    with EmbeddedApi(engine=StubEngine(0)) as api:
        results = asyncio.run(run(api))
    paths = {Path(path) for result in results for path in result.downloaded_paths or ()}
    assert len(paths) == 40
    assert set(tmp_path.iterdir()) == paths
    assert len(api.book.entries(EntryKind.CHARGE)) == 40


def test_draft_meets_the_deadline() -> None:
    plan = parse_fault_plan(
        b"rules: [{call: render, fault: {kind: outcome, status: draft}}]", "draft"
    )
    polling = Polling(interval=0.01, deadline=0.05)
    with EmbeddedApi(engine=StubEngine(0), faults=plan) as api:
        client = AsyncClient(token=api.token, base_url=api.base_url, polling=polling)
        generating = client.v1.ai_image_upscaler.generate(
            assets={"image_file_path": PHOTO}, scale_factor=2
        )
        with pytest.raises(DeadlinePassed, match="last seen: draft"):
            asyncio.run(generating)
