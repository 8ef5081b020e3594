"""Foreign text, made fit to be shown and kept: one bounded line without signatures."""

import re

MAX_MESSAGE = 500
"""Longest message of the vendor's that is kept, in characters."""

MAX_NAME = 100
"""Longest name of the vendor's (a code, a status) that is kept, in characters."""

_QUERY = re.compile(r"""(https?://[^\s?"'<>]+)\?[^\s"'<>]*""", re.IGNORECASE)


def shown(text: str, limit: int = MAX_MESSAGE) -> str:
    """Return the text without the queries of its URLs, where signatures are, and cut to a limit.

    Characters that do not print (line breaks, escapes, half surrogates) become spaces.
    """
    without_queries = _QUERY.sub(r"\1?…", text)[:limit]
    return "".join(one if one.isprintable() else " " for one in without_queries)
