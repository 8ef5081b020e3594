"""Metadata in WebP files: their RIFF chunks (RFC 9649, section 2)."""

import struct
from collections.abc import Iterator
from contextlib import suppress
from types import MappingProxyType
from typing import BinaryIO, NamedTuple

from dropscale.coded_warning import CodedWarning, WarningCode
from dropscale.image.metadata.exif import orientation_of, resolution_of
from dropscale.image.metadata.losses import lost, unreadable, until_damaged
from dropscale.image.metadata.model import MalformedMetadata, Metadata, PixelLayout
from dropscale.image.metadata.streams import MAX_BLOB_BYTES, copy, read_exactly, size_of

_KIND_BY_CHUNK = MappingProxyType({b"ICCP": "icc", b"EXIF": "exif", b"XMP ": "xmp"})
_LOST_BY_CHUNK = MappingProxyType(
    {b"ANIM": WarningCode.ANIMATION_LOST, b"C2PA": WarningCode.CREDENTIALS_LOST}
)
_FLAG_BY_KIND = MappingProxyType({"icc": 0x20, "exif": 0x08, "xmp": 0x04})
_ALPHA_FLAG, _ANIMATION_FLAG = 0x10, 0x02
_MOST_CHUNKS = 100_000
_EXIF_MARKER = b"Exif\0\0"
_KEY_FRAME = b"\x9d\x01\x2a"


class _Chunk(NamedTuple):
    """A chunk's type, and the offset and size of its data."""

    type: bytes
    at: int
    size: int


def layout(file: BinaryIO) -> PixelLayout:
    """Return the layout of a WebP file's pixels.

    Raises:
        MalformedMetadata: its first chunk is damaged.
    """
    chunks = _chunks(file)
    first = next(chunks, None)
    if first is None:
        raise MalformedMetadata("a WebP file without a chunk")
    file.seek(first.at)
    head = read_exactly(file, 10 if first.type != b"VP8L" else 5)
    if first.type == b"VP8X":
        width, height = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (4, 7))
        found = _descriptions_among(file, chunks)  # whatever the flags say
        orientation = orientation_of(found.get("exif"), found.get("xmp"))
        return PixelLayout(width, height, orientation, bool(head[0] & _ALPHA_FLAG))
    if first.type == b"VP8L":
        # After the signature: 14 bits of width, 14 of height, each minus one; one bit of alpha.
        (packed,) = struct.unpack("<xI", head)
        sides = (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
        return PixelLayout(*sides, alpha=bool(packed >> 28 & 1))
    if first.type != b"VP8 " or head[3:6] != _KEY_FRAME:
        raise MalformedMetadata("a WebP file does not begin with an image")
    # RFC 6386, section 9.1: the two highest bits of each are a display scale, which nobody uses.
    width, height = struct.unpack_from("<HH", head, 6)
    return PixelLayout(width & 0x3FFF, height & 0x3FFF)


def read(file: BinaryIO) -> Metadata:
    """Return the metadata of a WebP file.

    Raises:
        MalformedMetadata: its chunks are damaged.
    """
    found: dict[str, bytes] = {}
    faults: list[CodedWarning] = []
    for chunk in until_damaged(_chunks(file), faults):
        if (code := _LOST_BY_CHUNK.get(chunk.type)) is not None:
            faults.append(lost(code))
        kind = _KIND_BY_CHUNK.get(chunk.type)
        if kind is not None and kind not in found:
            file.seek(chunk.at)
            data = file.read(min(chunk.size, MAX_BLOB_BYTES))
            if len(data) < chunk.size:
                faults.append(unreadable(kind))
            else:
                found[kind] = data.removeprefix(_EXIF_MARKER) if kind == "exif" else data
    return Metadata.of(found, resolution_of(found.get("exif")), dict.fromkeys(faults))


def write(
    source: BinaryIO, target: BinaryIO, metadata: Metadata, size: tuple[int, int], *, strip: bool
) -> Metadata:
    """Copy a WebP file of `size` (width, height), replacing its metadata by the given kinds.

    With `strip` its own descriptive metadata is removed. Returns the metadata that does not fit.

    Raises:
        MalformedMetadata: its chunks are damaged.
    """
    chunks = list(_chunks(source))
    before = {_KIND_BY_CHUNK[chunk.type] for chunk in chunks if chunk.type in _KIND_BY_CHUNK}
    dropped = set(metadata.kinds) | ({"exif", "xmp"} if strip else set())
    kinds = before - dropped | set(metadata.kinds) & _FLAG_BY_KIND.keys()
    target.write(b"RIFF\0\0\0\0WEBP")
    _write_chunk(target, b"VP8X", _extended_header(source, chunks, kinds, size))
    if metadata.icc is not None:
        _write_chunk(target, b"ICCP", metadata.icc)
    for chunk in chunks:
        if chunk.type != b"VP8X" and _KIND_BY_CHUNK.get(chunk.type) not in dropped:
            source.seek(chunk.at - 8)
            copy(source, target, 8 + chunk.size)
            target.write(bytes(chunk.size % 2))
    if metadata.exif is not None:
        _write_chunk(target, b"EXIF", metadata.exif)
    if metadata.xmp is not None:
        _write_chunk(target, b"XMP ", metadata.xmp)
    end = target.tell()
    target.seek(4)
    target.write(struct.pack("<I", end - 8))
    target.seek(end)
    return Metadata(iptc=metadata.iptc, texts=metadata.texts)


def _chunks(file: BinaryIO) -> Iterator[_Chunk]:
    """Yield all chunks; the caller may read elsewhere in the file between two chunks."""
    file.seek(0)
    riff, size, webp = struct.unpack("<4sI4s", read_exactly(file, 12))
    if (riff, webp) != (b"RIFF", b"WEBP"):
        raise MalformedMetadata("not a WebP file")
    at, end = 12, min(size + 8, size_of(file))
    for _ in range(_MOST_CHUNKS):
        if at + 8 > end:
            return
        file.seek(at)
        name, length = struct.unpack("<4sI", read_exactly(file, 8))
        yield _Chunk(name, at + 8, length)
        at += 8 + length + length % 2
    raise MalformedMetadata(f"more than {_MOST_CHUNKS:,} WebP chunks")


def _descriptions_among(file: BinaryIO, chunks: Iterator[_Chunk]) -> dict[str, bytes]:
    """Return the first EXIF and XMP; fewer if the file ends too early."""
    found: dict[str, bytes] = {}
    with suppress(MalformedMetadata):
        for chunk in chunks:
            kind = _KIND_BY_CHUNK.get(chunk.type)
            if kind in {"exif", "xmp"} and kind not in found and chunk.size <= MAX_BLOB_BYTES:
                file.seek(chunk.at)
                found[kind] = read_exactly(file, chunk.size).removeprefix(_EXIF_MARKER)
                if len(found) == 2:
                    break
    return found


def _extended_header(
    source: BinaryIO, chunks: list[_Chunk], kinds: set[str], size: tuple[int, int]
) -> bytes:
    flags = sum(_FLAG_BY_KIND[kind] for kind in kinds)
    for chunk in chunks:
        source.seek(chunk.at)
        if chunk.type == b"VP8X":
            flags |= read_exactly(source, 1)[0] & (_ALPHA_FLAG | _ANIMATION_FLAG)
        elif chunk.type == b"VP8L":
            # After the signature: 14 bits of width, 14 of height, one for alpha.
            (packed,) = struct.unpack("<xI", read_exactly(source, 5))
            flags |= _ALPHA_FLAG if packed >> 28 & 1 else 0
    width, height = (side - 1 for side in size)
    return struct.pack("<I", flags) + width.to_bytes(3, "little") + height.to_bytes(3, "little")


def _write_chunk(target: BinaryIO, name: bytes, data: bytes) -> None:
    target.write(name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2))
