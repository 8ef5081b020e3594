"""The kinds of metadata that are carried from an original to its result."""

from dataclasses import dataclass, fields, replace
from typing import NamedTuple, Self


class MalformedMetadata(ValueError):
    """A container, or what is in it, is not built as its format says."""


class PixelLayout(NamedTuple):
    """An image's width and height in pixels as they are stored, and their EXIF orientation."""

    width: int
    height: int
    orientation: int = 1


@dataclass(frozen=True)
class Metadata:
    """The metadata of one image file; None: it has none of that kind.

    Attributes:
        icc: an ICC profile.
        exif: EXIF as a TIFF structure, without the `Exif` marker that JPEG puts before it.
        xmp: an XMP packet.
        iptc: IPTC-IIM records.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        """The names of what there is."""
        return tuple(field.name for field in fields(self) if getattr(self, field.name) is not None)

    def without(self, *kinds: str) -> Self:
        """Return the rest."""
        return replace(self, **dict.fromkeys(kinds))
