"""Every Python example of docs/client.md and of the vendor's documentation runs on our clients."""

import ast
import asyncio
import inspect
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import magic_hour  # type: ignore[import-untyped] # ships no py.typed
import pytest

from dropscale import magichour
from dropscale_embedded.api import EmbeddedApi, StubEngine
from tests.integration.embedded_api.conftest import EXAMPLES
from tests.integration.embedded_api.four_clients import PHOTO

GUIDE = Path(__file__).parents[3] / "docs/client.md"
V1 = Path(magic_hour.__file__).parent / "resources/v1"

# As the vendor documented them before `mode`; its SDK 0.90 brings the later ones along.
_OLDER = """
from magic_hour import {client}
from os import getenv

client = {client}(token=getenv("API_TOKEN"))
res = {call}(
    assets={{"image_file_path": "{path}"}},
    scale_factor=2.0,
    style={{"enhancement": "Balanced"}},
    name="Image Upscaler image",{more}
)
"""
_MORE = """
    wait_for_completion=True,
    download_outputs=True,
    download_directory="outputs\""""
OLDER = [
    _OLDER.format(client=client, call=f"{wait}client.v1.ai_image_upscaler.{call}", **rest)
    for client, wait in (("Client", ""), ("AsyncClient", "await "))
    for call, rest in (
        ("generate", {"path": "/path/to/1234.png", "more": _MORE}),
        ("create", {"path": "api-assets/id/1234.png", "more": ""}),
    )
]


def examples(document: str) -> list[str]:
    found: list[str] = re.findall(r"```python\n(.*?)```", document, re.DOTALL)
    return found


VENDOR_EXAMPLES = {
    f"{name} {number}": example
    for name, found in {
        "older": OLDER,
        **{
            path.parent.relative_to(V1).as_posix(): examples(path.read_text())
            for part in ("account", "ai_image_upscaler", "files", "image_projects")
            for path in (V1 / part).rglob("README.md")
        },
    }.items()
    for number, example in enumerate(found)
    if "import" in example  # the others show answers
}


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[EmbeddedApi]:
    """Serve at the clients' default address, with photos in the current directory."""
    with EmbeddedApi(engine=StubEngine(0)) as running:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("API_TOKEN", running.token)
        monkeypatch.setenv("MAGIC_HOUR_POLL_INTERVAL", "0.01")
        monkeypatch.setattr(magichour.Environment.ENVIRONMENT, "_value_", running.base_url)
        shutil.copy(PHOTO, "photo.jpg")
        shutil.copy(EXAMPLES / "cup.png", "other.png")
        yield running


def run(example: str, names: dict[str, Any]) -> None:
    """Execute an example, which may await at its top level."""
    code = compile(example, "example", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    outcome = eval(code, names)
    if inspect.iscoroutine(outcome):
        asyncio.run(outcome)


@pytest.mark.parametrize("example", VENDOR_EXAMPLES.values(), ids=VENDOR_EXAMPLES)
def test_the_vendors_examples_need_only_another_import(api: EmbeddedApi, example: str) -> None:
    ours = magichour.Client(token=api.token)
    image = ours.v1.files.upload_file("photo.jpg")
    project = ours.v1.ai_image_upscaler.create(assets={"image_file_path": image}, scale_factor=2)
    for placeholder, real in {
        "from magic_hour import": "from dropscale.magichour import",
        "/path/to/1234.png": "other.png",
        "/path/to/your/image.jpg": "photo.jpg",
        "api-assets/id/1234.png": image,
        "cuid-example": project.id,
    }.items():
        example = example.replace(placeholder, real)
    names: dict[str, Any] = {}
    run(example, names)
    if ".generate(" in example:
        assert [Path(path).exists() for path in names["res"].downloaded_paths] == [True]
    if ".create(" in example and "ai_image_upscaler" in example:
        assert names["res"].credits_charged in {25, 50}


def test_the_guides_examples_run(api: EmbeddedApi, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    for example in examples(GUIDE.read_text(encoding="utf-8")):
        run(example.replace("interval=5,", "interval=0.01,"), names)
    shown = capsys.readouterr().out
    assert shown.startswith("complete 50 ['outputs/embedded")
    assert "downloading None" in shown
    assert len(list(Path("outputs").iterdir())) == 5
