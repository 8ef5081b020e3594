"""Reads an answer's body as a JSON document, whatever it contains."""

import json
import math
from collections import Counter
from typing import Any

_MAX_DIGITS = 1000


def document_of(body: bytes, limit: int) -> object:
    """Return a body's document; None: it is not JSON, too long or nested too deeply.

    A byte order mark is ignored. Bytes that are not UTF-8 become the replacement character, which
    no id has. A name that occurs twice with different values is left out.
    """
    if len(body) > limit:
        return None
    try:
        document: object = json.loads(
            body.decode("utf-8-sig", errors="replace"),
            object_pairs_hook=_object,
            parse_int=_integer,
        )
    except (ValueError, RecursionError):
        return None
    return document


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    counts = Counter(name for name, _ in pairs)
    # Only these are compared: comparing all, at each level of a deep document, would take hours.
    twice = ((name, value) for name, value in pairs if counts[name] > 1)
    disputed = {name for name, value in twice if repr(value) != repr(found[name])}
    return {name: value for name, value in found.items() if name not in disputed}


def _integer(digits: str) -> float:
    # Python refuses to convert some thousands of digits, and would reject the whole document.
    return int(digits) if len(digits) <= _MAX_DIGITS else math.inf
