"""HEIC and AVIF files: the size of their primary item, and the metadata that describes it.

ISO/IEC 23008-12 (HEIF) for items, properties and metadata; ISO/IEC 14496-12 for the boxes around
them. A primary item is an image or a grid of other images; its properties state its size, and how
every decoder crops and rotates it.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from types import MappingProxyType
from typing import BinaryIO, NamedTuple

from dropscale.coded_warning import CodedWarning, WarningCode
from dropscale.image.boxes import Box, Fields, boxes_in, content_of, first_box
from dropscale.image.metadata.colour import (
    HDR_BY_TRANSFER,
    describe_hdr,
    profile_of_code_points,
)
from dropscale.image.metadata.exif import resolution_of
from dropscale.image.metadata.losses import lost, unreadable
from dropscale.image.metadata.model import MalformedMetadata, Metadata, PixelLayout
from dropscale.image.metadata.streams import MAX_BLOB_BYTES, read_exactly, size_of

_XMP_TYPE = b"application/rdf+xml"
_EXIF_MARKER = b"Exif\0\0"
_ITEM_HEAD = len(_EXIF_MARKER).to_bytes(4, "big") + _EXIF_MARKER
"""The bytes before the TIFF structure: the length of the marker that follows (annex A.2.1)."""

_IN_FILE, _IN_IDAT = 0, 1
_MOST_EXTENTS = 20_000
"""The limit for the pieces of all items: a short box can list any number of them."""

_UNSPECIFIED = 2
_MOST_BITS = 8
_PICTURES = frozenset({b"hvc1", b"av01", b"grid", b"iden", b"iovl", b"avc1", b"jpeg"})
_ALPHA_MARKS = (b"auxiliary:alpha", b"auxid:1\0")
_LOST_BY_AUXILIARY = MappingProxyType(
    {
        b"hdrgainmap": WarningCode.GAIN_MAP_LOST,
        b"auxiliary:depth": WarningCode.DEPTH_MAP_LOST,
        b"auxid:2": WarningCode.DEPTH_MAP_LOST,
    }
)
"""By a common part of the types: Apple's, MPEG's (ISO/IEC 23091-2) and HEVC's own."""

_LOST_BY_BOX = MappingProxyType(
    {b"moov": WarningCode.ANIMATION_LOST, b"mpvd": WarningCode.VIDEO_LOST}
)
_C2PA = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_FULL_BOX = 4
"""The bytes of version and flags before the content of most boxes."""


class _Item(NamedTuple):
    """An item: its number, its type and, for the type `mime`, its content type."""

    id: int
    type: bytes
    content_type: bytes = b""


def layout(file: BinaryIO) -> PixelLayout:
    """Return the size of a file's image as decoded: cropped and rotated.

    Raises:
        MalformedMetadata: the file is damaged, or has no primary item.
    """
    heif = _HeifFile(file)
    size: tuple[int, int] | None = None
    for name, content in heif.properties(heif.primary, b"ispe", b"clap", b"irot"):
        fields = Fields(content)
        if name == b"ispe":
            fields.take(_FULL_BOX)
            size = fields.number(4), fields.number(4)
        elif name == b"clap" and size is not None:
            size = _cut(fields, size[0]), _cut(fields, size[1])
        elif name == b"irot" and size is not None and fields.number(1) & 1:
            size = size[1], size[0]
    if size is None:
        raise MalformedMetadata("the primary item has no size")
    alpha = False
    with suppress(MalformedMetadata):
        alpha = heif.has_alpha
    return PixelLayout(*size, alpha=alpha)


def read(file: BinaryIO) -> Metadata:
    """Return the metadata of a file's primary item.

    Raises:
        MalformedMetadata: the file is damaged.
    """
    heif = _HeifFile(file)
    found: dict[str, bytes] = {}
    profile, faults = _colours(heif)
    for item in heif.descriptions():
        kind = "exif" if item.type == b"Exif" else "xmp"
        if kind not in found:
            data = heif.data(item)
            if data is None:
                faults.append(unreadable(kind))
            else:
                found[kind] = _tiff_in(data) if kind == "exif" else data
    if profile is not None:
        found["icc"] = profile
    with suppress(MalformedMetadata):
        faults += dict.fromkeys(_losses(file, heif))
    return Metadata.of(found, resolution_of(found.get("exif")), faults)


def is_whole(file: BinaryIO) -> bool:
    """Whether a file has all bytes of its items.

    Raises:
        MalformedMetadata: the file is damaged.
    """
    return _HeifFile(file).is_whole


def overwrite_exif(file: BinaryIO, exif: bytes) -> None:
    """Replace the first item's EXIF that is at least as long.

    Raises:
        MalformedMetadata: there is no such item, or the file is damaged.
    """
    heif = _HeifFile(file)
    data = _ITEM_HEAD + exif
    for item in heif.descriptions():
        at, size = heif.place_of(item)
        if item.type == b"Exif" and size >= len(data):
            file.seek(at)
            file.write(data.ljust(size, b"\0"))
            return
    raise MalformedMetadata("there is no room for the EXIF")


class _HeifFile:
    """The items of a file. Raises `MalformedMetadata` from every method, if it is damaged."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        meta = first_box(file, b"meta")
        self._boxes: dict[bytes, Box] = {}
        for box in boxes_in(file, meta, _FULL_BOX):
            self._boxes.setdefault(box.type, box)
        version, fields = self._open(b"pitm")
        self.primary = fields.number(2 if version == 0 else 4)

    def properties(self, item: int, *types: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield an item's properties of some types, in the order in which they apply."""
        for index in self._associations.get(item, ()):
            # Numbers begin at 1; 0 means none.
            if 0 < index <= len(self._property_boxes):
                box = self._property_boxes[index - 1]
                if box.type in types:
                    yield box.type, content_of(self._file, box, MAX_BLOB_BYTES)

    @property
    def has_alpha(self) -> bool:
        """Whether an auxiliary item is the alpha of the primary one."""
        return any(
            mark in content
            for name, source, targets in self._references
            if name == b"auxl" and self.primary in targets
            for _, content in self.properties(source, b"auxC")
            for mark in _ALPHA_MARKS
        )

    def first_part(self, item: int) -> int | None:
        """Return the first part of an item, such as a grid's first tile."""
        for name, source, targets in self._references:
            if name == b"dimg" and source == item and targets:
                return targets[0]
        return None

    def descriptions(self) -> Iterator[_Item]:
        """Yield the items with metadata of the primary item, and those that name no item."""
        described = {item: named for name, item, named in self._references if name == b"cdsc"}
        for item in self._items():
            is_metadata = item.type == b"Exif" or item.content_type == _XMP_TYPE
            if is_metadata and self.primary in described.get(item.id, (self.primary,)):
                yield item

    def data(self, item: _Item) -> bytes | None:
        """Return an item's bytes; None: too many, cut off, or in another file."""
        extents = self._locations.get(item.id, ())
        if sum(size for _, size in extents) > MAX_BLOB_BYTES or not self._holds(extents):
            return None
        parts = []
        for at, size in extents:
            self._file.seek(at)
            parts.append(read_exactly(self._file, size))
        return b"".join(parts) or None

    def place_of(self, item: _Item) -> tuple[int, int]:
        """Return offset and size of an item that is in one piece; else zeros."""
        extents = self._locations.get(item.id, ())
        return extents[0] if len(extents) == 1 else (0, 0)

    def further_items(self) -> Iterator[WarningCode]:
        """Yield the codes of losses by items that are neither the primary one nor parts of it."""
        known = {self.primary}
        for name, source, targets in self._references:
            # Tiles of a grid; thumbnails and auxiliary images of another item.
            known.update(targets if name == b"dimg" else ())
            known.update([source] if name in {b"thmb", b"auxl"} else ())
        for item in self._items():
            if item.type == b"tmap":
                yield WarningCode.GAIN_MAP_LOST
            elif item.id not in known and item.type in _PICTURES:
                yield WarningCode.PICTURES_LOST
            for _, content in self.properties(item.id, b"auxC"):
                name = content[_FULL_BOX:].partition(b"\0")[0]
                yield from (code for mark, code in _LOST_BY_AUXILIARY.items() if mark in name)

    @property
    def is_whole(self) -> bool:
        """Whether the file has all bytes of all items."""
        return all(map(self._holds, self._locations.values()))

    def _holds(self, extents: Iterable[tuple[int, int]]) -> bool:
        end = size_of(self._file)
        return all(at + size <= end for at, size in extents)

    def _items(self) -> Iterator[_Item]:
        if (info := self._boxes.get(b"iinf")) is None:
            return
        for entry in boxes_in(self._file, info, _FULL_BOX + self._id_size(info)):
            fields = Fields(content_of(self._file, entry))
            version_of_entry = fields.number(1)
            fields.take(3)
            if entry.type != b"infe" or version_of_entry < 2:
                continue
            number = fields.number(2 if version_of_entry == 2 else 4)
            fields.take(2)
            name = fields.take(4)
            fields.text()
            yield _Item(number, name, fields.text() if name == b"mime" else b"")

    @cached_property
    def _property_boxes(self) -> list[Box]:
        container = first_box(self._file, b"ipco", self._properties)
        return list(boxes_in(self._file, container))

    @cached_property
    def _properties(self) -> Box:
        if b"iprp" not in self._boxes:
            raise MalformedMetadata("there is no iprp box")
        return self._boxes[b"iprp"]

    @cached_property
    def _associations(self) -> Mapping[int, list[int]]:
        """The numbers of each item's properties."""
        found: dict[int, list[int]] = {}
        for box in boxes_in(self._file, self._properties):
            if box.type != b"ipma":
                continue
            fields = Fields(content_of(self._file, box))
            version, flags = fields.number(1), fields.number(3)
            id_size, index_size = (2 if version == 0 else 4), (2 if flags & 1 else 1)
            # The highest bit of a number marks an essential property.
            mask = 0x7FFF if flags & 1 else 0x7F
            for _ in range(fields.number(4)):
                item = fields.number(id_size)
                indexes = [fields.number(index_size) & mask for _ in range(fields.number(1))]
                found.setdefault(item, indexes)
        return found

    @cached_property
    def _references(self) -> list[tuple[bytes, int, list[int]]]:
        """Type, source and targets of each reference between items."""
        if (box := self._boxes.get(b"iref")) is None:
            return []
        file = self._file
        found: list[tuple[bytes, int, list[int]]] = []
        id_size = self._id_size(box)
        for reference in boxes_in(file, box, _FULL_BOX):
            fields = Fields(content_of(file, reference))
            source = fields.number(id_size)
            targets = [fields.number(id_size) for _ in range(fields.number(2))]
            found.append((reference.type, source, targets))
        return found

    @cached_property
    def _locations(self) -> Mapping[int, list[tuple[int, int]]]:
        """The offsets and sizes of each item's bytes in this file."""
        if b"iloc" not in self._boxes:
            return {}
        version, fields = self._open(b"iloc")
        sizes, more = fields.number(1), fields.number(1)
        offset_size, length_size, base_size = sizes >> 4, sizes & 15, more >> 4
        index_size = more & 15 if version in {1, 2} else 0
        id_size = 4 if version == 2 else 2
        found: dict[int, list[tuple[int, int]]] = {}
        left = _MOST_EXTENTS
        for _ in range(fields.number(id_size)):
            item = fields.number(id_size)
            method = fields.number(2) & 15 if version in {1, 2} else _IN_FILE
            is_elsewhere = fields.number(2) != 0
            base, count = fields.number(base_size), fields.number(2)
            left -= count
            if left < 0:
                raise MalformedMetadata(f"items in more than {_MOST_EXTENTS:,} pieces")
            extents = []
            for _ in range(count):
                fields.take(index_size)
                extents.append((base + fields.number(offset_size), fields.number(length_size)))
            if not is_elsewhere and method in {_IN_FILE, _IN_IDAT}:
                found[item] = self._locate(method, extents)
        return found

    def _locate(self, method: int, extents: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
        begin, end = 0, size_of(self._file)
        if method == _IN_IDAT:
            idat = self._boxes.get(b"idat", Box(b"idat", 0, 0))
            begin, end = idat.at, idat.end
        located = [(begin + offset, size) for offset, size in extents]
        if len(located) == 1 and located[0][1] == 0:  # this means the rest of the file
            at = located[0][0]
            return [(at, max(end - at, 0))]
        return located

    def _id_size(self, box: Box) -> int:
        """Return the size of item numbers in a box, by its version."""
        self._file.seek(box.at)
        return 2 if read_exactly(self._file, 1) == b"\0" else 4

    def _open(self, name: bytes) -> tuple[int, Fields]:
        """Return a box's version, and the fields after version and flags."""
        if name not in self._boxes:
            raise MalformedMetadata(f"there is no {name.decode()} box")
        fields = Fields(content_of(self._file, self._boxes[name]))
        version = fields.number(1)
        fields.take(3)
        return version, fields


def _losses(file: BinaryIO, heif: _HeifFile) -> Iterator[CodedWarning]:
    for box in boxes_in(file):
        if (code := _LOST_BY_BOX.get(box.type)) is not None:
            yield lost(code)
        if box.type == b"uuid" and box.end - box.at >= len(_C2PA):
            file.seek(box.at)
            if read_exactly(file, len(_C2PA)) == _C2PA:
                yield lost(WarningCode.CREDENTIALS_LOST)
    for _, content in heif.properties(heif.primary, b"pixi"):
        if max(content[_FULL_BOX + 1 :], default=0) > _MOST_BITS:
            yield lost(WarningCode.BITS_LOST)
    for code in heif.further_items():
        yield lost(code)


def _colours(heif: _HeifFile) -> tuple[bytes | None, list[CodedWarning]]:
    """Return the profile of the primary item, else that of its first tile; and warnings.

    Without a profile, its code points are used (`nclx`: ISO/IEC 14496-12, 12.1.5).
    """
    told: dict[bytes, bytes] = {}
    for item in (heif.primary, heif.first_part(heif.primary)):
        for _, content in heif.properties(item, b"colr") if item is not None else ():
            told.setdefault(b"prof" if content[:4] == b"rICC" else content[:4], content[4:])
    primaries, transfer = _UNSPECIFIED, _UNSPECIFIED
    if len(told.get(b"nclx", b"")) >= 4:
        primaries, transfer = struct.unpack_from(">HH", told[b"nclx"])
    hdr = HDR_BY_TRANSFER.get(transfer)
    faults = [] if hdr is None else [describe_hdr(hdr)]
    return told.get(b"prof") or profile_of_code_points(primaries, transfer), faults


def _tiff_in(data: bytes) -> bytes:
    """Return the TIFF structure in an item of EXIF (ISO/IEC 23008-12, annex A.2.1)."""
    offset = int.from_bytes(data[:4], "big")
    return data[4 + offset :].removeprefix(_EXIF_MARKER)


def _cut(fields: Fields, side: int) -> int:
    """Return a side of the visible part (`clap`: ISO/IEC 14496-12, section 12.1.4)."""
    numerator, denominator = fields.number(4), fields.number(4)
    if not denominator:
        raise MalformedMetadata("the visible part has no size")
    return min(side, round(numerator / denominator))
