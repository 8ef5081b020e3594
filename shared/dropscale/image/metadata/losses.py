"""Warnings about what an original has and its result lacks: before payment, and in manifests."""

import io
from collections.abc import Iterator, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import TypeVar

from dropscale.coded_warning import CodedWarning, WarningCode
from dropscale.image.metadata import xmp
from dropscale.image.metadata.ifd import TiffFile
from dropscale.image.metadata.model import MalformedMetadata

_MESSAGES: Mapping[WarningCode, str] = MappingProxyType(
    {
        WarningCode.GAIN_MAP_LOST: "The original has a gain map (HDR), and its result has none",
        WarningCode.DEPTH_MAP_LOST: "The original has a depth map, and its result has none",
        WarningCode.VIDEO_LOST: "The original has a video (motion photo), and its result has none",
        WarningCode.ANIMATION_LOST: "The original is animated; its result is a single image",
        WarningCode.PICTURES_LOST: (
            "The original has further pictures or pages; only one is upscaled"
        ),
        WarningCode.BITS_LOST: (
            "The original has more than 8 bits a channel, and its result may have 8"
        ),
        WarningCode.TEXTS_LOST: "The original has more texts than can be restored",
        WarningCode.CREDENTIALS_LOST: (
            "The original's content credentials (C2PA) are not restored: they are valid only for "
            "its own bytes"
        ),
    }
)
_MARKS_IN_XMP: Mapping[WarningCode, tuple[str, ...]] = MappingProxyType(
    {
        WarningCode.GAIN_MAP_LOST: (
            "http://ns.adobe.com/hdr-gain-map/1.0/",
            "http://ns.apple.com/HDRGainMap/1.0/",
        ),
        WarningCode.DEPTH_MAP_LOST: (
            # Dynamic Depth; the map of http://ns.google.com/photos/1.0/depthmap/ is in the packet.
            "http://ns.google.com/photos/dd/1.0/",
        ),
    }
)
"""By code: the beginnings of the namespaces that such a packet declares."""

_Part = TypeVar("_Part")
_MP_ENTRIES, _MP_ENTRY_SIZE = 0xB002, 16
_LARGE_THUMBNAIL = 0x01
"""The first byte of the type of an image that is a smaller copy (CIPA DC-007, 5.2.3.3)."""


def lost(code: WarningCode) -> CodedWarning:
    """Return the warning about something that is lost."""
    return CodedWarning(code, _MESSAGES[code])


def unreadable(kind: str) -> CodedWarning:
    """Return the warning about an original's packet that cannot be read."""
    code = WarningCode.PROFILE_DAMAGED if kind == "icc" else WarningCode.METADATA_DAMAGED
    name = "colour profile" if kind == "icc" else kind.upper()
    return CodedWarning(code, f"The original's {name} is damaged or far too long: not restored")


def until_damaged(parts: Iterator[_Part], faults: list[CodedWarning]) -> Iterator[_Part]:
    """Yield a file's parts until damage is found, which is then added to `faults`."""
    try:
        yield from parts
    except MalformedMetadata as error:
        message = f"The original's metadata is damaged: {error}"
        faults.append(CodedWarning(WarningCode.METADATA_DAMAGED, message))


def lost_by_xmp(packet: bytes) -> Iterator[CodedWarning]:
    """Yield warnings about maps and videos elsewhere in the file that a packet refers to."""
    told = xmp.readable_values(packet)
    for code, marks in _MARKS_IN_XMP.items():
        if any(text.startswith(marks) for _, text in told):
            yield lost(code)
    if any(key in xmp.TELLS_OF_VIDEO and text.strip() == "1" for key, text in told):
        yield lost(WarningCode.VIDEO_LOST)


def has_further_pictures(mpf: bytes) -> bool:
    """Whether an MPF index lists images that are not smaller copies of the first."""
    with suppress(MalformedMetadata):
        tiff = TiffFile(io.BytesIO(mpf))
        entry = tiff.directory(tiff.offset(tiff.first_at)).entries.get(_MP_ENTRIES)
        told = b"" if entry is None else tiff.value(entry)
        attributes = [
            int.from_bytes(told[at : at + 4], "little" if tiff.order == "<" else "big")
            for at in range(_MP_ENTRY_SIZE, len(told), _MP_ENTRY_SIZE)
        ]
        return any(each >> 16 & 0xFF != _LARGE_THUMBNAIL for each in attributes)
    return False
