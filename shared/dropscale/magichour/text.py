"""Makes foreign text safe to show and store: one line of limited length, without signatures."""

import re

MAX_MESSAGE = 500
"""The most characters that are kept of a vendor's message."""

MAX_NAME = 100
"""The most characters that are kept of a vendor's name (a code, a status)."""

_WORD = re.compile(r"""[^\s"'<>]+""")
_URL = re.compile("https?://", re.IGNORECASE)


def shown(text: str, limit: int = MAX_MESSAGE) -> str:
    """Return the text cut to a limit, without the queries of its URLs, which have signatures.

    Characters that do not print (line breaks, escapes, lone surrogates) become spaces.
    """
    without_queries = _WORD.sub(_without_query, text)[:limit]
    return "".join(one if one.isprintable() else " " for one in without_queries)


def _without_query(word: re.Match[str]) -> str:
    # A single pattern would scan a long word again from each "http://" in it.
    text = word[0]
    url = _URL.search(text)
    query = text.find("?", url.end() + 1) if url else -1
    return text if query < 0 else f"{text[:query]}?…"
