"""Foreign text, made fit to be shown and kept: one bounded line without signatures."""

import re
from collections.abc import Callable
from typing import Any

MAX_MESSAGE = 500
"""Longest message of the vendor's that is kept, in characters."""

MAX_NAME = 100
"""Longest name of the vendor's (a code, a status) that is kept, in characters."""

_MAX_DEPTH, _MAX_ENTRIES = 4, 50
"""Of a document that is kept: how deep, and how much at each level."""

_WORD = re.compile(r"""[^\s"'<>]+""")
_URL = re.compile("https?://", re.IGNORECASE)


def shown(text: str, limit: int = MAX_MESSAGE) -> str:
    """Return the text without the queries of its URLs, where signatures are, and cut to a limit.

    Characters that do not print (line breaks, escapes, half surrogates) become spaces.
    """
    without_queries = _WORD.sub(_without_query, text)[:limit]
    return "".join(one if one.isprintable() else " " for one in without_queries)


def shown_document(document: object, without_key: Callable[[str], str], depth: int = 0) -> Any:
    """Return a JSON document with each of its texts as `shown`; what is too deep is None."""

    def text(value: str) -> str:
        return shown(without_key(value))

    if isinstance(document, str):
        return text(document)
    if not isinstance(document, dict | list):
        return document
    if depth == _MAX_DEPTH:
        return None
    if isinstance(document, list):
        return [shown_document(item, without_key, depth + 1) for item in document[:_MAX_ENTRIES]]
    return {
        text(name): shown_document(value, without_key, depth + 1)
        for name, value in list(document.items())[:_MAX_ENTRIES]
    }


def _without_query(word: re.Match[str]) -> str:
    # One pattern for all of it would go through a long word again from each "http://" in it.
    text = word[0]
    url = _URL.search(text)
    query = text.find("?", url.end() + 1) if url else -1
    return text if query < 0 else f"{text[:query]}?…"
