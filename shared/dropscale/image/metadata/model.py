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


class Resolution(NamedTuple):
    """How many pixels are to be printed on an inch, across and down."""

    x: float
    y: float


@dataclass(frozen=True)
class Metadata:
    """The metadata of one image file; None: it has none of that kind.

    Attributes:
        icc: an ICC profile.
        exif: EXIF as a TIFF structure, without the `Exif` marker that JPEG puts before it.
        xmp: an XMP packet.
        iptc: IPTC-IIM records.
        resolution: by the file's own field, else by its EXIF.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    resolution: Resolution | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        """The names of what there is of packets, which the resolution is none of."""
        names = [field.name for field in fields(self) if field.name != "resolution"]
        return tuple(name for name in names if getattr(self, name) is not None)

    def without(self, *kinds: str) -> Self:
        """Return the rest."""
        return replace(self, **dict.fromkeys(kinds))

    def or_else(self, other: "Metadata") -> "Metadata":
        """Return this, and what another has of packets that this has none of."""
        missing = {kind: getattr(other, kind) for kind in other.kinds if kind not in self.kinds}
        return replace(self, **missing)
