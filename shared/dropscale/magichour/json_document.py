"""An answer's body as a JSON document, whatever somebody has put there."""

import json
import math
from collections import Counter
from typing import Any

_MAX_DIGITS = 1000


def document_of(body: bytes, limit: int) -> object:
    """Return what a body says, None if it is no JSON, too long or nested too deep.

    A byte order mark is passed over. What is not UTF-8 becomes the replacement character, which
    no id has. A name that comes twice with different values says nothing, and is left out.
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
    # Only of these: to write out all, at each level of a deep document, would take hours.
    twice = ((name, value) for name, value in pairs if counts[name] > 1)
    disputed = {name for name, value in twice if repr(value) != repr(found[name])}
    return {name: value for name, value in found.items() if name not in disputed}


def _integer(digits: str) -> float:
    # Python itself refuses to convert some thousands of digits, and with them the document.
    return int(digits) if len(digits) <= _MAX_DIGITS else math.inf
