"""The vendor's own SDK, unchanged, against the embedded API with the real model.

What it does with the stub, `test_conformance.py` says.
"""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from magic_hour import Client  # type: ignore[import-untyped] # ships no py.typed
from PIL import Image

from dropscale_embedded.api import EmbeddedApi, ModelEngine
from tests.integration.embedded_api.conftest import EXAMPLES


@pytest.fixture(scope="module")
def api() -> Iterator[EmbeddedApi]:
    with EmbeddedApi(engine=ModelEngine()) as running:
        yield running


@pytest.fixture
def sdk(api: EmbeddedApi, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setenv("MAGIC_HOUR_POLL_INTERVAL", "0.02")
    with httpx.Client(timeout=60) as connections:
        yield Client(token=api.token, base_url=api.base_url, httpx_client=connections)


@pytest.mark.parametrize(
    ("name", "style", "mode", "size", "credits_"),
    [
        ("été 2026/rocket.jpg", {"enhancement": "Balanced"}, "RGB", (576, 384), 50),
        ("cup.png", {"mode": "preserve"}, "RGBA", (400, 360), 25),
        ("camera.png", {"mode": "preserve"}, "L", (448, 448), 25),
    ],
)
def test_generate_as_the_vendor_documents_it(
    sdk: Client,
    tmp_path: Path,
    name: str,
    style: dict[str, str],
    mode: str,
    size: tuple[int, int],
    credits_: int,
) -> None:
    result = sdk.v1.ai_image_upscaler.generate(
        assets={"image_file_path": str(EXAMPLES / name)},
        scale_factor=2.0,
        style=style,
        name="Image Upscaler image",
        wait_for_completion=True,
        download_outputs=True,
        download_directory=str(tmp_path),
    )

    assert (result.status, result.name) == ("complete", "Image Upscaler image")
    assert result.credits_charged == credits_
    [path] = result.downloaded_paths or []
    with Image.open(path) as image:
        assert (image.format, image.mode, image.size) == ("PNG", mode, size)
