"""What can be known of pixels, and asked of them, without decoding them in this process."""

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import BinaryIO

from dropscale.image.metadata.model import Metadata

MAX_DELTA_E = 3.0
"""The mean colour difference (CIEDE2000) from which a result is suspicious; docs/results.md says
what it was measured by."""

ALPHA_TYPES = frozenset({"avif", "png", "webp"})
"""The types that alpha can be given back in."""

QUALITY_BY_TYPE = MappingProxyType({"jpeg": 92, "webp": 90, "avif": 75})
"""The types that lose detail, and the quality (1 to 100) at which that is hard to see."""


class PixelsUnreadable(Exception):
    """The pixels could not be looked at: no decoder, no time, no memory, or a damaged file."""


@dataclass(frozen=True)
class ImageFile:
    """An image file that has a descriptor, and its type (as in `upscaler.EXTENSION_BY_TYPE`).

    `profile` is that of its pixels, where it is known; it counts before one that the file has.
    """

    file: BinaryIO
    type: str
    profile: bytes | None = None


@dataclass(frozen=True)
class Comparison:
    """A result beside its original.

    Attributes:
        fault: why the result does not decode; all else is then without meaning.
        delta_e: the mean colour difference (CIEDE2000) of both at the same size, where the
            original is opaque; None: the original cannot be decoded.
        is_blank: the result is of one colour, and the original is not known to be.
        is_upright: its pixels stand as they are to be seen.
        keeps_profile: its colours are those of the original's profile, not of sRGB.
        lost_alpha: the original has transparent parts, and the result has no alpha.
    """

    fault: str | None = None
    delta_e: float | None = None
    is_blank: bool = False
    is_upright: bool = True
    keeps_profile: bool = True
    lost_alpha: bool = False


@dataclass(frozen=True)
class Conversion:
    """How a result is to be written anew.

    Attributes:
        type: its new type.
        quality: from 1 to 100, for types that lose detail; None: that type's own.
        metadata: what it is to say, if its new type is one that can only be told now. Of what the
            result says itself only the profile stays.
    """

    type: str
    quality: int | None = None
    metadata: Metadata = field(default_factory=Metadata)
