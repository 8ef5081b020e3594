"""A cancelled call of the asynchronous client leaves nothing open, and says what may be paid."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from dropscale.magichour import AsyncClient, Polling
from tests.unit.magichour.scripted_server import Behaviour, Reply, ScriptedServer, json_reply

UPLOAD_URLS, UPLOAD = ("POST", "/v1/files/upload-urls"), ("PUT", "/put")
CREATE, PROJECT = ("POST", "/v1/ai-image-upscaler"), ("GET", "/v1/image-projects/p1")
OUTPUT = ("GET", "/output.png")
NEVER = Reply(behaviour=Behaviour.NEVER_ANSWER)
PART = Reply(200, b"upscaled" * 1000, behaviour=Behaviour.HANG_INSIDE_ANSWER)


@pytest.fixture
def client(server: ScriptedServer) -> AsyncClient:
    item = {"upload_url": f"{server.base_url}/put", "file_path": "api-assets/1.png"}
    downloads = [{"url": server.base_url + OUTPUT[1]}]
    project = {"id": "p1", "status": "complete", "downloads": downloads}
    server.on(*UPLOAD_URLS, json_reply({"items": [item]}))
    server.on(*UPLOAD, Reply())
    server.on(*CREATE, json_reply({"id": "p1"}))
    server.on(*PROJECT, json_reply({"id": "p1", "status": "queued"}), json_reply(project))
    server.on(*OUTPUT, Reply(200, b"upscaled"))
    return AsyncClient(token="t", base_url=server.base_url, polling=Polling(interval=0.001))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.0005)


def generating(client: AsyncClient, folder: Path) -> asyncio.Task[object]:
    (folder / "cat.png").write_bytes(b"an image")
    return asyncio.create_task(
        client.v1.ai_image_upscaler.generate(
            assets={"image_file_path": folder / "cat.png"},
            scale_factor=2,
            name="Cat #1",
            download_directory=folder / "out",
        )
    )


async def assert_nothing_is_left(server: ScriptedServer, folder: Path) -> None:
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert list((folder / "out").glob("*.part")) == list((folder / "out").glob(".*")) == []
    await until(lambda: server.open_connections == 0)


@pytest.mark.parametrize(
    ("call", "reply", "note"),
    [
        (UPLOAD_URLS, NEVER, None),
        (UPLOAD, NEVER, None),
        (CREATE, NEVER, "look for a project named 'Cat #1'"),
        (PROJECT, NEVER, "check_result(id='p1'"),
        (OUTPUT, NEVER, "check_result(id='p1'"),
        (OUTPUT, PART, "check_result(id='p1'"),
    ],
)
def test_wherever_it_was(
    server: ScriptedServer,
    client: AsyncClient,
    tmp_path: Path,
    call: tuple[str, str],
    reply: Reply,
    note: str | None,
) -> None:
    async def cancel() -> BaseException:
        task = generating(client, tmp_path)
        await until(lambda: bool(server.sent_to(*call)))
        if call == OUTPUT:
            await until(lambda: any((tmp_path / "out").iterdir()))
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        await assert_nothing_is_left(server, tmp_path)
        return caught.value

    server.on(*call, reply)
    notes = getattr(asyncio.run(cancel()), "__notes__", [])
    assert [note in text for text in notes if note] == ([True] if note else [])
    assert bool(notes) == bool(note)


@pytest.mark.parametrize("requests", range(6))
def test_at_any_step_after_any_request(
    server: ScriptedServer, client: AsyncClient, tmp_path: Path, requests: int
) -> None:
    async def cancel_after(steps: int) -> None:
        server.received.clear()
        task = generating(client, tmp_path)
        await until(lambda: len(server.received) >= requests)
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await assert_nothing_is_left(server, tmp_path)

    async def sweep() -> None:
        for steps in range(20):
            await cancel_after(steps)

    asyncio.run(sweep())
