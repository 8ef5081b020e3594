"""Small versions of images, for a page that shows many of them at once."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import pyvips
from PIL import Image

from dropscale.errors import DropscaleError
from dropscale.image.header import read_header
from dropscale_cli.path_inside import PathInside
from dropscale_embedded.heic import HeicTooLarge, HeicUnreadable, decode_heic

LONG_SIDE = 640
"""Pixels; a card of the page is a third of a laptop's screen wide, half that in its own pixels."""

_BOUNDS = {"height": LONG_SIDE, "size": "down", "export_profile": "srgb"}
_MOST_SIDE = 32_768
"""The longest side of a HEIC image that is decoded for it."""

_QUALITY = 82
_SUFFIX = ".webp"


@dataclass(frozen=True)
class Thumbnails:
    """WebP files in a folder of their own, made once per version of an image.

    They are upright and in sRGB, whatever the image's orientation and profile. An image is
    streamed, so that one of 200 megapixels takes no 600 MB of memory.
    """

    folder: Path
    _used: set[str] = field(default_factory=set)

    def of(self, image: Path, sha256: str | None = None) -> Path | None:
        """Return an image's thumbnail; None if there is no such image, or nothing can read it.

        Args:
            image: Where it lies.
            sha256: What its bytes must hash to, in hex; None: any will do.
        """
        try:
            facts = image.stat()
            version = f"{image.absolute()} {facts.st_size} {facts.st_mtime_ns} {sha256}"
            name = hashlib.sha256(version.encode(errors="surrogateescape")).hexdigest() + _SUFFIX
            place = PathInside(self.folder.parent, f"{self.folder.name}/{name}")
            thumbnail = place.path
            if not thumbnail.is_file():
                if sha256 and not _hashes_to(sha256, image):
                    return None
                _write(image, place)
        except (OSError, _Unreadable):
            return None
        self._used.add(name)
        return thumbnail

    def prune(self) -> None:
        """Remove those that were not asked for."""
        if self.folder.is_symlink():
            return
        for file in self.folder.glob(f"{'?' * 64}{_SUFFIX}"):
            if file.name not in self._used:
                file.unlink(missing_ok=True)


class _Unreadable(Exception):
    """No image, or none that this machine can read."""


def _hashes_to(sha256: str, file: Path) -> bool:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest() == sha256


def _write(image: Path, place: PathInside) -> None:
    pyvips.block_untrusted_set(True)
    pyvips.cache_set_max(0)  # It would take a file that was replaced for the one it has seen.
    partial = PathInside(place.folder, f"{place.key}.part")
    try:
        body = _small(image).webpsave_buffer(Q=_QUALITY, keep="none")
    except (pyvips.Error, HeicTooLarge, HeicUnreadable, Image.DecompressionBombError) as error:
        raise _Unreadable from error
    place.write([body], partial, is_durable=False)


def _small(image: Path) -> pyvips.Image:
    if _is_heic(image):
        return _shrink(decode_heic(image.read_bytes(), _MOST_SIDE))
    try:
        # A name as such would be searched for options.
        source = pyvips.Source.new_from_file(str(image))
        return pyvips.Image.thumbnail_source(source, LONG_SIDE, **_BOUNDS)
    except pyvips.Error:
        with Image.open(image) as opened:  # BMP and JPEG 2000, which libvips from PyPI reads not.
            return _shrink(opened)


def _is_heic(image: Path) -> bool:
    try:
        with image.open("rb") as file:
            return read_header(file, image.name).type == "heic"
    except DropscaleError:
        return False


def _shrink(image: Image.Image) -> pyvips.Image:
    pixels = pyvips.Image.new_from_array(image.convert("RGB"))
    if (profile := image.info.get("icc_profile")) is not None:
        pixels = pixels.copy()
        pixels.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return pixels.thumbnail_image(LONG_SIDE, **_BOUNDS)
