"""Metadata in JPEG files: the segments before the first scan (ITU-T T.81, annex B).

Their contents: EXIF in APP1 (Exif 2.32, 4.7.2), XMP in APP1 (XMP part 3, 1.1.3), ICC profiles in
APP2 (ICC.1:2022, B.4), Photoshop's image resources with IPTC in APP13.
"""

import math
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType
from typing import BinaryIO, NamedTuple

from dropscale.coded_warning import CodedWarning, WarningCode
from dropscale.image.metadata import icc, iptc, xmp
from dropscale.image.metadata.exif import orientation_of, resolution_of
from dropscale.image.metadata.losses import has_further_pictures, lost, until_damaged
from dropscale.image.metadata.model import (
    MalformedMetadata,
    Metadata,
    PixelLayout,
    Resolution,
    Text,
)
from dropscale.image.metadata.streams import copy, read_exactly

_START, _SCAN, _END = 0xD8, 0xDA, 0xD9
_APP0, _APP1, _APP2, _APP11, _APP13, _APP14, _APP15 = 0xE0, 0xE1, 0xE2, 0xEB, 0xED, 0xEE, 0xEF
_COMMENT = 0xFE
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_MOST_IN_SEGMENT = 65_533
_SEGMENT_COST = 256
_MOST_MEMORY = 64 * 1024 * 1024
"""The memory limit in bytes of all segments, with an overhead for each."""

_JFIF = b"JFIF\0"
_DENSITY = ">BHH"
"""The unit, and the pixels per unit across and down; after the name and two bytes of version (ITU-T
T.871, 10.1)."""
_DENSITY_AT = len(_JFIF) + 2
_NO_DENSITY, _PER_INCH = (0, 1, 1), 1
_INCHES_PER_UNIT = MappingProxyType({1: 1.0, 2: 2.54})
_EXIF = b"Exif\0\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
_EXTENSION_HEAD = struct.Struct(">32sII")
"""The head of a part of extended XMP: its GUID, the size of all parts, and the offset of this one
(XMP part 3, 1.1.3.1)."""

_ICC = b"ICC_PROFILE\0"
_MPF = b"MPF\0"
_GAIN_MAP = b"urn:iso:std:iso:ts:21496:-1\0"
_HEAD_OF_JUMBF = 100
"""The bytes within which C2PA's first box states its type (C2PA 2.1, 11.1.4)."""

_COMMENT_KEYWORD, _MOST_COMMENTS = "Comment", 20
_MOST_XMP = _MOST_IN_SEGMENT - len(_XMP)
_RESOURCES = b"Photoshop 3.0\0"


class _Segment(NamedTuple):
    marker: int
    body: bytes

    @property
    def kind(self) -> str | None:
        """The kind of metadata in it, if it is one that is carried to results."""
        if self.marker == _APP1:
            if self.body[:6] == _EXIF:
                return "exif"
            return "xmp" if self._is(_XMP) else "extension" if self._is(_EXTENSION) else None
        if self.marker == _APP2 and self._is(_ICC):
            return "icc"
        if self.marker == _COMMENT:
            return "texts"
        return "iptc" if self.marker == _APP13 and self._is(_RESOURCES) else None

    @property
    def is_jfif(self) -> bool:
        """Whether it is the JFIF segment, which has the resolution."""
        whole = _DENSITY_AT + struct.calcsize(_DENSITY)
        return self.marker == _APP0 and self._is(_JFIF) and len(self.body) >= whole

    @property
    def is_descriptive(self) -> bool:
        """Whether the pixels look the same without it."""
        is_app = _APP1 <= self.marker <= _APP15 and self.marker != _APP14
        return (is_app and self.kind != "icc") or self.marker == _COMMENT

    def _is(self, name: bytes) -> bool:
        return self.body.startswith(name)


_PLAIN_JFIF = _Segment(_APP0, _JFIF + b"\1\2" + struct.pack(_DENSITY, *_NO_DENSITY) + bytes(2))


def layout(file: BinaryIO) -> PixelLayout:
    """Return the layout of a JPEG file's pixels.

    Raises:
        MalformedMetadata: its segments are damaged.
    """
    exif: bytes | None = None
    packet: bytes | None = None
    for segment in _segments(file, math.inf):
        kind = segment.kind
        if kind == "exif" and exif is None:
            exif = segment.body[len(_EXIF) :]
        elif kind == "xmp" and packet is None:
            packet = segment.body[len(_XMP) :]
        if segment.marker in _FRAMES and len(segment.body) >= 5:
            height, width = struct.unpack(">HH", segment.body[1:5])
            return PixelLayout(width, height, orientation_of(exif, packet))
    raise MalformedMetadata("a JPEG file without a frame")


def read(file: BinaryIO) -> Metadata:
    """Return the metadata of a JPEG file.

    Raises:
        MalformedMetadata: its segments are damaged.
    """
    found: dict[str, list[bytes]] = {}
    faults: list[CodedWarning] = []
    resolution = None
    for segment in until_damaged(_segments(file), faults):
        resolution = resolution or _resolution_in(segment)
        faults += _lost_by(segment)
        if segment.kind is not None:
            found.setdefault(segment.kind, []).append(segment.body)
    resources = b"".join(body[len(_RESOURCES) :] for body in found.get("iptc", ()))
    exif = found["exif"][0][len(_EXIF) :] if "exif" in found else None
    comments = found.get("texts", [])[:_MOST_COMMENTS]
    profile, packet = None, found["xmp"][0][len(_XMP) :] if "xmp" in found else None
    try:
        profile = _join_profile(found.get("icc", []))
    except MalformedMetadata as error:
        faults.append(icc.fault(error))
    packet, more = _with_extension(packet, found.get("extension", []))
    faults += more
    return Metadata(
        icc=profile,
        exif=exif,
        xmp=packet,
        iptc=iptc.iptc_in(resources) if resources else None,
        texts=tuple(Text(_COMMENT_KEYWORD, _decoded(body)) for body in comments) or None,
        resolution=resolution or resolution_of(exif),
        faults=tuple(dict.fromkeys(faults)),
    )


def _lost_by(segment: _Segment) -> Iterator[CodedWarning]:
    if segment.marker == _APP2 and segment.body.startswith(_MPF):
        if has_further_pictures(segment.body[len(_MPF) :]):
            yield lost(WarningCode.PICTURES_LOST)
    elif segment.marker == _APP2 and segment.body.startswith(_GAIN_MAP):
        yield lost(WarningCode.GAIN_MAP_LOST)
    elif segment.marker == _APP11 and b"c2pa" in segment.body[:_HEAD_OF_JUMBF]:
        yield lost(WarningCode.CREDENTIALS_LOST)


def _decoded(comment: bytes) -> str:
    try:
        return comment.decode().rstrip("\0")
    except UnicodeDecodeError:
        return comment.decode("latin-1").rstrip("\0")


def has_field_for_resolution(file: BinaryIO) -> bool:
    """Whether a file has JFIF's field for the resolution, or can get it."""
    segments = list(_segments(file))
    return any(segment.is_jfif for segment in segments) or _can_be_jfif(segments)


def channels(file: BinaryIO) -> int | None:
    """Return the number of channels: 1 grey, 3 colour, 4 CMYK."""
    for segment in _segments(file):
        if segment.marker in _FRAMES and len(segment.body) > 5:
            return segment.body[5]
    return None


def write(source: BinaryIO, target: BinaryIO, metadata: Metadata, *, strip: bool) -> Metadata:
    """Copy a JPEG file, replacing its metadata by the given kinds.

    With `strip` its own descriptive metadata is removed. Returns the metadata that does not fit.

    Raises:
        MalformedMetadata: its segments are damaged.
    """
    fitting, misfits = _fitting(metadata)
    replaced = {kind for kind in metadata.kinds if kind != "texts" or fitting.texts}
    head: list[_Segment] = []
    kept: list[_Segment] = []
    for segment in _segments(source):
        kind = "xmp" if segment.kind == "extension" else segment.kind
        is_replaced = kind in replaced or (strip and segment.is_descriptive)
        if not is_replaced:
            among = head if segment.marker == _APP0 and not kept else kept
            among.append(_with_resolution(segment, metadata.resolution))
    is_new = metadata.resolution is not None and not any(segment.is_jfif for segment in head)
    if is_new and _can_be_jfif([*head, *kept]):
        head.insert(0, _with_resolution(_PLAIN_JFIF, metadata.resolution))
    target.write(bytes([0xFF, _START]))
    for segment in (*head, *_segments_of(fitting), *kept):
        target.write(bytes([0xFF, segment.marker]))
        target.write((len(segment.body) + 2).to_bytes(2, "big") + segment.body)
    target.write(bytes([0xFF, _SCAN]))
    copy(source, target)
    return misfits


def _segments(file: BinaryIO, room: float = _MOST_MEMORY) -> Iterator[_Segment]:
    """Yield all segments before the first scan; then the file is after the scan's marker.

    `room` is the memory limit in bytes for a caller that keeps them all.
    """
    file.seek(0)
    if read_exactly(file, 2) != bytes([0xFF, _START]):
        raise MalformedMetadata("not a JPEG file")
    while True:
        if read_exactly(file, 1) != b"\xff":
            raise MalformedMetadata("a JPEG segment does not begin with a marker")
        marker = 0xFF
        while marker == 0xFF:
            (marker,) = read_exactly(file, 1)
        if marker == _SCAN:
            return
        if marker == _END:
            raise MalformedMetadata("a JPEG file without a scan")
        size = int.from_bytes(read_exactly(file, 2), "big")
        room -= size + _SEGMENT_COST
        if room < 0:
            raise MalformedMetadata("too many segments before the first scan")
        yield _Segment(marker, read_exactly(file, max(size - 2, 0)))


def _can_be_jfif(segments: Iterable[_Segment]) -> bool:
    """Whether the colours stay the same if JFIF (T.871, 10.1) is added to these segments."""
    frames = [segment.body for segment in segments if segment.marker in _FRAMES]
    if any(segment.marker == _APP14 for segment in segments) or not frames:
        return False
    components = frames[0][6::3]
    return components in {b"\1", b"\1\2\3"}


def _resolution_in(segment: _Segment) -> Resolution | None:
    if not segment.is_jfif:
        return None
    unit, x, y = struct.unpack_from(_DENSITY, segment.body, _DENSITY_AT)
    scale = _INCHES_PER_UNIT.get(unit)
    return Resolution(x * scale, y * scale) if scale and x and y else None


def _with_resolution(segment: _Segment, resolution: Resolution | None) -> _Segment:
    if not segment.is_jfif:
        return segment
    density = _NO_DENSITY
    if resolution is not None and all(0.5 < value < 65535 for value in resolution):
        density = _PER_INCH, round(resolution.x), round(resolution.y)
    body = bytearray(segment.body)
    struct.pack_into(_DENSITY, body, _DENSITY_AT, *density)
    return segment._replace(body=bytes(body))


def _join_profile(bodies: Iterable[bytes]) -> bytes | None:
    return icc.join((body[12], body[13], body[14:]) for body in bodies if len(body) > 14)


def _with_extension(
    packet: bytes | None, bodies: Sequence[bytes]
) -> tuple[bytes | None, list[CodedWarning]]:
    """Return a packet merged with its extension; an incomplete extension adds a warning."""
    guid = None
    if packet is not None:
        with suppress(MalformedMetadata):  # reported where the packet is used
            guid = xmp.points_at(packet)
    if guid is None and not bodies:
        return packet, []
    try:
        if packet is None or guid is None:
            raise MalformedMetadata("no XMP refers to it")
        return xmp.merge(packet, _join_extension(bodies, guid.encode())), []
    except MalformedMetadata as error:
        message = f"The original's extended XMP is damaged and not restored: {error}"
        return packet, [CodedWarning(WarningCode.METADATA_DAMAGED, message)]


def _join_extension(bodies: Iterable[bytes], guid: bytes) -> bytes:
    whole: int | None = None
    heads = len(_EXTENSION), len(_EXTENSION) + _EXTENSION_HEAD.size
    parts = [body for body in bodies if len(body) >= heads[1]]
    told = sorted(
        (offset, size, body[heads[1] :])
        for body in parts
        for name, size, offset in [_EXTENSION_HEAD.unpack_from(body, heads[0])]
        if name.upper() == guid.upper()
    )
    pieces = []
    at = 0
    for offset, size, data in told:
        if offset != at or size != (whole or size):
            raise MalformedMetadata("a part of it is missing, or there twice")
        whole = size
        pieces.append(data)
        at += len(data)
    joined = b"".join(pieces)
    if not joined or at != whole:
        raise MalformedMetadata("a part of it is missing")
    return joined


def _fitting(metadata: Metadata) -> tuple[Metadata, Metadata]:
    sizes = {
        "exif": len(_EXIF + (metadata.exif or b"")),
        "iptc": len(_RESOURCES + iptc.as_resources(metadata.iptc or b"")),
        "icc": len(metadata.icc or b"") // 255,
    }
    too_long = [kind for kind, size in sizes.items() if size > _MOST_IN_SEGMENT]
    if metadata.xmp is not None and len(metadata.xmp) > _MOST_XMP:
        try:
            xmp.split(metadata.xmp, _MOST_XMP)
        except MalformedMetadata:
            too_long.append("xmp")
    fitting = {"xmp", *sizes} - set(too_long)
    comments = tuple(one for one in metadata.texts or () if _is_comment(one))
    return (
        replace(metadata.without(*too_long), texts=comments or None),
        replace(metadata.without(*fitting), texts=texts_without_room(metadata)),
    )


def texts_without_room(metadata: Metadata) -> tuple[Text, ...] | None:
    """Return the texts that are not comments, or are too long for one."""
    return tuple(one for one in metadata.texts or () if not _is_comment(one)) or None


def _is_comment(text: Text) -> bool:
    is_short = len(text.text.encode(errors="replace")) <= _MOST_IN_SEGMENT
    return text.keyword == _COMMENT_KEYWORD and is_short


def _xmp_segments(packet: bytes) -> Iterator[_Segment]:
    if len(packet) <= _MOST_XMP:
        yield _Segment(_APP1, _XMP + packet)
        return
    main, extension, guid = xmp.split(packet, _MOST_XMP)
    yield _Segment(_APP1, _XMP + main)
    room = _MOST_IN_SEGMENT - len(_EXTENSION) - _EXTENSION_HEAD.size
    for at in range(0, len(extension), room):
        head = _EXTENSION_HEAD.pack(guid.encode(), len(extension), at)
        yield _Segment(_APP1, _EXTENSION + head + extension[at : at + room])


def _segments_of(metadata: Metadata) -> Iterator[_Segment]:
    if metadata.exif is not None:
        yield _Segment(_APP1, _EXIF + metadata.exif)
    if metadata.xmp is not None:
        yield from _xmp_segments(metadata.xmp)
    if metadata.iptc is not None:
        yield _Segment(_APP13, _RESOURCES + iptc.as_resources(metadata.iptc))
    for text in metadata.texts or ():
        yield _Segment(_COMMENT, text.text.encode(errors="replace"))
    if metadata.icc is not None:
        room = _MOST_IN_SEGMENT - len(_ICC) - 2
        parts = [metadata.icc[at : at + room] for at in range(0, len(metadata.icc), room)]
        for number, part in enumerate(parts, start=1):
            yield _Segment(_APP2, _ICC + bytes([number, len(parts)]) + part)
