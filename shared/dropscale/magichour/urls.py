"""Which URLs may be used, and which part of a URL may be shown."""

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from dropscale.magichour.errors import UnsafeUrl

_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"({_LABEL}\.)*{_LABEL}\.?|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*")
_LONGEST_HOST = 253
VISIBLE_ASCII = re.compile(r"[!-~]+")


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
        request: its purpose, for the error.
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


def fault_of(url: str) -> str | None:
    """Return why a URL in a setting is unusable, whatever its scheme; None: it is usable.

    The HTTP libraries find these faults late, and report them differently.
    """
    if not VISIBLE_ASCII.fullmatch(url):
        return "it has characters other than visible ASCII"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "its host or port cannot be read"
    if not host:
        return "it names no host"
    is_name = len(host) <= _LONGEST_HOST and _HOST.fullmatch(host)
    if not is_name or ("[" in parts.netloc) != (":" in host):
        return "its host is not a host name or address"
    if port == 0 or parts.netloc.endswith(":"):
        return "its port is not a number from 1 to 65535"
    return None


def fault_of_base_url(url: str) -> str | None:
    """Return why the API key may not be sent to a URL; None: it may."""
    if fault := fault_of(url):
        return fault
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(url)):
        return "it does not begin with https:// (http:// is for loopback addresses only)"
    if parts.username is not None or parts.query or parts.fragment:
        return "it has a user, a query or a fragment"
    return None
