"""Checks ICC profiles (ICC.1:2022, section 7.2)."""

import struct
from collections.abc import Iterable
from types import MappingProxyType

from dropscale.coded_warning import CodedWarning, WarningCode
from dropscale.image.metadata.model import MalformedMetadata

_CHANNELS_BY_SPACE = MappingProxyType({b"GRAY": 1, b"RGB ": 3, b"CMYK": 4})
_HEADER_SIZE = 128
_TAG = struct.Struct(">4sII")
"""A row of the tag table: name, offset and size of the value (7.3)."""

_MOST_PADDING, _MOST_TAGS = 3, 100


def channels_of(profile: bytes) -> int | None:
    """Return the number of channels of a profile; None: it is not a profile, or of another kind."""
    if profile[36:40] != b"acsp":
        return None
    return _CHANNELS_BY_SPACE.get(profile[16:20])


def fault(error: MalformedMetadata) -> CodedWarning:
    """Return the warning about a damaged profile."""
    message = f"The original's colour profile is damaged and not restored: {error}"
    return CodedWarning(WarningCode.PROFILE_DAMAGED, message)


def require_whole(profile: bytes) -> None:
    """Check a profile: its header, its length (padding is allowed) and its tags.

    Raises:
        MalformedMetadata: one of them is wrong.
    """
    size = int.from_bytes(profile[:4], "big")
    if len(profile) < _HEADER_SIZE or profile[36:40] != b"acsp":
        raise MalformedMetadata("it is not a profile")
    if not size <= len(profile) <= size + _MOST_PADDING:
        raise MalformedMetadata(f"it has {len(profile):,} bytes, and should have {size:,}")
    count = int.from_bytes(profile[_HEADER_SIZE : _HEADER_SIZE + 4], "big")
    table = profile[_HEADER_SIZE + 4 :][: count * _TAG.size]
    if not 0 < count <= _MOST_TAGS or len(table) < count * _TAG.size:
        raise MalformedMetadata(f"it claims to have {count:,} tags")
    tags = list(_TAG.iter_unpack(table))
    has_doubles = len({name for name, _, _ in tags}) < count
    if has_doubles or any(begin + length > size for _, begin, length in tags):
        raise MalformedMetadata("its tags do not fit into it")


def join(parts: Iterable[tuple[int, int, bytes]]) -> bytes | None:
    """Join the parts of a profile, each with its number from 1 and their count (annex B.4).

    Returns None if there are no parts.

    Raises:
        MalformedMetadata: a part is missing, duplicate, or one too many.
    """
    found = sorted(parts)
    if not found:
        return None
    numbers, counts = [number for number, _, _ in found], {count for _, count, _ in found}
    if len(counts) > 1 or numbers != list(range(1, counts.pop() + 1)):
        raise MalformedMetadata("a part of it is missing, or there twice")
    return b"".join(data for _, _, data in found)
