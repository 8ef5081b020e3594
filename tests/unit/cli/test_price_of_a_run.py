"""The price that a run names before it asks."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dropscale_cli.drops import find_drops
from dropscale_cli.price import highest_price
from tests.fakes import png

Write = Callable[..., Path]


@pytest.mark.parametrize(
    ("spec", "price"),
    [
        (None, 50),
        ("style: {mode: preserve}", 25),
        ("scale_factor: 4", 200),
        ("{scale_factor: 4, style: {mode: creative, prompt: fur}}", 200),
        ("scale_factor: 3", 0),
        ("scale_factr: 4", 0),
        ("assets: {image_file_path: other.png}", 0),
        ("{scale_factor: 4, max_credits: 199}", 0),
        ("{scale_factor: 4, max_credits: 200}", 200),
    ],
)
def test_an_image_costs_what_its_sidecar_makes_it(
    spec: str | None, price: int, write: Write, tmp_path: Path
) -> None:
    write("cat.png", png())
    if spec:
        write("cat.png.yaml", spec)
    assert highest_price(find_drops(tmp_path, tmp_path / "out")) == price


def test_the_price_is_that_of_all_images(write: Write, tmp_path: Path) -> None:
    write("a.png", png(shade=1))
    write("b/a.png", png(shade=2))
    write("b/a.png.json", '{"scale_factor": 4}')
    assert highest_price(find_drops(tmp_path, tmp_path / "out")) == 250


def test_images_that_share_a_job_pay_once(write: Write, tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        write(name, png())
    write("c.png.yaml", "revision: 2")
    assert highest_price(find_drops(tmp_path, tmp_path / "out")) == 100


@pytest.mark.parametrize("content", [b"", b"no image", png()[:20], png(4097, 1)])
def test_an_image_that_is_refused_costs_nothing(
    content: bytes, write: Write, tmp_path: Path
) -> None:
    write("cat.png", content)
    assert highest_price(find_drops(tmp_path, tmp_path / "out")) == 0


def test_two_sidecars_cost_nothing(write: Write, tmp_path: Path) -> None:
    write("cat.png", png())
    write("cat.png.yaml", "scale_factor: 2")
    write("cat.png.json", "{}")
    assert highest_price(find_drops(tmp_path, tmp_path / "out")) == 0
