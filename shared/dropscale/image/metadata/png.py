"""Metadata in PNG files: their chunks (PNG, third edition, section 11).

IPTC has no chunk of its own; it is stored as by ImageMagick, in a text that ExifTool and others
read.
"""

import struct
import zlib
from binascii import unhexlify
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import BinaryIO, NamedTuple

from dropscale.coded_warning import CodedWarning, WarningCode
from dropscale.image.metadata import iptc
from dropscale.image.metadata.colour import (
    HDR_BY_TRANSFER,
    Chromaticities,
    describe_hdr,
    profile_of_chromaticities,
    profile_of_code_points,
)
from dropscale.image.metadata.exif import orientation_of, resolution_of
from dropscale.image.metadata.losses import lost, unreadable, until_damaged
from dropscale.image.metadata.model import (
    MalformedMetadata,
    Metadata,
    PixelLayout,
    Resolution,
    Text,
)
from dropscale.image.metadata.streams import MAX_BLOB_BYTES, copy, read_exactly

_ALPHA_BIT = 4
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MOST_CHUNKS = 200_000
"""Enough: writers fill chunks of 8 KiB or more, and the largest image has 512 MB."""

_COLOUR_CHUNKS = frozenset({b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"cICP"})
_MOST_OF_COLOURS = 32
"""The bytes of cHRM, the longest of these chunks except profiles."""
_PER_UNIT = 100_000
_TEXT_CHUNKS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_RAW_PROFILE = b"Raw profile type"
_MOST_TEXTS, _MOST_OF_TEXT, _MOST_OF_KEYWORD = 100, 1024 * 1024, 79
_LOST_BY_CHUNK = {b"acTL": WarningCode.ANIMATION_LOST, b"caBX": WarningCode.CREDENTIALS_LOST}
_DESCRIPTIVE_CHUNKS = _TEXT_CHUNKS | {b"eXIf", b"tIME"}
_XMP = b"XML:com.adobe.xmp"
_KIND_BY_KEYWORD = {
    _XMP: "xmp",
    b"Raw profile type xmp": "xmp",
    b"Raw profile type iptc": "iptc",
    b"Raw profile type exif": "exif",
    b"Raw profile type APP1": "exif",
}
_EXIF_MARKER = b"Exif\0\0"
_METRES_PER_INCH = 0.0254
_PER_METRE = 1


class _Chunk(NamedTuple):
    """A chunk's type, and the offset and size of its data."""

    type: bytes
    at: int
    size: int


def layout(file: BinaryIO) -> PixelLayout:
    """Return the layout of a PNG file's pixels.

    Raises:
        MalformedMetadata: it does not begin with its header.
    """
    chunks = _chunks(file)
    header = next(chunks)
    if header.type != b"IHDR":
        raise MalformedMetadata("a PNG file does not begin with its header")
    file.seek(header.at)
    width, height, colour_type = struct.unpack(">IIxB", read_exactly(file, 10))
    alpha, is_before_pixels = bool(colour_type & _ALPHA_BIT), True
    found: dict[str, bytes | None] = {}
    with suppress(MalformedMetadata):  # a file that is cut off later is still read so far
        for chunk in chunks:
            kind = _kind_of(file, chunk)
            alpha |= chunk.type == b"tRNS"
            is_before_pixels &= chunk.type != b"IDAT"
            if kind in {"exif", "xmp"} and kind not in found:
                found[kind] = _value_of(file, chunk)
            if len(found) == 2 and not is_before_pixels:
                break
    orientation = orientation_of(found.get("exif"), found.get("xmp"))
    return PixelLayout(width, height, orientation, alpha)


def read(file: BinaryIO) -> Metadata:
    """Return the metadata of a PNG file.

    Raises:
        MalformedMetadata: its chunks are damaged.
    """
    found: dict[str, bytes] = {}
    colours: dict[bytes, bytes] = {}
    texts: list[Text] = []
    faults: list[CodedWarning] = []
    resolution = None
    for chunk in until_damaged(_chunks(file), faults):
        if (code := _LOST_BY_CHUNK.get(chunk.type)) is not None:
            faults.append(lost(code))
        if chunk.type in _COLOUR_CHUNKS and chunk.size <= _MOST_OF_COLOURS:
            file.seek(chunk.at)
            colours.setdefault(chunk.type, read_exactly(file, chunk.size))
        if chunk.type == b"pHYs" and chunk.size == 9:
            file.seek(chunk.at)
            resolution = _resolution_in(read_exactly(file, chunk.size))
        kind = _kind_of(file, chunk)
        if kind is not None and kind not in found:
            value = _value_of(file, chunk)
            if value is None:
                faults.append(unreadable(kind))
            else:
                found[kind] = value
        if kind is None and chunk.type in _TEXT_CHUNKS:
            is_room = len(texts) < _MOST_TEXTS and chunk.size <= _MOST_OF_TEXT
            text = _text_of(file, chunk) if is_room else None
            if text is not None:
                texts.append(text)
            elif not _keyword_of(file, chunk).startswith(_RAW_PROFILE):
                faults.append(lost(WarningCode.TEXTS_LOST))
    faults += _lost_by_header(file, colours)
    # cICP takes precedence, then a profile, then sRGB.
    if (profile := _profile_by_tags(colours, has_profile="icc" in found)) is not None:
        found["icc"] = profile
    resolution = resolution or resolution_of(found.get("exif"))
    told = tuple(texts) or None
    return Metadata.of(found, resolution, dict.fromkeys(faults), told)


def _lost_by_header(file: BinaryIO, colours: Mapping[bytes, bytes]) -> Iterator[CodedWarning]:
    if bits(file) > 8:
        yield lost(WarningCode.BITS_LOST)
    code_points = colours.get(b"cICP", b"")
    if len(code_points) == 4 and (hdr := HDR_BY_TRANSFER.get(code_points[1])) is not None:
        yield describe_hdr(hdr)


def _profile_by_tags(colours: Mapping[bytes, bytes], *, has_profile: bool) -> bytes | None:
    code_points = colours.get(b"cICP", b"")
    if len(code_points) == 4:
        return profile_of_code_points(code_points[0], code_points[1])
    if has_profile or b"sRGB" in colours or not colours.keys() & {b"gAMA", b"cHRM"}:
        return None
    told, space = colours.get(b"gAMA", b""), colours.get(b"cHRM", b"")
    gamma = int.from_bytes(told, "big") / _PER_UNIT if len(told) == 4 else None
    pairs = None
    if len(space) == 32:
        values = [value / _PER_UNIT for value in struct.unpack(">8I", space)]
        pairs = Chromaticities(*zip(values[::2], values[1::2], strict=True))
    return profile_of_chromaticities(pairs, gamma)


def bits(file: BinaryIO) -> int:
    """Return the number of bits per channel."""
    file.seek(len(_SIGNATURE) + 8 + 8)
    return read_exactly(file, 1)[0]


def channels(file: BinaryIO) -> int:
    """Return the number of channels without alpha: 1 grey, 3 colour."""
    file.seek(len(_SIGNATURE) + 8 + 9)
    (colour_type,) = read_exactly(file, 1)
    return 3 if colour_type & 2 else 1


def declares_colour(file: BinaryIO) -> bool:
    """Whether the file declares its colours by other means than a profile."""
    return any(chunk.type in {b"sRGB", b"cICP"} for chunk in _chunks(file))


def write(source: BinaryIO, target: BinaryIO, metadata: Metadata, *, strip: bool) -> Metadata:
    """Copy a PNG file, replacing its metadata by the given kinds.

    With `strip` its own descriptive metadata is removed. Returns the metadata that does not fit.

    Raises:
        MalformedMetadata: its chunks are damaged.
    """
    keywords = {_encoded_keyword(one) for one in metadata.texts or ()}
    target.write(_SIGNATURE)
    for chunk in _chunks(source):
        is_replaced = _kind_of(source, chunk) in metadata.kinds
        is_replaced |= metadata.icc is not None and chunk.type in _COLOUR_CHUNKS
        is_replaced |= chunk.type == b"pHYs"
        is_replaced |= chunk.type in _TEXT_CHUNKS and _keyword_of(source, chunk) in keywords
        is_replaced |= strip and chunk.type in _DESCRIPTIVE_CHUNKS
        if not is_replaced:
            source.seek(chunk.at - 8)
            copy(source, target, chunk.size + 12)
        if chunk.type == b"IHDR":
            for name, data in _chunks_of(metadata):
                checksum = zlib.crc32(name + data)
                target.write(struct.pack(">I", len(data)) + name + data)
                target.write(struct.pack(">I", checksum))
    return Metadata()


def _chunks(file: BinaryIO) -> Iterator[_Chunk]:
    """Yield all chunks; the caller may read elsewhere in the file between two chunks."""
    file.seek(0)
    if file.read(len(_SIGNATURE)) != _SIGNATURE:
        raise MalformedMetadata("not a PNG file")
    at = len(_SIGNATURE)
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        size, name = struct.unpack(">I4s", read_exactly(file, 8))
        yield _Chunk(name, at + 8, size)
        at += size + 12
        if name == b"IEND":
            return
    raise MalformedMetadata(f"more than {_MOST_CHUNKS:,} PNG chunks")


def _kind_of(file: BinaryIO, chunk: _Chunk) -> str | None:
    if chunk.type == b"iCCP":
        return "icc"
    if chunk.type == b"eXIf":
        return "exif"
    if chunk.type not in _TEXT_CHUNKS:
        return None
    return _KIND_BY_KEYWORD.get(_keyword_of(file, chunk))


def _keyword_of(file: BinaryIO, chunk: _Chunk) -> bytes:
    file.seek(chunk.at)
    return file.read(min(chunk.size, 80)).partition(b"\0")[0]


def _encoded_keyword(text: Text) -> bytes:
    return text.keyword.encode("latin-1", errors="replace")


def _text_of(file: BinaryIO, chunk: _Chunk) -> Text | None:
    """Return a readable text; None: it cannot be read, or is another program's packet."""
    keyword = _keyword_of(file, chunk)
    if not 1 <= len(keyword) <= _MOST_OF_KEYWORD or keyword.startswith(_RAW_PROFILE):
        return None
    try:
        value = _value_of(file, chunk)
        encoding = "utf-8" if chunk.type == b"iTXt" else "latin-1"
        return None if value is None else Text(keyword.decode("latin-1"), value.decode(encoding))
    except (MalformedMetadata, UnicodeDecodeError):
        return None


def _value_of(file: BinaryIO, chunk: _Chunk) -> bytes | None:
    """Return the metadata in a chunk; None: it cannot be read, or is far too long."""
    if chunk.size > MAX_BLOB_BYTES:
        return None
    file.seek(chunk.at)
    with suppress(zlib.error, ValueError, IndexError):
        data = read_exactly(file, chunk.size)
        if chunk.type == b"eXIf":
            return data
        keyword, _, rest = data.partition(b"\0")
        text = _inflate(rest[1:]) if chunk.type in {b"iCCP", b"zTXt"} else rest
        if chunk.type == b"iTXt":
            is_compressed = rest[0]
            text = rest[2:].split(b"\0", 2)[2]
            text = _inflate(text) if is_compressed else text
        if keyword.startswith(_RAW_PROFILE):
            return _raw_profile(text, _KIND_BY_KEYWORD[keyword])
        return text
    return None


def _raw_profile(text: bytes, kind: str) -> bytes | None:
    # A line feed, the name, the length, and the bytes in hexadecimal, over many lines.
    _, _, _, digits = text.split(b"\n", 3)
    data = unhexlify(digits.translate(None, b" \t\r\n"))
    if kind == "iptc" and data.startswith(b"8BIM"):
        return iptc.iptc_in(data)
    return data.removeprefix(_EXIF_MARKER) if kind == "exif" else data


def _inflate(data: bytes) -> bytes:
    inflater = zlib.decompressobj()
    inflated = inflater.decompress(data, MAX_BLOB_BYTES)
    if not inflater.eof:
        raise MalformedMetadata("a text is cut off, or far too long")
    return inflated


def _resolution_in(data: bytes) -> Resolution | None:
    x, y, unit = struct.unpack(">IIB", data)
    if unit != _PER_METRE or not x or not y:
        return None
    return Resolution(_per_inch(x), _per_inch(y))


def _per_inch(per_metre: int) -> float:
    """Return pixels per inch, whole if that gives the same value: 300 are 11,811 per metre."""
    exact = per_metre * _METRES_PER_INCH
    is_whole = round(round(exact) / _METRES_PER_INCH) == per_metre
    return round(exact) if is_whole else exact


def _chunks_of(metadata: Metadata) -> Iterator[tuple[bytes, bytes]]:
    if metadata.resolution is not None:
        x, y = (round(value / _METRES_PER_INCH) for value in metadata.resolution)
        if max(x, y) < 1 << 31:
            yield b"pHYs", struct.pack(">IIB", x, y, _PER_METRE)
    if metadata.icc is not None:
        yield b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc)
    if metadata.exif is not None:
        yield b"eXIf", metadata.exif
    if metadata.xmp is not None:
        yield b"iTXt", _XMP + b"\0\0\0\0\0" + metadata.xmp
    for told in metadata.texts or ():
        keyword = _encoded_keyword(told)
        try:
            yield b"tEXt", keyword + b"\0" + told.text.encode("latin-1")
        except UnicodeEncodeError:
            yield b"iTXt", keyword + b"\0\0\0\0\0" + told.text.encode(errors="replace")
    if metadata.iptc is not None:
        resources = iptc.as_resources(metadata.iptc)
        lines = [resources.hex()[at : at + 72] for at in range(0, 2 * len(resources), 72)]
        text = f"\niptc\n{len(resources):8}\n" + "\n".join(lines) + "\n"
        yield b"zTXt", b"Raw profile type iptc\0\0" + zlib.compress(text.encode())
