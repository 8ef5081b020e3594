"""Types for working with pixels, without decoding them in this process."""

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import BinaryIO

from dropscale.image.metadata.model import Metadata

MAX_DELTA_E = 3.0
"""The mean colour difference (CIEDE2000) above which a result is suspicious; docs/results.md has
the measurements."""

ALPHA_TYPES = frozenset({"avif", "png", "webp"})
"""The types in which alpha can be restored."""

QUALITY_BY_TYPE = MappingProxyType({"jpeg": 92, "webp": 90, "avif": 75})
"""The lossy types, and the quality (1 to 100) at which the loss is hard to see."""


class PixelsUnreadable(Exception):
    """The pixels could not be decoded: no decoder, no time, no memory, or a damaged file."""


@dataclass(frozen=True)
class ImageFile:
    """An image file that has a descriptor, and its type (as in `upscaler.EXTENSION_BY_TYPE`).

    `profile` is that of its pixels, if known; it takes precedence over one in the file.
    """

    file: BinaryIO
    type: str
    profile: bytes | None = None


@dataclass(frozen=True)
class Comparison:
    """A result compared with its original.

    Attributes:
        fault: why the result does not decode; then the other fields mean nothing.
        delta_e: the mean colour difference (CIEDE2000) of both at the same size, where the
            original is opaque; None: the original cannot be decoded.
        is_blank: the result has one colour, and the original is not known to have only one.
        is_upright: its pixels are stored upright.
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
    """How to write a result again.

    Attributes:
        type: its new type.
        quality: from 1 to 100, for lossy types; None: that type's own.
        metadata: its metadata, if it can be written into the new type only now. Of the result's own
            metadata only the profile stays.
    """

    type: str
    quality: int | None = None
    metadata: Metadata = field(default_factory=Metadata)
