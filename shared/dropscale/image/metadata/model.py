"""The kinds of metadata that are carried from an original to its result."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, Self

from dropscale.coded_warning import CodedWarning

_NO_PACKETS = frozenset({"resolution", "faults"})


class MalformedMetadata(ValueError):
    """A container, or its content, does not follow its format."""


class PixelLayout(NamedTuple):
    """An image's width and height in pixels as stored, and their EXIF orientation.

    `alpha`: whether its header declares an alpha channel, or a transparent colour.
    """

    width: int
    height: int
    orientation: int = 1
    alpha: bool = False


class Resolution(NamedTuple):
    """Pixels per inch in print, across and down."""

    x: float
    y: float


class Text(NamedTuple):
    """A text with a keyword, as in PNG; a JPEG's comment has the keyword `Comment`."""

    keyword: str
    text: str


@dataclass(frozen=True)
class Metadata:
    """The metadata of one image file; None: it has none of that kind.

    Attributes:
        icc: an ICC profile; if the file declares its colours otherwise, an equivalent one.
        exif: EXIF as a TIFF structure, without the `Exif` marker that JPEG puts before it.
        xmp: an XMP packet.
        iptc: IPTC-IIM records.
        texts: PNG texts and JPEG comments.
        resolution: from the file's own field, else from its EXIF.
        faults: warnings about what is damaged or cannot be kept, and so is lost.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    texts: tuple[Text, ...] | None = None
    resolution: Resolution | None = None
    faults: tuple[CodedWarning, ...] = ()

    @classmethod
    def of(
        cls,
        packets: Mapping[str, bytes],
        resolution: Resolution | None,
        faults: Iterable[CodedWarning] = (),
        texts: tuple[Text, ...] | None = None,
    ) -> Self:
        """Return metadata with packets by the names of their kinds."""
        icc, exif, xmp, iptc = (packets.get(kind) for kind in ("icc", "exif", "xmp", "iptc"))
        return cls(icc, exif, xmp, iptc, texts, resolution, tuple(faults))

    @property
    def kinds(self) -> tuple[str, ...]:
        """The names of the packets that it has, such as ICC and EXIF."""
        names = [field.name for field in fields(self) if field.name not in _NO_PACKETS]
        return tuple(name for name in names if getattr(self, name) is not None)

    def without(self, *kinds: str) -> Self:
        """Return it without these kinds."""
        gone: dict[str, Any] = dict.fromkeys(kinds)
        return replace(self, **gone)

    def or_else(self, other: "Metadata") -> "Metadata":
        """Return this, with the packets of `other` that this lacks."""
        missing: dict[str, Any] = {
            kind: getattr(other, kind) for kind in other.kinds if kind not in self.kinds
        }
        return replace(self, **missing)
