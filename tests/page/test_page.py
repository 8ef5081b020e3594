"""The page in a real browser, opened from the disk."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from dropscale.ledger.states import DropState
from dropscale_cli.page.gallery import drops_in, write_page
from tests.fakes import png
from tests.page.conftest import AFTER, BEFORE, HOSTILE, RESULT_SIZE, put
from tests.unit.cli.samples import manifest

Browse = Callable[..., webdriver.Chrome]


def shown(browser: webdriver.Chrome) -> list[str]:
    cards = browser.find_elements(By.CSS_SELECTOR, ".card")
    return [str(card.get_attribute("data-key")) for card in cards if card.is_displayed()]


def card(browser: webdriver.Chrome, key: str) -> WebElement:
    cards = browser.find_elements(By.CSS_SELECTOR, ".card")
    return next(card for card in cards if card.get_attribute("data-key") == key)


def part(element: WebElement | webdriver.Chrome, selector: str) -> WebElement:
    return element.find_element(By.CSS_SELECTOR, selector)


def shades(element: WebElement, tmp_path: Path, *across: float) -> list[int]:
    """Return what is seen at these shares of an element's width, near its upper edge."""
    file = tmp_path / "seen.png"
    element.screenshot(str(file))
    with Image.open(file) as seen:
        grey = seen.convert("L")
        return [
            round(grey.getpixel((int(share * grey.width), grey.height // 8)))  # type: ignore[arg-type]
            for share in across
        ]


def wait(browser: webdriver.Chrome, condition: Callable[[], bool]) -> None:
    stale = [StaleElementReferenceException]  # the page reads itself again
    WebDriverWait(browser, 20, ignored_exceptions=stale).until(lambda _: condition())


def open_zoom(browser: webdriver.Chrome, key: str) -> WebElement:
    """Open a card at 1:1 by the keyboard, and return the stage."""
    part(card(browser, key), ".zoom").send_keys(Keys.ENTER)
    wait(browser, lambda: part(browser, ".note").text == "")
    return part(browser, ".stage")


def test_the_slider_shows_more_or_less_of_the_original(
    browse: Browse, page: Path, tmp_path: Path
) -> None:
    browser = browse(page)
    pair = part(card(browser, "x/b.png"), ".pair")
    slider = part(pair, "input")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", pair)
    wait(browser, lambda: shades(pair, tmp_path, 0.1, 0.9) == [BEFORE, AFTER])

    slider.send_keys(Keys.END)
    assert shades(pair, tmp_path, 0.1, 0.9) == [BEFORE, BEFORE]
    assert slider.get_attribute("aria-valuetext") == "100 % original"
    slider.send_keys(Keys.HOME)
    assert shades(pair, tmp_path, 0.1, 0.9) == [AFTER, AFTER]

    quarter = pair.size["width"] // 4
    slider.send_keys(*[Keys.PAGE_UP] * 5)
    ActionChains(browser).drag_and_drop_by_offset(slider, quarter, 0).perform()
    assert shades(pair, tmp_path, 0.65, 0.85) == [BEFORE, AFTER]


def test_every_control_has_a_role_a_name_and_its_turn(browse: Browse, page: Path) -> None:
    browser = browse(page)
    browser.execute_script("document.activeElement.blur()")
    turns = []
    for _ in range(10):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        focused = browser.switch_to.active_element
        turns.append((focused.aria_role, focused.accessible_name))
    assert turns[0][0] == "radio"
    boxes = [("combobox", "Folder"), ("combobox", "Warning"), ("combobox", "Order")]
    assert turns[1:5] == [*boxes, ("searchbox", "Name")]
    name = HOSTILE
    assert turns[5:10] == [
        ("button", f"Zoom {name} to 1:1"),
        ("slider", f"Original and result of {name}"),
        ("link", f"Result of {name}"),
        ("link", f"Original of {name}"),
        ("link", f"Manifest of {name}"),
    ]


def test_filters_by_state_folder_and_name_are_kept_over_a_reload(
    browse: Browse, page: Path
) -> None:
    browser = browse(page)
    assert len(shown(browser)) == 6
    part(browser, "input[value=delivered]").click()
    part(browser, "select").send_keys("x")
    assert shown(browser) == ["x/b.png", "x/y/c.png"]
    part(browser, "input[type=search]").send_keys("C.P")
    assert shown(browser) == ["x/y/c.png"]
    assert part(browser, "output").text == "1 of 6 shown"

    browser.refresh()
    assert shown(browser) == ["x/y/c.png"]
    part(browser, "input[type=search]").send_keys("nothing like it")
    assert shown(browser) == []
    part(browser, ".none button").click()
    assert len(shown(browser)) == 6


def test_failed_ones_come_first_on_wish_and_warnings_are_found_by_code(
    browse: Browse, page: Path
) -> None:
    browser = browse(page)
    assert shown(browser)[-1] != "x/failed.png"
    part(browser, "select[name=order]").send_keys("failed")
    assert shown(browser)[:2] == ["bad.png", "x/failed.png"]
    browser.refresh()
    assert shown(browser)[:2] == ["bad.png", "x/failed.png"]
    part(browser, "select[name=warning]").send_keys("Spec")
    assert shown(browser) == ["x/b.png"]
    assert "Warning: too small [Spec]" in card(browser, "x/b.png").text
    assert browser.current_url.endswith("#warning=Spec&order=failed")


@pytest.mark.skipif("AXE" not in os.environ, reason="needs axe-core, which with-chromium installs")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("is_zoomed", [False, True])
def test_axe_finds_nothing(is_zoomed: bool, scheme: str, browse: Browse, page: Path) -> None:
    browser = browse(page)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    try:
        if is_zoomed:
            open_zoom(browser, "x/b.png")
        browser.execute_script(Path(os.environ["AXE"]).read_text())
        found = browser.execute_async_script(
            "axe.run({ resultTypes: ['violations'], rules: { 'target-size': { enabled: true } } })"
            ".then(arguments[0])"
        )
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    told = [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]]
    assert told == []


def test_what_did_not_come_out_says_what_to_do(browse: Browse, page: Path) -> None:
    browser = browse(page, "#state=rejected")
    assert shown(browser) == ["bad.png"]
    text = card(browser, "bad.png").text
    assert "bad.png.yaml: is bad" in text
    assert "Correct the file." in text


def test_markup_in_a_name_is_text(browse: Browse, page: Path) -> None:
    browser = browse(page)
    assert part(card(browser, HOSTILE), "h2").text == HOSTILE
    assert len(browser.find_elements(By.TAG_NAME, "script")) == 1
    open_zoom(browser, HOSTILE)
    assert part(browser, "#zoomed").text == HOSTILE


def test_a_script_that_came_in_all_the_same_does_not_run(browse: Browse, page: Path) -> None:
    holed = page.with_name("holed.html")
    markup = "<script>hit = 1</script><img src=nowhere onerror='hit = 2'>"
    holed.write_text(page.read_text().replace("<main>", f"<main>{markup}"))
    browser = browse(holed)
    complaints = str(browser.get_log("browser"))  # type: ignore[no-untyped-call] # has no types
    assert "Executing inline script violates" in complaints
    assert "Executing inline event handler violates" in complaints
    assert browser.execute_script("return typeof hit") == "undefined"
    assert len(shown(browser)) == 6


@pytest.mark.parametrize("density", [1, 2])
def test_one_to_one_shows_the_spot_that_was_pointed_at(
    density: float, browse: Browse, page: Path
) -> None:
    browser = browse(page, density=density)
    pair = part(card(browser, "x/y/c.png"), ".pair")
    offset = -pair.size["width"] // 4
    ActionChains(browser).move_to_element_with_offset(pair, offset, 0).click().perform()
    wait(browser, lambda: part(browser, ".note").text == "")

    stage, after = part(browser, ".stage"), part(browser, ".stage > .after")
    before = part(stage, ".before img")
    width, height = (side / density for side in RESULT_SIZE)
    assert after.size == {"width": width, "height": height}
    assert before.rect == after.rect
    assert before.get_property("naturalWidth") == RESULT_SIZE[0] / 2
    middle = stage.rect["x"] + stage.rect["width"] / 2
    assert middle - after.rect["x"] == pytest.approx(width / 4, abs=width / pair.size["width"])
    assert part(browser, "[name=whole]").get_attribute("aria-pressed") == "true"


def test_the_zoomed_image_moves_by_pointer_and_keyboard_and_not_off_the_stage(
    browse: Browse, page: Path, tmp_path: Path
) -> None:
    browser = browse(page)
    stage = open_zoom(browser, "x/b.png")
    after = part(stage, ".after")
    assert shades(stage, tmp_path, 0.25, 0.75) == [BEFORE, AFTER]
    left = after.rect["x"]
    keys = ActionChains(browser)
    keys.send_keys(Keys.ARROW_LEFT).perform()  # wherever the focus is
    assert after.rect["x"] == left + 80
    keys.send_keys(Keys.ARROW_RIGHT).perform()
    ActionChains(browser).move_to_element_with_offset(
        stage, 200, 200
    ).click_and_hold().move_by_offset(-100, 0).release().perform()
    assert after.rect["x"] == left - 100
    stage.send_keys(Keys.ARROW_LEFT)
    assert after.rect["x"] == left - 20
    stage.send_keys(*[Keys.ARROW_LEFT] * 50)
    assert after.rect["x"] == 0
    stage.send_keys("+")
    assert after.size["width"] == RESULT_SIZE[0] * 1.25
    part(browser, "[name=fit]").click()
    assert after.size["height"] == stage.size["height"]
    part(stage, "input").send_keys(Keys.END)
    assert shades(stage, tmp_path, 0.75) == [BEFORE]


def test_escape_leads_back_to_the_card(browse: Browse, page: Path) -> None:
    browser = browse(page)
    open_zoom(browser, "x/b.png")
    part(browser, "[name=next]").click()
    assert part(browser, "#zoomed").text == "x/y/c.png"
    ActionChains(browser).send_keys(Keys.ESCAPE).perform()
    assert not part(browser, "dialog").is_displayed()
    assert browser.switch_to.active_element.accessible_name == "Zoom b.png to 1:1"


def test_where_the_original_is_gone_its_thumbnail_stands_for_it(
    browse: Browse, tmp_path: Path
) -> None:
    out, photos = tmp_path / "out", tmp_path / "photos"
    photos.mkdir()
    (photos / "a.png").write_bytes(png(800, 600, BEFORE))
    put(out, manifest("a.png", DropState.DELIVERED, output="a@2x.png"), png(1600, 1200, AFTER))
    browser = browse(write_page(out, list(drops_in(out)), [photos]))
    (photos / "a.png").unlink()
    part(card(browser, "a.png"), ".zoom").send_keys(Keys.ENTER)
    wait(browser, lambda: "this is its thumbnail" in part(browser, ".note").text)
    assert shades(part(browser, ".stage"), tmp_path, 0.25, 0.75) == [BEFORE, AFTER]
    browser.get_log("browser")  # type: ignore[no-untyped-call] # the missing file is told there


def test_a_live_page_shows_what_comes_later_through_the_same_filter(
    browse: Browse, tmp_path: Path
) -> None:
    put(tmp_path, manifest("x/a.png", DropState.SUBMITTED), b"")
    page = write_page(tmp_path, list(drops_in(tmp_path)), is_live=True)
    browser = browse(page, "#folder=x")
    assert shown(browser) == ["x/a.png"]
    for key in ("b.png", "x/c.png"):
        put(tmp_path, manifest(key, DropState.SUBMITTED), b"")
    write_page(tmp_path, list(drops_in(tmp_path)))
    wait(browser, lambda: shown(browser) == ["x/a.png", "x/c.png"])
    assert browser.execute_script("return 'live' in document.body.dataset") is False


@pytest.mark.parametrize("is_zoomed", [False, True])
def test_a_phone_does_not_scroll_sideways(is_zoomed: bool, browse: Browse, page: Path) -> None:
    browser = browse(page, width=375, height=812, density=2)
    if is_zoomed:
        open_zoom(browser, "x/b.png")
        assert part(browser, "[name=close]").is_displayed()
    width, room = browser.execute_script(
        "const { scrollWidth, clientWidth } = document.documentElement;"
        "return [scrollWidth, clientWidth]"
    )
    assert width == room <= 375


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_light_and_in_dark(scheme: str, browse: Browse, page: Path) -> None:
    browser = browse(page)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    try:
        for selector in (".totals", ".state", ".why", ".facts", ".links a", ".bad .state"):
            contrast = browser.execute_script(CONTRAST, part(browser, selector))
            assert contrast >= 4.5, selector
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


CONTRAST = """
const numbers = (colour) => colour.match(/[0-9.]+/g).map(Number);
const light = (colour) => {
  const [r, g, b] = numbers(colour).map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
let behind = arguments[0];
while (numbers(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
const pair = [getComputedStyle(arguments[0]).color, getComputedStyle(behind).backgroundColor];
const [low, high] = pair.map(light).sort((a, b) => a - b);
return (high + 0.05) / (low + 0.05);
"""
"""The contrast of an element's text, as https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio says."""
