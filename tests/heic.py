"""HEIC files as phones write them, made without an encoder: their pixels are stored uncompressed.

HEVC (ITU-T H.265) can code a block as raw samples, `pcm_flag`. Each block of 32 x 32 pixels is a
slice of its own here, so that the arithmetic coder before and behind its samples always starts
anew, and what it writes is always the same.
"""

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

_BLOCK = 32
_BEFORE_SAMPLES = bytes.fromhex("8680")
"""part_mode 2Nx2N in its first context, pcm_flag 1, and zeros up to a byte."""
_BEHIND_SAMPLES = bytes.fromhex("fe80")
"""end_of_slice_segment_flag 1, the stop bit, and zeros up to a byte."""

_SRGB_COLOURS = struct.pack(">I4s4sHHHB", 19, b"colr", b"nclx", 1, 13, 6, 0x80)
"""BT.709's primaries, sRGB's curve, BT.601's matrix, all of 0 to 255."""

_PROFILE = bytes.fromhex("03700000009000000000005a")
"""Main Still Picture, level 3."""


@dataclass(frozen=True)
class Item:
    """An item of a HEIF file: its type, bytes and properties, and what it refers to by number."""

    type: bytes
    data: bytes = b""
    properties: Sequence[bytes] = ()
    references: tuple[tuple[bytes, Sequence[int]], ...] = ()
    in_idat: bool = False


def box(name: bytes, *contents: bytes) -> bytes:
    """Return a box."""
    body = b"".join(contents)
    return struct.pack(">I", len(body) + 8) + name + body


def full_box(name: bytes, *contents: bytes, version: int = 0, flags: int = 0) -> bytes:
    """Return a box with a version and flags."""
    return box(name, struct.pack(">I", version << 24 | flags), *contents)


def ispe(width: int, height: int) -> bytes:
    """Return the property that tells an item's size."""
    return full_box(b"ispe", struct.pack(">II", width, height))


def irot(quarters: int) -> bytes:
    """Return the property that turns an item anticlockwise."""
    return box(b"irot", bytes([quarters]))


def imir(axis: int) -> bytes:
    """Return the property that mirrors an item: 0 top for bottom, 1 left for right."""
    return box(b"imir", bytes([axis]))


def clap(width: int, height: int) -> bytes:
    """Return the property that shows only a part, in the middle."""
    return box(b"clap", struct.pack(">8I", width, 1, height, 1, 0, 1, 0, 1))


def icc_of(profile: bytes) -> bytes:
    """Return the property that is a colour profile."""
    return box(b"colr", b"prof", profile)


def coded(image: Image.Image, *properties: bytes) -> Item:
    """Return an item of HEVC that shows an image of even sides, with further properties."""
    stream, configuration = _hevc(image)
    needed = (box(b"hvcC", configuration), ispe(*image.size), _SRGB_COLOURS)
    return Item(b"hvc1", stream, (*needed, *properties))


def heif(
    items: Sequence[Item],
    *,
    primary: int = 1,
    brands: tuple[bytes, ...] = (b"heic", b"mif1", b"heic"),
) -> bytes:
    """Return a HEIF file of items, whose numbers are 1, 2 and so on."""
    head = box(b"ftyp", brands[0], bytes(4), *brands[1:])
    known = list(dict.fromkeys(each for item in items for each in item.properties))
    idat = b"".join(item.data for item in items if item.in_idat)

    def meta(mdat_at: int) -> bytes:
        at = {False: mdat_at, True: 0}
        locations, associations, references = b"", b"", b""
        for number, item in enumerate(items, start=1):
            locations += struct.pack(">HHHH", number, item.in_idat, 0, 1)
            locations += struct.pack(">II", at[item.in_idat], len(item.data))
            at[item.in_idat] += len(item.data)
            indexes = [known.index(each) + 1 for each in item.properties]
            associations += struct.pack(">HB", number, len(indexes)) + bytes(indexes)
            for name, targets in item.references:
                numbers = struct.pack(f">HH{len(targets)}H", number, len(targets), *targets)
                references += box(name, numbers)
        return full_box(
            b"meta",
            full_box(b"hdlr", bytes(4), b"pict", bytes(13)),
            full_box(b"pitm", struct.pack(">H", primary)),
            full_box(b"iloc", struct.pack(">HH", 0x4400, len(items)), locations, version=1),
            full_box(b"iinf", struct.pack(">H", len(items)), *_entries(items)),
            full_box(b"iref", references),
            box(
                b"iprp",
                box(b"ipco", *known),
                full_box(b"ipma", struct.pack(">I", len(items)), associations),
            ),
            box(b"idat", idat),
        )

    mdat_at = len(head) + len(meta(0)) + 8
    return head + meta(mdat_at) + box(b"mdat", *(item.data for item in items if not item.in_idat))


def photo(
    image: Image.Image,
    *properties: bytes,
    exif: bytes | None = None,
    xmp: bytes | None = None,
    tiles: int = 1,
) -> bytes:
    """Return a photo as phones write it: with metadata, and of several tiles in each direction.

    Properties are those of the whole photo.
    """
    if tiles == 1:
        items = [coded(image, *properties)]
    else:
        width, height = (side // tiles for side in image.size)
        corners = [(x * width, y * height) for y in range(tiles) for x in range(tiles)]
        parts = [coded(image.crop((x, y, x + width, y + height))) for x, y in corners]
        grid = struct.pack(">BBBBHH", 0, 0, tiles - 1, tiles - 1, *image.size)
        made_of = ((b"dimg", range(2, 2 + len(parts))),)
        items = [Item(b"grid", grid, (ispe(*image.size), *properties), made_of, True), *parts]
    described = ((b"cdsc", [1]),)
    if exif is not None:
        items.append(Item(b"Exif", struct.pack(">I", 6) + b"Exif\0\0" + exif, (), described))
    if xmp is not None:
        items.append(Item(b"mime", xmp, (), described))
    return heif(items)


def _entries(items: Sequence[Item]) -> list[bytes]:
    ends = {b"mime": b"\0application/rdf+xml\0"}
    return [
        full_box(
            b"infe", struct.pack(">HH", number, 0), item.type, ends.get(item.type, b"\0"), version=2
        )
        for number, item in enumerate(items, start=1)
    ]


class _Bits:
    """Bits as HEVC's parameter sets and headers are written, most significant first."""

    def __init__(self) -> None:
        self._bits = ""

    def put(self, *fields: tuple[int, int]) -> "_Bits":
        """Add numbers, each with its count of bits."""
        for value, count in fields:
            self._bits += f"{value:0{count}b}" if count else ""
        return self

    def golomb(self, *values: int) -> "_Bits":
        """Add numbers in the code that the standard calls ue(v)."""
        for value in values:
            digits = f"{value + 1:b}"
            self._bits += "0" * (len(digits) - 1) + digits
        return self

    def close(self) -> bytes:
        """Return all bits, a one, and zeros up to a byte."""
        bits = self._bits + "1"
        bits += "0" * (-len(bits) % 8)
        return int(bits, 2).to_bytes(len(bits) // 8, "big")


def _hevc(image: Image.Image) -> tuple[bytes, bytes]:
    """Return an image as an HEVC stream, and as the configuration that a decoder needs before."""
    width, height = (-(-side // _BLOCK) * _BLOCK for side in image.size)
    planes = _planes(image, width, height)
    sets = [_nal(32, _video_set()), _nal(33, _sequence_set(image.size)), _nal(34, _picture_set())]
    columns, count = width // _BLOCK, width * height // _BLOCK**2
    slices = b""
    for index in range(count):
        x, y = index % columns, index // columns
        samples = b"".join(
            plane[y * side : (y + 1) * side, x * side : (x + 1) * side].tobytes()
            for plane, side in zip(planes, (_BLOCK, _BLOCK // 2, _BLOCK // 2), strict=True)
        )
        data = _slice_header(index, count) + _BEFORE_SAMPLES + samples + _BEHIND_SAMPLES
        nal = _nal(19, data)
        slices += struct.pack(">I", len(nal)) + nal
    arrays = b"".join(struct.pack(">BHH", nal[0] >> 1, 1, len(nal)) + nal for nal in sets)
    configuration = b"\x01" + _PROFILE + bytes.fromhex("f000fcfdf8f800000f03") + arrays
    return slices, configuration


def _planes(image: Image.Image, width: int, height: int) -> list[np.ndarray]:
    """Return luma and both chromas at half the size, filled up to whole blocks."""
    view = np.asarray(image.convert("YCbCr"))
    filled = np.pad(
        view, ((0, height - image.height), (0, width - image.width), (0, 0)), mode="edge"
    )
    halves = filled.reshape(height // 2, 2, width // 2, 2, 3).mean(axis=(1, 3)).round()
    chromas = halves.astype(np.uint8)
    return [filled[..., 0], chromas[..., 1], chromas[..., 2]]


def _nal(number: int, data: bytes) -> bytes:
    escaped = re.sub(rb"\0\0(?=[\0-\3])", b"\0\0\3", data)
    return bytes([number << 1, 1]) + escaped


def _profile() -> tuple[int, int]:
    return int.from_bytes(_PROFILE, "big"), 8 * len(_PROFILE)


def _video_set() -> bytes:
    bits = _Bits().put((0, 4), (3, 2), (0, 6), (0, 3), (1, 1), (0xFFFF, 16), _profile(), (1, 1))
    return bits.golomb(0, 0, 0).put((0, 6)).golomb(0).put((0, 2)).close()


def _sequence_set(size: tuple[int, int]) -> bytes:
    width, height = (-(-side // _BLOCK) * _BLOCK for side in size)
    bits = _Bits().put((0, 4), (0, 3), (1, 1), _profile()).golomb(0, 1, width, height)
    bits.put((1, 1)).golomb(0, (width - size[0]) // 2, 0, (height - size[1]) // 2)
    bits.golomb(0, 0, 0).put((1, 1)).golomb(0, 0, 0)
    # Blocks of 32, transforms of 4 to 32; raw samples of 8 bits in blocks of 32.
    bits.golomb(2, 0, 0, 3, 0, 0).put((0, 3), (1, 1), (7, 4), (7, 4)).golomb(2, 0).put((1, 1))
    return bits.golomb(0).put((0, 5)).close()


def _picture_set() -> bytes:
    bits = _Bits().golomb(0, 0).put((0, 7)).golomb(0, 0, 0).put((0, 3)).golomb(0, 0)
    # No filter at the edges of blocks: samples are to come out as they went in.
    return bits.put((0, 7), (1, 1), (0, 1), (1, 1), (0, 2)).golomb(0).put((0, 2)).close()


def _slice_header(index: int, count: int) -> bytes:
    bits = _Bits().put((index == 0, 1), (0, 1)).golomb(0)
    if index:
        bits.put((index, (count - 1).bit_length()))
    return bits.golomb(2, 0).close()
