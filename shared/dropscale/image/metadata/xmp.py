"""Corrects XMP for another file than the one it was written for (ISO 16684-1).

Packets are untrusted: they are parsed without a DTD, so without own entities, and within limits.
They are written in UTF-8 with the same elements, attributes and prefixes.
"""

import codecs
import hashlib
import heapq
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from dropscale.image.metadata.model import MalformedMetadata
from dropscale.image.metadata.streams import MAX_BLOB_BYTES

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_TIFF, _EXIF = "http://ns.adobe.com/tiff/1.0/", "http://ns.adobe.com/exif/1.0/"
_NOTE = "http://ns.adobe.com/xmp/note/"
_POINTER = (_NOTE, "HasExtendedXMP")
_ORIENTATION = (_TIFF, "Orientation")
_OF_OTHER_PICTURES = frozenset(
    {
        "http://ns.adobe.com/hdr-gain-map/1.0/",
        "http://ns.apple.com/HDRGainMap/1.0/",
        "http://ns.google.com/photos/1.0/container/",
        "http://ns.google.com/photos/dd/1.0/container/",
        "http://ns.google.com/photos/dd/1.0/device/",
    }
)
"""The namespaces of properties about images that a result does not have: a gain map, a depth map,
the video of a motion photo."""

_CAMERA = "http://ns.google.com/photos/1.0/camera/"
TELLS_OF_VIDEO = frozenset({(_CAMERA, "MotionPhoto"), (_CAMERA, "MicroVideo")})
"""The properties that are 1 if a video follows the image (Google's motion photo format, 1.0, and
its predecessor)."""

_DESCRIPTION, _ABOUT = (_RDF, "Description"), (_RDF, "about")

_MOST_DEPTH, _MOST_PARTS, _MOST_PREFIXES = 100, 200_000, 200
"""Parts are elements and the text between them; histories and masks have some thousands."""

_MOST_MOVED = 200
"""The limit for properties moved into an extension: only a few are long."""

_POINTER_ROOM = 200
"""The bytes of the pointer to an extension."""

_BYTE_ORDER_MARKS: Mapping[bytes, str] = MappingProxyType(
    {
        codecs.BOM_UTF8: "utf-8",
        codecs.BOM_UTF32_LE: "utf-32-le",
        codecs.BOM_UTF32_BE: "utf-32-be",
        codecs.BOM_UTF16_LE: "utf-16-le",
        codecs.BOM_UTF16_BE: "utf-16-be",
        b"<\0\0\0": "utf-32-le",
        b"\0\0\0<": "utf-32-be",
        b"<\0": "utf-16-le",
        b"\0<": "utf-16-be",
    }
)
"""The encoding by the first bytes, longer ones first; otherwise it is UTF-8."""

_Key = tuple[str, str]
"""A namespace, and a name in it."""


class Split(NamedTuple):
    """A packet in two parts: the main one, and the extension that it refers to by `guid`."""

    main: bytes
    extension: bytes
    guid: str


def adapt(xmp: bytes, orientation: int, width: int, height: int) -> bytes:
    """Return an XMP packet for a file of another orientation and size.

    References to an extension and to further images in the file are removed.

    Raises:
        MalformedMetadata: it is not XML, has a DTD, or is far too large.
    """
    numbers = {
        _ORIENTATION: orientation,
        (_TIFF, "ImageWidth"): width,
        (_TIFF, "ImageLength"): height,
        (_EXIF, "PixelXDimension"): width,
        (_EXIF, "PixelYDimension"): height,
    }
    packet = _parse(xmp)
    for element in packet.all():
        for name in element.attributes:
            if (number := numbers.get(element.key_of(name))) is not None:
                element.attributes[name] = str(number)
        if (number := numbers.get(element.key)) is not None:
            element.children[:] = [str(number)]
        element.remove(_is_untrue)
    return packet.encoded()


def _is_untrue(key: _Key) -> bool:
    namespace, name = key
    is_of_video = namespace == _CAMERA and name.startswith(("MotionPhoto", "MicroVideo"))
    return key == _POINTER or is_of_video or namespace in _OF_OTHER_PICTURES


def readable_values(xmp: bytes) -> list[tuple[_Key, str]]:
    """Return all text properties of a packet, and its namespace declarations.

    Returns none if it cannot be read.
    """
    try:
        return [value for element in _parse(xmp).all() for value in element.values()]
    except MalformedMetadata:
        return []


def orientation_of(xmp: bytes) -> int | None:
    """Return the orientation in a packet, 1 to 8; None: there is none, or it cannot be read."""
    told = (text.strip() for key, text in readable_values(xmp) if key == _ORIENTATION)
    return next((int(text) for text in told if text in set("12345678")), None)


def points_at(xmp: bytes) -> str | None:
    """Return the GUID of a packet's extension; None: it has none.

    Raises:
        MalformedMetadata: as for `adapt`.
    """
    for element in _parse(xmp).all():
        for key, text in element.values():
            if key == _POINTER:
                return text.strip()
    return None


def merge(xmp: bytes, extension: bytes) -> bytes:
    """Merge a packet with its extension (XMP part 3, 1.1.3.1).

    Raises:
        MalformedMetadata: as for `adapt`, for either; or there is no RDF.
    """
    packet = _parse(xmp)
    target = _rdf_of(packet)
    for element in packet.all():
        element.remove(lambda key: key == _POINTER)
    for child in _rdf_of(_parse(extension)).children:
        if isinstance(child, _Element):
            child.declare_scope()
            target.children.append(child)
    return packet.encoded()


def split(xmp: bytes, room: int) -> Split:
    """Split a packet in two, the first of which has at most `room` bytes.

    The longest properties are moved into the second.

    Raises:
        MalformedMetadata: as for `adapt`; or the first part is still too long.
    """
    packet = _parse(xmp)
    rdf = _rdf_of(packet)
    moved: list[_Element] = []
    left = len(packet.encoded()) + _POINTER_ROOM - room
    found = (one for described in rdf.descriptions() for one in described.properties())
    for size, owner, what in heapq.nlargest(_MOST_MOVED, found, key=lambda one: one[0]):
        if left <= 0:
            break
        moved.append(owner.take(what))
        left -= size
    root = rdf.alike({"xmlns:" + rdf.prefix: _RDF} if rdf.prefix else {"xmlns": _RDF})
    root.children.extend(moved)
    extension = root.encoded()
    # The standard requires this digest.
    guid = hashlib.md5(extension, usedforsecurity=False).hexdigest().upper()
    first = next(rdf.descriptions(), None)
    if first is None:
        raise MalformedMetadata("XMP without a description")
    first.attributes |= {"xmlns:xmpNote": _NOTE, "xmpNote:HasExtendedXMP": guid}
    main = packet.encoded()
    if len(main) > room:
        raise MalformedMetadata("XMP is far too long")
    return Split(main, extension, guid)


@dataclass(slots=True)
class _Element:
    """An element; children that are texts or instructions are stored as markup."""

    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: "list[_Element | str]" = field(default_factory=list)
    scope: Mapping[str, str] = field(default_factory=dict)
    """The namespaces in scope, by prefix."""

    @property
    def prefix(self) -> str:
        return self.name.rpartition(":")[0]

    @property
    def key(self) -> _Key:
        prefix, _, local = self.name.rpartition(":")
        return self.scope.get(prefix, ""), local

    def key_of(self, attribute: str) -> _Key:
        """Return an attribute's key; one without a prefix is in no namespace."""
        prefix, _, local = attribute.rpartition(":")
        return (self.scope.get(prefix, "") if prefix else ""), local

    def all(self) -> "Iterator[_Element]":
        """Yield this element and all elements in it."""
        left = [self]
        while left:
            element = left.pop()
            yield element
            left.extend(child for child in element.children if isinstance(child, _Element))

    def values(self) -> Iterator[tuple[_Key, str]]:
        """Yield the keys and texts of attributes, and of elements that contain only text."""
        yield from ((self.key_of(name), text) for name, text in self.attributes.items())
        for child in self.children:
            if isinstance(child, _Element):
                texts = [text for text in child.children if isinstance(text, str)]
                yield child.key, "".join(texts)

    def remove(self, is_meant: Callable[[_Key], bool]) -> None:
        """Remove attributes and children by their keys."""
        for name in [name for name in self.attributes if is_meant(self.key_of(name))]:
            del self.attributes[name]
        self.children[:] = [
            child
            for child in self.children
            if not isinstance(child, _Element) or not is_meant(child.key)
        ]

    def descriptions(self) -> "Iterator[_Element]":
        """Yield the RDF descriptions."""
        for child in self.children:
            if isinstance(child, _Element) and child.key == _DESCRIPTION:
                yield child

    def properties(self) -> "Iterator[tuple[int, _Element, _Element | str]]":
        """Yield properties: size in bytes, their description, and the element or attribute."""
        for name, text in self.attributes.items():
            if not _declares(name) and self.key_of(name) != _ABOUT:
                yield len(quoteattr(text).encode()), self, name
        for child in self.children:
            if isinstance(child, _Element):
                yield len(child.encoded()), self, child

    def take(self, what: "_Element | str") -> "_Element":
        """Remove a property of a description, and return a description with only that property."""
        about = {
            name: text for name, text in self.attributes.items() if self.key_of(name) == _ABOUT
        }
        alone = self.alike(about)
        if isinstance(what, str):
            alone.attributes[what] = self.attributes.pop(what)
        else:
            self.children[:] = [child for child in self.children if child is not what]
            alone.children.append(what)
        alone.declare_scope()
        return alone

    def alike(self, attributes: dict[str, str]) -> "_Element":
        """Return an empty element of the same name with other attributes."""
        return _Element(self.name, dict(attributes), [], self.scope)

    def declare_scope(self) -> None:
        """Declare here all namespaces of the elements around it."""
        for prefix, namespace in self.scope.items():
            if prefix != "xml":
                self.attributes.setdefault(f"xmlns:{prefix}" if prefix else "xmlns", namespace)

    def encoded(self) -> bytes:
        """Return it in UTF-8."""
        pieces: list[str] = []
        self._write(pieces)
        return "".join(pieces).encode(errors="replace")

    def _write(self, pieces: list[str]) -> None:
        if self.name:
            told = "".join(f" {name}={_quoted(text)}" for name, text in self.attributes.items())
            pieces.append(f"<{self.name}{told}{'' if self.children else '/'}>")
        for child in self.children:
            if isinstance(child, _Element):
                child._write(pieces)  # no deeper than `_MOST_DEPTH`
            else:
                pieces.append(child)
        if self.name and self.children:
            pieces.append(f"</{self.name}>")


class _Builder:
    """Builds elements from a parser's events."""

    def __init__(self) -> None:
        self.document = _Element("")
        self._open = [self.document]
        self._left = _MOST_PARTS

    def attach(self, parser: expat.XMLParserType) -> None:
        parser.buffer_text = True
        parser.StartElementHandler = self._begin
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = lambda text: self._add(escape(text))
        parser.CommentHandler = lambda text: self._add(f"<!--{text}-->")
        parser.ProcessingInstructionHandler = lambda name, text: self._add(f"<?{name} {text}?>")
        parser.StartDoctypeDeclHandler = self._refuse

    def _begin(self, name: str, attributes: dict[str, str]) -> None:
        scope = self._open[-1].scope
        declared = {name[6:]: text for name, text in attributes.items() if _declares(name)}
        self._count(1 + len(scope) // 4 if declared else 1)  # their copy takes memory, too
        element = _Element(name, attributes, [], {**scope, **declared} if declared else scope)
        self._open[-1].children.append(element)
        self._open.append(element)
        if len(self._open) > _MOST_DEPTH or len(element.scope) > _MOST_PREFIXES:
            raise MalformedMetadata("XMP is far too deep, or has too many namespaces")

    def _end(self, _: str) -> None:
        self._open.pop()

    def _count(self, parts: int = 1) -> None:
        self._left -= parts
        if self._left < 0:
            raise MalformedMetadata("XMP has far too many parts")

    def _add(self, markup: str) -> None:
        self._count()
        self._open[-1].children.append(markup)

    @staticmethod
    def _refuse(*_: object) -> None:
        raise MalformedMetadata("XMP with a DTD")


def _parse(xmp: bytes) -> _Element:
    if len(xmp) > MAX_BLOB_BYTES:
        raise MalformedMetadata("XMP is far too long")
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS.items() if xmp.startswith(mark)), "")
    builder, parser = _Builder(), expat.ParserCreate("utf-8")
    builder.attach(parser)
    try:
        # Some writers leave zeros after the packet.
        text = xmp.decode(encoding or "utf-8").strip("\0 \t\r\n\ufeff")
        parser.Parse(text.encode(), True)
    except (expat.ExpatError, UnicodeError) as error:
        raise MalformedMetadata(f"XMP cannot be read: {error}") from error
    return builder.document


def _rdf_of(packet: _Element) -> _Element:
    for element in packet.all():
        if element.key == (_RDF, "RDF"):
            return element
    raise MalformedMetadata("XMP without RDF")


def _declares(attribute: str) -> bool:
    return attribute == "xmlns" or attribute.startswith("xmlns:")


def _quoted(text: str) -> str:
    return quoteattr(text, {"\t": "&#9;", "\n": "&#10;", "\r": "&#13;"})
