"""The JSON Schema for editors and the parser say one thing of some thousand documents.

Where they do not, it is one of a few things that no schema can say, which are listed here.
"""

import json
import random
import re
from collections.abc import Iterator, Sequence
from typing import Any

import jsonschema

from dropscale.specs.document import read_document
from dropscale.specs.faults import Fault, SpecInvalid
from dropscale.specs.model import MAX_RENDITIONS, Spec, json_schema
from dropscale.specs.parse import parse_sidecar

SCHEMA = jsonschema.Draft202012Validator(json_schema())
BEYOND_A_SCHEMA = {
    "a file's own name": re.compile(r"is not the image beside this spec$"),
    "what kind of spec a file is": re.compile(r"can only be in a folder's spec$"),
    "bytes, where a schema counts characters": re.compile(r"is longer than 255 bytes$"),
    "classes of characters": re.compile(r"has an invisible character, U\+[0-9A-F]+$"),
    "numbers that are compared": re.compile(r"cannot be true"),
    "what JSON does not have": re.compile(r"^\.nan is not a number"),
}
"""What the parser refuses and the schema takes. It takes nothing that the schema refuses."""

TEXTS: tuple[Any, ...] = (
    *("", "2", "2x", "4", "preserve", "creative", "Creative", "Resemblance", "jpeg", "jpg", "avif"),
    *("keep", "strip", "none", "yes", "true", "cat.jpg", "a/b", "/a", "a/", "a//b", "../a", ".."),
    *(".", "a/.", "a\\b", "s3://x", "c:", "ab:c/d", "é/ü", "a\u3000b", "a\u00a0b", "a\u200bb"),
    *("a\u0001b", "a\nb", "a\tb", "a\r\nb", "a\rb", "a\x7fb", "a\x85b", "\u2028", "/", " "),
    *("🐈" * 64, "é" * 127, "é" * 128, "x" * 255, "x" * 256, "x" * 255 + "/"),
)
NUMBERS: tuple[Any, ...] = (
    *(0, 1, 2, 3, 4, 2.0, 4.0, 2.5, 0.5, -1, -0.0, 90, 100, 101, 100.0, 1e300, 10**40),
    *(999_999_999, 1_000_000_000, True, False, None),
)
MAPPINGS: tuple[Any, ...] = (
    *({}, {"extra": 1}, {"mode": "creative", "enhancement": "Creative"}, {"prompt": []}),
    *({"mode": None, "enhancement": "Creative"}, {"image_file_path": "cat.jpg"}, [], [1], [{}]),
    *([{"scale_factor": 2}, {"style": {"mode": "creative"}}], [None], [{"renditions": []}]),
    *([{"if": {"alpha": True}}], [{"if": {"min_width": 2, "below_width": 1}}], {"a": {}}),
    *([{"name": 1}] * MAX_RENDITIONS, [{"name": 1}] * (MAX_RENDITIONS + 1), [{"assets": {}}]),
)
VALUES = (*TEXTS, *NUMBERS, *MAPPINGS)
FIELDS = (*Spec.model_fields, "$schema", "extra")
PLAIN = (
    *("007", "1_000", ".inf", "-.inf", ".nan", "0x10", "0o7", "1e3", "1e-3", "~", "Null", "TRUE"),
    *("on", "2026-11-26", "12:30", "2.", "+2", "-2", ".5", "4.0", "9" * 40, "-0", "1e999", '"4"'),
)
"""Scalars that YAML's versions and other formats disagree on."""


def inner_fields() -> Iterator[tuple[str, str]]:
    for name, definition in json_schema()["$defs"].items():
        outer = {"Assets": "assets", "Style": "style", "SkipIf": "skip_if", "OutputSpec": "output"}
        if name in outer:
            yield from ((outer[name], field) for field in definition["properties"])


INNER_FIELDS = [*inner_fields()]


def documents() -> Iterator[bytes]:
    """Yield each value in each field, and some thousand mixtures, always the same."""
    chance = random.Random(16)
    for value in VALUES:
        yield json.dumps(value).encode()
        for field in FIELDS:
            yield json.dumps({field: value}, ensure_ascii=False).encode()
        for outer, field in INNER_FIELDS:
            yield json.dumps({outer: {field: value}}).encode()
    for _ in range(2000):
        chosen = chance.sample(FIELDS, chance.randint(2, 5))
        yield json.dumps({field: chance.choice(VALUES) for field in chosen}).encode()
    for text in PLAIN:
        yield from (f"{field}: {text}\n".encode() for field in FIELDS)
        yield from (f"{outer}:\n  {field}: {text}\n".encode() for outer, field in INNER_FIELDS)


def faults_of(text: bytes) -> Sequence[Fault]:
    try:
        parse_sidecar(text, "cat.jpg.yaml", "cat.jpg")
    except SpecInvalid as error:
        return error.faults
    return ()


def test_schema_and_parser_agree_but_for_what_no_schema_can_say() -> None:
    disagreements, unused, looked_at = [], set(BEYOND_A_SCHEMA), 0
    for text in documents():
        document = read_document(text, "cat.jpg.yaml")
        faults = faults_of(text)
        is_valid = SCHEMA.is_valid(document.data)
        beyond = [
            {name for name, known in BEYOND_A_SCHEMA.items() if known.search(fault.message)}
            for fault in faults
        ]
        if is_valid:
            unused -= set().union(*beyond)
        if not document.is_whole or document.faults:
            continue  # an editor's own reader says so
        looked_at += 1
        if is_valid == bool(faults) and not (faults and all(beyond)):
            disagreements.append((text[:100], [str(fault) for fault in faults]))

    assert (disagreements, unused) == ([], set())
    assert looked_at > 4000
