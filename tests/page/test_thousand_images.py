"""A page of 1,000 images opens quickly: it uses little memory, and little of it is loaded."""

from collections.abc import Callable
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By

from dropscale.ledger.states import DropState
from dropscale_cli.page.gallery import drops_in, write_page
from tests.fakes import png
from tests.page.conftest import REASON, put
from tests.unit.cli.samples import manifest

Browse = Callable[..., webdriver.Chrome]

LOADED = "return performance.getEntriesByType('navigation')[0].loadEventEnd"


def test_a_thousand_images_open_at_once(browse: Browse, tmp_path: Path) -> None:
    out, photos = tmp_path / "out", tmp_path / "photos"
    for number in range(1000):
        key = f"album {number % 20}/{number:04}.png"
        state = DropState.FAILED if number % 50 == 7 else DropState.DELIVERED
        output = f"{key}@2x.png" if state is DropState.DELIVERED else None
        put(
            out, manifest(key, state, output=output, reason=None if output else REASON), png(16, 12)
        )
        (photos / key).parent.mkdir(parents=True, exist_ok=True)
        (photos / key).write_bytes(png())
    drops = list(drops_in(out))

    def open_page(images: int) -> float:
        """Return the milliseconds until all is there that a browser loads at once, at best."""
        page = write_page(out, drops[:images], [photos])
        return min(float(browse(page).execute_script(LOADED)) for _ in range(5))

    least = open_page(10)
    took = open_page(1000)

    page, browser = out / "index.html", browse(out / "index.html")
    loaded = browser.execute_script(
        "return [...document.images].filter((image) => image.complete && image.naturalWidth).length"
    )
    size = f"{page.stat().st_size / 1e6:.1f} MB, {loaded} thumbnails loaded"
    version = browser.capabilities["browserVersion"]
    print(f"{size}, {took:.0f} ms; 10 images: {least:.0f} ms; Chromium {version}")  # noqa: T201
    assert page.stat().st_size < 3e6
    assert took < 5000
    assert 0 < loaded < 100
    browser.execute_script(
        "window.began = performance.now();"
        "document.querySelector('input[value=failed]').click();"
        "document.body.getBoundingClientRect(); window.filtered = performance.now() - began;"
    )
    assert browser.execute_script("return filtered") < 1000
    assert browser.find_element(By.TAG_NAME, "output").text == "20 of 1000 shown"
