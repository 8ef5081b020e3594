import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from dropscale.ledger.drops import Reason
from dropscale.ledger.states import DropState
from dropscale.results.manifest import Manifest, manifest_key
from dropscale_cli.page.gallery import drops_in, write_page
from tests.fakes import png
from tests.unit.cli.samples import manifest

Browse = Callable[..., webdriver.Chrome]

# Without a network it would knock at its maker's doors again and again.
_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

RESULT_SIZE = (6400, 4800)
BEFORE, AFTER = 50, 200
"""The shades of grey of originals and of results."""

HOSTILE = "\"'><img src=x onerror=alert(1)><script>alert(2)<.png"
REASON = Reason(code="SpecInvalid", message="bad.png.yaml: is bad", fix="Correct the file.")


def put(folder: Path, told: Manifest, pixels: bytes) -> None:
    """Put a manifest and the PNG that it says was delivered into a folder."""
    if pixels:
        width, height = struct.unpack(">II", pixels[16:24])
        size = {"width": width, "height": height}
        jobs = [
            job.model_copy(update={"output": job.output and job.output.model_copy(update=size)})
            for job in told.jobs
        ]
        told = told.model_copy(update={"jobs": tuple(jobs)})
    files = {job.output.key: pixels for job in told.jobs if job.output}
    files[manifest_key(told.source.key)] = told.model_dump_json().encode()
    for key, content in files.items():
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(content)


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of good results, one without its original, and two that did not come out."""
    folder = tmp_path_factory.mktemp("page")
    photos, out = folder / "photos", folder / "out"
    for key in ("a.png", HOSTILE, "x/b.png", "x/y/c.png"):
        warnings = ("too small",) if key == "x/b.png" else ()
        told = manifest(key, DropState.DELIVERED, output=f"{key}@2x.png", warnings=warnings)
        put(out, told, png(*RESULT_SIZE, AFTER))
        original = photos / key
        original.parent.mkdir(parents=True, exist_ok=True)
        original.write_bytes(png(RESULT_SIZE[0] // 2, RESULT_SIZE[1] // 2, BEFORE))
    (photos / "a.png").unlink()
    put(out, manifest("bad.png", DropState.REJECTED, reason=REASON), b"")
    put(out, manifest("x/failed.png", DropState.FAILED, reason=REASON), b"")
    return write_page(out, list(drops_in(out)), [photos])


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = os.environ["CHROME"]
    for flag in (*_FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with webdriver.Chrome(options, Service(os.environ["CHROMEDRIVER"])) as browser:
        yield browser


@pytest.fixture
def browse(browser: webdriver.Chrome) -> Iterator[Browse]:
    """Open a file on a screen of a size, in CSS pixels; an error on its console fails the test."""

    def browse(
        page: Path, fragment: str = "", *, width: int = 1280, height: int = 900, density: float = 1
    ) -> webdriver.Chrome:
        screen = {"width": width, "height": height, "deviceScaleFactor": density, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        browser.get("about:blank")  # where only the fragment differs, nothing would be loaded
        browser.get(page.as_uri() + fragment)
        return browser

    yield browse
    assert browser.get_log("browser") == []  # type: ignore[no-untyped-call] # has no types
