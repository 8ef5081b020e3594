"""Reads YAML 1.2 and JSON into plain values, with the place of each in the file.

Built on libyaml's stream of events, which is flat and lazy: reading stops at the first event that a
spec cannot have, so time and memory are limited for every file.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml
import yamlcore

from dropscale.specs.faults import Fault, Place
from dropscale.specs.syntax import BAD_ESCAPE, LEAVE_OUT, in_plain_words

MAX_BYTES = 64 * 1024
_MAX_DEPTH = 8
_MAX_EVENTS = 1000
_MAX_DIGITS = 32
_LONGEST_NAME = 40

FieldPath = tuple[str | int, ...]
"""The names of fields, and the indexes in lists, that lead to a value."""

# Characters that YAML does not allow, and line breaks of YAML 1.1 that editors do not show.
_UNFIT = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_CUT = re.compile(r"[ \t]+#[^\s#]")
_LINE_BREAK = re.compile("\r\n|\r|\n")
_PLAIN_NAME = re.compile(r"[\w-]+…?")
_UTF_16_OR_32 = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")
_SURROGATES = re.compile(
    r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})"
)


class _Int(int):
    """A number that keeps its original text, for fields that are text, such as `name: 007`."""

    text: str


class _Float(float):
    """See `_Int`."""

    text: str


@dataclass(frozen=True)
class Document:
    """A file's content: `data` consists of dicts, lists, text, numbers, booleans and None.

    `names` and `values` have the places of each field's name and value. If not `is_whole`, the
    document ends at the last of the `faults`. `text` is the whole file, and `cuts` has text that
    YAML reads as a comment although it may be part of a value: `light #3 look`.
    """

    path: str
    data: object = None
    names: Mapping[FieldPath, Place] = field(default_factory=dict)
    values: Mapping[FieldPath, Place] = field(default_factory=dict)
    faults: Sequence[Fault] = ()
    is_whole: bool = True
    text: str = ""
    cuts: Mapping[FieldPath, str] = field(default_factory=dict)

    def place_of_name(self, field_path: FieldPath) -> Place:
        """Return the place of a field's name, or else of what contains it."""
        return self.names.get(field_path) or self.place_of_value(field_path)

    def place_of_value(self, field_path: FieldPath) -> Place:
        """Return the place of a field's value, or else of what would contain it."""
        while field_path and field_path not in self.values:
            field_path = field_path[:-1]
        return self.values.get(field_path, Place())


def read_document(content: bytes, path: str) -> Document:
    """Read one document; `path` names the file in faults."""
    try:
        text = _decode(content)
    except _Unreadable as error:
        fault = Fault.at(path, error.place, error.message, error.hint)
        return Document(path, faults=[fault], is_whole=False)
    return _Reader(path, _line_lengths(text)).read(text)


def format_path(field_path: FieldPath) -> str:
    """Return a field's path as people write it, e.g. `renditions[1].style.mode`."""
    text = "".join(
        f"[{part}]" if isinstance(part, int) else f".{_quote_name(part)}" for part in field_path
    )
    return text.removeprefix(".")


def _quote_name(name: str) -> str:
    if len(name) > _LONGEST_NAME:
        name = f"{name[:_LONGEST_NAME]}…"
    return name if _PLAIN_NAME.fullmatch(name) else repr(name)


class _Unreadable(Exception):
    """A file cannot be read, or not from here on."""

    def __init__(self, message: str, hint: str, place: Place | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.place = place or Place()


def _decode(content: bytes) -> str:
    if len(content) > MAX_BYTES:
        message = f"the file is larger than a spec can be, {MAX_BYTES:,} bytes"
        raise _Unreadable(message, "make it smaller")
    # Every spec begins with ASCII, which contains NUL bytes in UTF-16 and UTF-32.
    if content.startswith(_UTF_16_OR_32) or content[:2].count(b"\0") == 1:
        raise _Unreadable("the file is UTF-16 or UTF-32", "save it as UTF-8")
    if b"\0" in content:
        raise _Unreadable("the file is not text", "give a YAML or JSON file")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = place_after(content[: error.start].decode("utf-8-sig"))
        raise _Unreadable("this is not UTF-8 text", "save it as UTF-8", place) from None
    unfit = _UNFIT.search(text)
    if unfit:
        message = f"an invisible character, U+{ord(unfit[0]):04X}, is here"
        raise _Unreadable(message, "delete it", place_after(text[: unfit.start()]))
    return text


def place_after(text: str) -> Place:
    """Return the place right after `text`, the beginning of a file."""
    lines = _LINE_BREAK.split(text)
    return Place(len(lines), len(lines[-1]) + 1)


def _line_lengths(text: str) -> list[int]:
    return [len(line) for line in _LINE_BREAK.split(text)]


@dataclass
class _Collection:
    """A mapping or list that is being read; `key` is the field whose value is next."""

    data: dict[str, Any] | list[Any]
    path: FieldPath
    in_brackets: bool
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
    """`line_lengths` are those of the file; `pairs` as `_join_surrogate_pairs` returns them."""

    path: str
    line_lengths: Sequence[int]
    pairs: Mapping[int, Sequence[int]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    names: dict[FieldPath, Place] = field(default_factory=dict)
    values: dict[FieldPath, Place] = field(default_factory=dict)
    cuts: dict[FieldPath, str] = field(default_factory=dict)
    open: list[_Collection] = field(default_factory=list)
    root: object = None

    def read(self, text: str) -> Document:
        self.loader: Any = yamlcore.CCoreLoader(text)
        self.lines = _LINE_BREAK.split(text)
        is_whole = False
        try:
            self._read_events()
            is_whole = True
        except _Unreadable as error:
            self.faults.append(Fault.at(self.path, error.place, error.message, error.hint))
        except yaml.MarkedYAMLError as error:
            if error.problem and BAD_ESCAPE in error.problem and not self.pairs:
                joined, pairs = _join_surrogate_pairs(text)
                if pairs:
                    return _Reader(self.path, self.line_lengths, pairs).read(joined)
            self._note_syntax(error, text)
        finally:
            self.loader.dispose()
        data = {} if self.root is None else self.root
        return Document(
            self.path, data, self.names, self.values, self.faults, is_whole, text, self.cuts
        )

    def _read_events(self) -> None:
        documents = 0
        for count in range(_MAX_EVENTS + 1):
            if not self.loader.check_event():
                return
            event = self.loader.get_event()
            if count == _MAX_EVENTS:
                raise self._stop(event, "a spec cannot have so many values", "make it shorter")
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._stop(event, "a second document begins here", "keep one")
            elif isinstance(event, yaml.CollectionEndEvent):
                self.open.pop()
            elif isinstance(event, yaml.NodeEvent):
                self._read_node(event)

    def _read_node(self, event: Any) -> None:
        if isinstance(event, yaml.AliasEvent):
            hint = "write the value out, or put text in quotes"
            raise self._stop(event, "aliases (*name) are not allowed", hint)
        parent = self.open[-1] if self.open else None
        if parent and isinstance(parent.data, dict) and parent.key is None:
            self._read_name(event, parent)
            return
        path = parent.next_path if parent else ()
        self._note_properties(event, path)
        self.values[path] = self._place(event.start_mark)
        value = self._scalar(event) if isinstance(event, yaml.ScalarEvent) else _empty(event)
        if isinstance(event, yaml.ScalarEvent) and not event.style:
            self._note_cut(event.end_mark, path)
        if parent:
            parent.add(value)
        else:
            self.root = value
        if isinstance(value, dict | list):
            if len(self.open) == _MAX_DEPTH:
                raise self._stop(event, "a spec cannot be nested so deeply", "make it flatter")
            self.open.append(_Collection(value, path, event.flow_style))

    def _note_cut(self, mark: Any, path: FieldPath) -> None:
        """Note a comment after plain text without a space after its #."""
        rest = self.lines[mark.line][mark.column :] if mark.line < len(self.lines) else ""
        if _CUT.match(rest):
            self.cuts[path] = rest.strip()

    def _note_properties(self, event: Any, path: FieldPath) -> None:
        name = format_path(path) or None
        if event.anchor is not None:
            self._note(event, "anchors (&name) are not allowed", LEAVE_OUT, name)
        elif event.tag is not None:
            self._note(event, "tags (!name) are not allowed", LEAVE_OUT, name)

    def _read_name(self, event: Any, mapping: _Collection) -> None:
        if not isinstance(event, yaml.ScalarEvent):
            raise self._stop(event, "a field's name must be plain text", "write 'field: value'")
        mapping.key = event.value
        path = mapping.next_path
        self._note_properties(event, path)
        if path not in self.names:
            self.names[path] = self._place(event.start_mark)
            return
        first = self.names[path].line
        self._note(event, f"is given twice, first in line {first}", "keep one", format_path(path))
        # Fields below the second one are not duplicates themselves.
        below = [name for name in self.names if len(name) > len(path) and name[: len(path)] == path]
        for name in below:
            del self.names[name]

    def _scalar(self, event: Any) -> object:
        if event.style:  # quoted, or a block
            return event.value
        tag = self.loader.resolve(yaml.ScalarNode, event.value, (True, False))
        is_number = tag.endswith((":int", ":float"))
        if is_number and len(event.value) > _MAX_DIGITS:  # longer than any field allows
            return event.value
        value = self.loader.construct_document(yaml.ScalarNode(tag, event.value))
        if is_number:
            value = _Int(value) if isinstance(value, int) else _Float(value)
            value.text = event.value
        return value

    def _note(self, event: Any, message: str, hint: str, name: str | None = None) -> None:
        place = self._place(event.start_mark)
        self.faults.append(Fault.at(self.path, place, message, hint, name))

    def _stop(self, event: Any, message: str, hint: str) -> _Unreadable:
        return _Unreadable(message, hint, self._place(event.start_mark))

    def _place(self, mark: Any) -> Place:
        # libyaml places the end of the file in a line that may not exist.
        if mark.line >= len(self.line_lengths):
            return Place(len(self.line_lengths), self.line_lengths[-1] + 1)
        joined_before = bisect_right(self.pairs.get(mark.line, ()), mark.column)
        return Place(mark.line + 1, mark.column + 2 * joined_before + 1)

    def _note_syntax(self, error: Any, text: str) -> None:
        context, problem = error.context or "", error.problem or ""
        mark = error.problem_mark or error.context_mark
        line, rest = _around(text, mark)
        opener = self.open[-1] if self.open and self.open[-1].in_brackets else None
        place = self._place(mark)
        if opener and not rest.strip():
            bracket = "{" if isinstance(opener.data, dict) else "["
            place = self.values[opener.path]
            message, hint = f"the {bracket} that opens here is never closed", "close it"
        elif opener and line.endswith("\\'"):
            message, hint = "a backslash does not escape a ' inside '…'", "write ''"
        elif "quoted scalar" in context and ("end of stream" in problem or "indicator" in problem):
            place = self._place(error.context_mark)
            message, hint = "the quotes that open here are never closed", "close them"
        elif opener and "expected ',' or" in problem:
            opened = self.values[opener.path]
            message = f"{problem.removeprefix('did not find expected ')} is missing before this"
            hint = f"add it; the bracket to close opens in line {opened.line}"
        else:
            if any(part in context for part in ("simple key", "anchor", "alias", "tag")):
                place = self._place(error.context_mark)
            message, hint = in_plain_words(f"{problem} {context}", line, rest[:1])
        self.faults.append(Fault.at(self.path, place, message, hint))


def _around(text: str, mark: Any) -> tuple[str, str]:
    """Return the text before a mark on its line, and all after it."""
    lines = _LINE_BREAK.split(text)[mark.line :]
    before = lines[0][: mark.column] if lines else ""
    return before, "\n".join(lines)[mark.column :]


def _empty(event: Any) -> dict[str, Any] | list[Any]:
    return {} if isinstance(event, yaml.MappingStartEvent) else []


def _join_surrogate_pairs(text: str) -> tuple[str, dict[int, list[int]]]:
    r"""Return text with YAML's escapes, and the lines and columns where it became two shorter.

    JSON writes characters beyond U+FFFF as two escapes, \ud83d\ude00; YAML as one, \U0001F600.
    """
    lines, pairs = [], {}
    for number, line in enumerate(text.splitlines(keepends=True)):
        found = list(_SURROGATES.finditer(line))
        lines.append(_SURROGATES.sub(_one_character, line))
        if found:
            pairs[number] = [pair.end() - 2 * at for at, pair in enumerate(found, start=1)]
    return "".join(lines), pairs


def _one_character(pair: re.Match[str]) -> str:
    high, low = int(pair[2], 16), int(pair[3], 16)
    return f"{pair[1]}\\U{0x10000 + (high - 0xD800) * 0x400 + (low - 0xDC00):08X}"
