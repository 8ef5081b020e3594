"""Reads YAML 1.2 and JSON into plain values that remember where they stand.

Built on libyaml's stream of events, which is flat and lazy: whatever is in a file, reading stops
at the first event that no spec can have, so time and memory are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml
import yamlcore

from dropscale.spec.faults import Fault, Place

MAX_BYTES = 64 * 1024
_MAX_DEPTH = 8
_MAX_EVENTS = 1000
_MAX_DIGITS = 32

FieldPath = tuple[str | int, ...]
"""The names of fields, and the indexes in lists, that lead to a value."""

# What YAML does not allow, and the line breaks of YAML 1.1, which editors do not show as any.
_UNFIT = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LINE_BREAK = re.compile("\r\n|\r|\n")
_UTF_16_OR_32 = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")
_SURROGATES = re.compile(
    r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})"
)

_SYNTAX = (
    ("tab", "a tab indents this line", "indent with spaces"),
    (
        "mapping values are not allowed",
        "a ':' is not expected here",
        "put text that contains ': ' in quotes, and line fields up under each other",
    ),
    (
        "invalid Unicode character escape",
        "this \\u escape is no character",
        "write the character itself",
    ),
    (
        "found unknown escape character",
        "this escape is unknown",
        "write a backslash as \\\\, or use single quotes",
    ),
    (
        "unexpected end of stream",
        "the quotes that open here are never closed",
        "close them",
    ),
    ("undefined alias", "aliases (*name) are not allowed", "write the value out"),
)
"""What libyaml says, and what it means to a person."""


class _Int(int):
    """Knows how it was written, for where text is meant, such as `name: 007`."""

    text: str


class _Float(float):
    """See `_Int`."""

    text: str


@dataclass(frozen=True)
class Document:
    """A file's content: `data` of dicts, lists, text, numbers, truth values and None.

    `names` and `values` tell where the name and the value of each field stand. With `faults` it is
    only what could be read.
    """

    path: str
    data: object = None
    names: Mapping[FieldPath, Place] = field(default_factory=dict)
    values: Mapping[FieldPath, Place] = field(default_factory=dict)
    faults: Sequence[Fault] = ()

    def place_of_name(self, field_path: FieldPath) -> Place:
        """Return where a field's name stands, or what holds it."""
        return self.names.get(field_path) or self.place_of_value(field_path)

    def place_of_value(self, field_path: FieldPath) -> Place:
        """Return where a field's value stands, or what would hold it."""
        while field_path and field_path not in self.values:
            field_path = field_path[:-1]
        return self.values.get(field_path, Place())


def read_document(content: bytes, path: str) -> Document:
    """Read one document; `path` names the file in faults."""
    try:
        text = _decoded(content)
    except _Unreadable as error:
        fault = Fault.at(path, error.place, error.message, error.hint)
        return Document(path, faults=[fault])
    return _Reader(path).read(text)


def dotted(field_path: FieldPath) -> str:
    """Return a field's path as people write it, e.g. `renditions[1].style.mode`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in field_path)
    return text.removeprefix(".")


class _Unreadable(Exception):
    """A file cannot be read, or not from here on."""

    def __init__(self, message: str, hint: str, place: Place | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.place = place or Place()


def _decoded(content: bytes) -> str:
    if len(content) > MAX_BYTES:
        message = f"the file is larger than a spec can be, {MAX_BYTES:,} bytes"
        raise _Unreadable(message, "make it smaller")
    if content.startswith(_UTF_16_OR_32):
        raise _Unreadable("the file is UTF-16 or UTF-32", "save it as UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = _place_after(content[: error.start].decode("utf-8-sig", "replace"))
        hint = "save it as UTF-8" if b"\0" not in content else "give a YAML or JSON file"
        raise _Unreadable("this is not UTF-8 text", hint, place) from None
    unfit = _UNFIT.search(text)
    if unfit:
        message = f"an invisible character, U+{ord(unfit[0]):04X}, stands here"
        raise _Unreadable(message, "delete it", _place_after(text[: unfit.start()]))
    return text


def _place_after(text: str) -> Place:
    lines = _LINE_BREAK.split(text)
    return Place(len(lines), len(lines[-1]) + 1)


@dataclass
class _Collection:
    """A mapping or list that is being read; `key` is the field whose value comes next."""

    data: dict[str, Any] | list[Any]
    path: FieldPath
    key: str | None = None

    @property
    def next_path(self) -> FieldPath:
        key = len(self.data) if isinstance(self.data, list) else self.key
        return self.path if key is None else (*self.path, key)

    def add(self, value: object) -> None:
        if isinstance(self.data, list):
            self.data.append(value)
        elif self.key is not None:
            self.data[self.key] = value
            self.key = None


@dataclass
class _Reader:
    path: str
    faults: list[Fault] = field(default_factory=list)
    names: dict[FieldPath, Place] = field(default_factory=dict)
    values: dict[FieldPath, Place] = field(default_factory=dict)
    open: list[_Collection] = field(default_factory=list)
    root: object = None

    def read(self, text: str) -> Document:
        if text.lstrip().startswith(("{", "[")):
            text = _SURROGATES.sub(_one_character, text)
        self.loader: Any = yamlcore.CCoreLoader(text)
        try:
            self._read_events()
        except _Unreadable as error:
            self.faults.append(Fault.at(self.path, error.place, error.message, error.hint))
        except yaml.MarkedYAMLError as error:
            self._note_syntax(error, text)
        finally:
            self.loader.dispose()
        data = {} if self.root is None else self.root
        return Document(self.path, data, self.names, self.values, self.faults)

    def _read_events(self) -> None:
        documents = 0
        for count in range(_MAX_EVENTS + 1):
            if not self.loader.check_event():
                return
            event = self.loader.get_event()
            if count == _MAX_EVENTS:
                raise _stop(event, "has more values than a spec can have", "make it shorter")
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _stop(event, "a second document begins here", "keep one '---'")
            elif isinstance(event, yaml.CollectionEndEvent):
                self.open.pop()
            elif isinstance(event, yaml.NodeEvent):
                self._read_node(event)

    def _read_node(self, event: Any) -> None:
        if isinstance(event, yaml.AliasEvent):
            raise _stop(event, "aliases (*name) are not allowed", "write the value out")
        if event.anchor is not None:
            self._note(event, "anchors (&name) are not allowed", "write the value without")
        if event.tag is not None:
            self._note(event, "tags (!name) are not allowed", "write the value without")
        parent = self.open[-1] if self.open else None
        if parent and isinstance(parent.data, dict) and parent.key is None:
            self._read_name(event, parent)
            return
        path = parent.next_path if parent else ()
        self.values[path] = _place(event)
        value = self._scalar(event) if isinstance(event, yaml.ScalarEvent) else _empty(event)
        if parent:
            parent.add(value)
        else:
            self.root = value
        if isinstance(value, dict | list):
            if len(self.open) == _MAX_DEPTH:
                raise _stop(event, "is nested deeper than a spec can be", "make it flatter")
            self.open.append(_Collection(value, path))

    def _read_name(self, event: Any, mapping: _Collection) -> None:
        if not isinstance(event, yaml.ScalarEvent):
            raise _stop(event, "a field's name must be plain text", "write 'field: value'")
        mapping.key = event.value
        path = mapping.next_path
        if path in self.names:
            first = self.names[path].line
            name = dotted(path)
            self._note(event, f"is given twice, first in line {first}", "keep one", name)
        self.names[path] = _place(event)

    def _scalar(self, event: Any) -> object:
        if event.style:  # quoted, or a block
            return event.value
        tag = self.loader.resolve(yaml.ScalarNode, event.value, (True, False))
        is_number = tag.endswith((":int", ":float"))
        if is_number and len(event.value) > _MAX_DIGITS:
            self._note(event, "this number is too long", f"use at most {_MAX_DIGITS} digits")
            return 0
        value = self.loader.construct_document(yaml.ScalarNode(tag, event.value))
        if is_number:
            value = _Int(value) if isinstance(value, int) else _Float(value)
            value.text = event.value
        return value

    def _note(self, event: Any, message: str, hint: str, name: str | None = None) -> None:
        self.faults.append(Fault.at(self.path, _place(event), message, hint, name))

    def _note_syntax(self, error: yaml.MarkedYAMLError, text: str) -> None:
        problem = error.problem or str(error.context)
        mark = error.problem_mark
        # What is never closed is noticed at the end; a person looks for where it opens.
        if mark and error.context_mark and not _after(text, mark).strip():
            mark = error.context_mark
        place = Place(mark.line + 1, mark.column + 1) if mark else Place()
        message, hint = _in_plain_words(problem, _after(text, mark)[:1] if mark else "")
        self.faults.append(Fault.at(self.path, place, message, hint))


def _in_plain_words(problem: str, character: str) -> tuple[str, str]:
    if "cannot start any token" in problem and character != "\t":
        return f"a value cannot begin with {character}", "put it in quotes"
    for part, message, hint in _SYNTAX:
        if part in problem or (part == "tab" and character == "\t"):
            return message, hint
    return f"this is neither YAML nor JSON ({problem})", "see whether quotes and brackets match"


def _after(text: str, mark: yaml.Mark) -> str:
    return "\n".join(_LINE_BREAK.split(text)[mark.line :])[mark.column :]


def _stop(event: Any, message: str, hint: str) -> _Unreadable:
    return _Unreadable(message, hint, _place(event))


def _empty(event: Any) -> dict[str, Any] | list[Any]:
    return {} if isinstance(event, yaml.MappingStartEvent) else []


def _place(event: Any) -> Place:
    return Place(event.start_mark.line + 1, event.start_mark.column + 1)


def _one_character(pair: re.Match[str]) -> str:
    """JSON writes characters beyond U+FFFF as two escapes, which YAML does not know."""
    high, low = int(pair[2], 16), int(pair[3], 16)
    return f"{pair[1]}\\U{0x10000 + (high - 0xD800) * 0x400 + (low - 0xDC00):08X}"
