"""64 KiB made to hurt are answered clearly, in little time and memory."""

import time
import tracemalloc
from collections.abc import Callable, Sequence

import pytest

from dropscale.specs.document import MAX_BYTES
from dropscale.specs.faults import SpecInvalid
from dropscale.specs.parse import parse_folder_spec, parse_sidecar, parse_stand_alone

MOST_SECONDS = 0.1
MOST_BYTES = 20_000_000
TOO_LONG = "characters; allowed are at most 200"
URL = "assets:\n  image_file_path: https://"


def full(unit: str, before: str = "", after: str = "") -> bytes:
    """Return the largest spec that repeats a unit."""
    room = MAX_BYTES - len((before + after).encode())
    return (before + unit * (room // len(unit.encode())) + after).encode()


HOSTILE = {
    "sequences in sequences": (full("["), "a spec cannot be nested so deeply"),
    "mappings in mappings": (full("{a: "), "a spec cannot be nested so deeply"),
    "both, as JSON": (full('[{"a":'), "a spec cannot be nested so deeply"),
    "block sequences": (full("- "), "a spec cannot be nested so deeply"),
    "block mappings": (
        "\n".join(" " * depth + "a:" for depth in range(350)).encode(),
        "a spec cannot be nested so deeply",
    ),
    "names that are mappings": (full("? "), "a field's name must be plain text"),
    "names that are open": (full("{"), "a field's name must be plain text"),
    "empty names": (full("?\n"), "'': is given twice"),
    "names without values": (full("a\n", "{"), "the { that opens here is never closed"),
    "a long name": (full("k", "? ", "\n: 1\n"), "k…: there is no such field"),
    "a long JSON name": (full("k", '{"', '": 1}'), "',' or '}' is missing"),
    "many names": (
        "".join(f"scale_facto{number}: 1\n" for number in range(3000)).encode(),
        "a spec cannot have so many values",
    ),
    "one name again and again": (full("name: a\n"), "name: is given twice, first in line 1"),
    "one mapping again": (full("style: {mode: creative}\n"), "style: is given twice"),
    "many renditions": (full("- {mode: x}\n", "renditions:\n"), "cannot have so many values"),
    "many values": (full('"a",', "name: ["), "a spec cannot have so many values"),
    "many escaped emoji": (full('"\\ud83d\\ude00",', '{"a": ['), "cannot have so many values"),
    "an alias bomb": (
        b"a: &a [x, x]\n" + full("- [*a, *a, *a, *a]\n", "b:\n")[:60_000],
        "a: anchors (&name) are not allowed",
    ),
    "anchors": (full("- &a b\n"), "anchors (&name) are not allowed"),
    "a long anchor": (full("a", "name: &", " x"), "name: anchors (&name) are not allowed"),
    "a long alias": (full("a", "name: *"), "aliases (*name) are not allowed"),
    "tags": (full("- !a b\n"), "tags (!name) are not allowed"),
    "a long tag": (full("%41", "name: !", " x"), "name: tags (!name) are not allowed"),
    "tag directives": (
        "".join(f"%TAG !a{number}! x\n" for number in range(4000)).encode() + b"---\na: b\n",
        "a: there is no such field",
    ),
    "merge keys": (full("<<: {a: b}\n"), "'<<': is given twice, first in line 1"),
    "digits": (full("9", "max_credits: "), "9…' is not a number of credits"),
    "digits of a fraction": (full("9", "scale_factor: 2."), "is not a scale factor"),
    "digits of an exponent": (full("9", "max_credits: 1e"), "is not a number of credits"),
    "hexadecimal digits": (full("f", "max_credits: 0x"), "is not a number of credits"),
    "digits in quotes": (full("9", 'max_credits: "', '"'), "is not a number of credits"),
    "not numbers": (full(".nan, ", "max_credits: ["), "a spec cannot have so many values"),
    "documents": (full("--- a\n"), "a second document begins here"),
    "ends of documents": (full("...\n"), "a value is expected before this '.'"),
    "an open quote": (full("x\n", 'name: "'), "the quotes that open here are never closed"),
    "quotes": (full("'"), "the file must be a mapping"),
    "backslashes": (full("\\", '"\\ud83d'), "is not a character"),
    "halves of emoji": (full("\\ud83d", '{"name": "', '"}'), "this \\u escape is not a character"),
    "tabs": (full("\t"), "a tab indents this line"),
    "commas": (full(",", "["), "a value is expected before this ','"),
    "colons": (full("a: "), "a ':' is not expected here"),
    "folders": (full("a/", "download_directory: "), "is longer than 255 bytes"),
    "parents": (full("../", "download_directory: "), "'..' parts"),
    "labels of a host": (full("a.", URL, "com/a.jpg"), "allowed are at most 4,000"),
    "hyphens in a host": (full("a-", URL, "/a.jpg"), "allowed are at most 4,000"),
    "a long path": (full("a/", URL + "example.com/", "a.jpg"), "allowed are at most 4,000"),
    "library ids": (
        full("imageId=b&", URL + "magichour.ai/my-library?"),
        "allowed are at most 4,000",
    ),
    "a long text": (full("a", "name: "), TOO_LONG),
    "a text of many lines": (full("  a\n\n", "name: >\n"), TOO_LONG),
    "escapes": (full("\\n", 'name: "', '"'), TOO_LONG),
    "emoji": (full("😀", "name: "), TOO_LONG),
    "escaped emoji": (full("\\ud83d\\ude00", '{"name": "', '"}'), TOO_LONG),
    "zeros": (b"\0" * MAX_BYTES, "the file is not text"),
    "no UTF-8": (b"\xff" * MAX_BYTES, "this is not UTF-8 text"),
    "too much": (b"#" * (MAX_BYTES + 1), "the file is larger than a spec can be"),
}
HARMLESS = {
    "comments": full("# c\n"),
    "a long comment": full("x", "# "),
    "empty lines": full("\n"),
    "old empty lines": full("\r"),
    "spaces": full(" "),
}


WAYS: Sequence[Callable[[bytes], object]] = (
    lambda content: parse_sidecar(content, "cat.jpg.yaml", "cat.jpg"),
    lambda content: parse_folder_spec(content, "dropscale.yaml"),
    lambda content: parse_stand_alone(content, "job.yaml"),
)


def answers(content: bytes, ways: Sequence[Callable[[bytes], object]] = WAYS) -> list[str]:
    """Return what each way to parse says of the faults it finds, if any."""
    found = []
    for parse in ways:
        try:
            parse(content)
        except SpecInvalid as error:
            found.append(error.message)
    return found


def costs(content: bytes) -> tuple[list[str], float, int]:
    """Return the answers, the processor time of one way to parse, and the most bytes in use."""
    start = time.process_time()
    found = answers(content, WAYS[1:])
    seconds = (time.process_time() - start) / 2
    tracemalloc.start()  # it makes the parser slower
    try:
        found += answers(content, WAYS[:1])
        return found, seconds, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", [*HOSTILE, *HARMLESS])
def test_64_kib_get_a_clear_answer_in_little_time_and_memory(name: str) -> None:
    content, words = HOSTILE.get(name) or (HARMLESS[name], None)

    found, seconds, most_bytes = costs(content)

    if words:
        assert any(words in answer for answer in found)
        assert max(map(len, found)) < 5000
    else:
        parse_folder_spec(content, "dropscale.yaml")
    assert most_bytes < MOST_BYTES
    # A busy machine may be slow once, but not three times.
    assert seconds < MOST_SECONDS or any(costs(content)[1] < MOST_SECONDS for _ in range(2))


def test_faults_beyond_what_a_person_reads_are_counted() -> None:
    (message, *_) = answers("".join(f"field_{number}: 1\n" for number in range(30)).encode())

    assert message.count("there is no such field") == 20
    assert message.endswith("and 10 more")
