"""Which URLs may be used, and what of a URL may be shown."""

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from dropscale.magichour.errors import UnsafeUrl

_QUERY = re.compile(r"""(https?://[^\s?"'<>]+)\?[^\s"'<>]*""", re.IGNORECASE)


def is_loopback(url: str) -> bool:
    """Whether the URL's host is this machine: localhost, 127.0.0.0/8 or ::1."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def require_safe(url: str, request: str, *, loopback: bool) -> None:
    """Refuse a URL that is not https.

    Args:
        url: the URL to check.
        request: what it is for, used in the error.
        loopback: whether plain http to a loopback address is allowed.

    Raises:
        UnsafeUrl: it is not an absolute https URL (or an allowed loopback one).
    """
    try:
        parts = urlsplit(url)
        safe = bool(parts.hostname) and (
            parts.scheme == "https" or (parts.scheme == "http" and loopback and is_loopback(url))
        )
    except ValueError:
        safe = False
    if not safe:
        raise UnsafeUrl(request, message="it does not begin with https://")


def host_of(url: str) -> str:
    """Return the host, the only part of a signed URL that may be shown."""
    try:
        return urlsplit(url).hostname or "?"
    except ValueError:
        return "?"


def without_queries(text: str) -> str:
    """Return the text with the query of every URL in it left out: that is where signatures are."""
    return _QUERY.sub(r"\1?…", text)
