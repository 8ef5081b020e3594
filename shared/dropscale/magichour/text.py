"""Foreign text, made fit to be shown and kept: one bounded line without signatures."""

import re

MAX_MESSAGE = 500
"""Longest message of the vendor's that is kept, in characters."""

MAX_NAME = 100
"""Longest name of the vendor's (a code, a status) that is kept, in characters."""

_WORD = re.compile(r"""[^\s"'<>]+""")
_URL = re.compile("https?://", re.IGNORECASE)


def shown(text: str, limit: int = MAX_MESSAGE) -> str:
    """Return the text without the queries of its URLs, where signatures are, and cut to a limit.

    Characters that do not print (line breaks, escapes, half surrogates) become spaces.
    """
    without_queries = _WORD.sub(_without_query, text)[:limit]
    return "".join(one if one.isprintable() else " " for one in without_queries)


def _without_query(word: re.Match[str]) -> str:
    # One pattern for all of it would go through a long word again from each "http://" in it.
    text = word[0]
    url = _URL.search(text)
    query = text.find("?", url.end() + 1) if url else -1
    return text if query < 0 else f"{text[:query]}?…"
