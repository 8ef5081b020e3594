"""Thumbnails of real image files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dropscale_cli.page.cards import LONG_SIDE, Thumbnails
from tests import heic, originals
from tests.fakes import png

Write = Callable[..., Path]


@pytest.fixture
def thumbnails(tmp_path: Path) -> Thumbnails:
    folder = tmp_path / "thumbnails"
    folder.mkdir()
    return Thumbnails(folder)


def shown(thumbnails: Thumbnails, file: Path) -> Image.Image:
    """Return the thumbnail of a file, decoded."""
    thumbnail = thumbnails.of(file)
    assert thumbnail
    with Image.open(thumbnail) as small:
        small.load()
        return small


def red(size: tuple[int, int] = (1280, 640)) -> Image.Image:
    return Image.new("RGB", size, "red")


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP", "AVIF", "TIFF", "BMP", "JPEG2000"])
def test_what_the_upscaler_takes_is_shown_small(
    image_format: str, thumbnails: Thumbnails, write: Write
) -> None:
    small = shown(thumbnails, write("a.jpg[page=1]", originals.encoded(red(), image_format)))
    assert (small.format, small.size) == ("WEBP", (LONG_SIDE, LONG_SIDE // 2))


def test_a_phones_photo_is_shown_upright_and_in_srgb(thumbnails: Thumbnails, write: Write) -> None:
    view = originals.pixels((64, 96))
    space = originals.profile("Display P3")
    wide = originals.in_space(originals.as_stored(view, 6), space)

    small = shown(thumbnails, write("a.heic", heic.photo(wide, heic.icc_of(space), heic.irot(3))))
    values = np.asarray(small.convert("RGB"), dtype=float)
    assert np.abs(values - np.asarray(view, dtype=float)).mean() < 5


def test_a_small_image_is_not_enlarged_and_stands_upright(
    thumbnails: Thumbnails, write: Write
) -> None:
    assert shown(thumbnails, write("a.png", png(8, 6))).size == (8, 6)
    lying = originals.encoded(red((30, 20)), "JPEG", exif=originals.exif(6))
    assert shown(thumbnails, write("a.jpg", lying)).size == (20, 30)


@pytest.mark.parametrize("content", [b"", b"no image", png()[:40]])
def test_a_file_that_is_not_an_image_has_no_thumbnail(
    content: bytes, thumbnails: Thumbnails, write: Write
) -> None:
    assert thumbnails.of(write("a.png", content)) is None
    assert list(thumbnails.folder.iterdir()) == []


def test_a_missing_or_changed_file_has_no_thumbnail(
    thumbnails: Thumbnails, write: Write, tmp_path: Path
) -> None:
    assert thumbnails.of(tmp_path / "nowhere.png") is None
    assert thumbnails.of(write("a.png", png()), sha256="0" * 64) is None


def test_a_thumbnail_is_made_once_and_again_for_another_image_at_the_path(
    thumbnails: Thumbnails, write: Write
) -> None:
    file = write("a.png", png(8, 6))
    first = thumbnails.of(file)
    assert first
    first.write_bytes(b"kept")
    assert thumbnails.of(file) == first
    assert first.read_bytes() == b"kept"
    write("a.png", png(9, 6))
    assert thumbnails.of(file) not in {first, None}


def test_those_of_images_that_are_gone_are_removed_and_nothing_else(
    thumbnails: Thumbnails, write: Write
) -> None:
    thumbnails.of(write("a.png", png(8, 6)))
    later = Thumbnails(thumbnails.folder)
    kept = later.of(write("b.png", png(9, 6)))
    other = write("thumbnails/photo.webp")
    later.prune()
    assert set(thumbnails.folder.iterdir()) == {kept, other}
