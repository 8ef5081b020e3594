"""Decides whether a request is let in; no server of ours answers one that is not.

The servers listen on loopback only, but that keeps out neither the other users of the machine nor
the pages in its browsers: a page may send requests to any port, and a name of its own that it has
pointed at 127.0.0.1 (DNS rebinding) also lets it read the answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from werkzeug.exceptions import HTTPException

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Authenticate = Callable[["WSGIEnvironment"], None]
"""Raises RequestRefused if a request does not show that its sender may make it."""


class RequestRefused(Exception):
    """A request is not let in.

    Attributes:
        status: The HTTP status.
        code: The name that AWS gives this refusal.
    """

    def __init__(self, message: str, *, status: int = 403, code: str = "AccessDenied") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


Refusal = Callable[["WSGIEnvironment", RequestRefused], "WSGIApplication"]
"""Returns what answers a request that is not let in."""

# No name server answers for names below localhost: RFC 6761, 6.3. S3's virtual-hosted style puts
# the bucket there.
_LOOPBACK_HOST = re.compile(r"(127\.0\.0\.1|([a-z0-9.-]+\.)?localhost)(:(?P<port>[0-9]{1,5}))?")
_HTTP_PORT = "80"


def access_controlled(
    application: WSGIApplication, *, port: int, authenticate: Authenticate, refusal: Refusal
) -> WSGIApplication:
    """Return the application behind access control.

    Args:
        application: Sees only what is let in. It cannot share its answers with pages, either:
            headers of CORS are taken out.
        port: The server's own, which the Host header has to name.
        authenticate: Decides about requests that do not come from a page.
        refusal: Makes the answer to all others.
    """

    def controlled(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            _require_loopback_host(environ, port)
            _require_no_page(environ)
            authenticate(environ)
        except RequestRefused as refused:
            return refusal(environ, refused)(environ, start_response)
        except HTTPException as unreadable:
            return unreadable(environ, start_response)
        return application(environ, _without_cors(start_response))

    return controlled


def _require_loopback_host(environ: WSGIEnvironment, port: int) -> None:
    host = _LOOPBACK_HOST.fullmatch(environ.get("HTTP_HOST", "").lower())
    if host is None or (host["port"] or _HTTP_PORT) != str(port):
        raise RequestRefused(f"The Host header has to be 127.0.0.1:{port} or localhost:{port}")


def _require_no_page(environ: WSGIEnvironment) -> None:
    # Browsers send "none" for what a person types into the address bar.
    # https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header
    if "HTTP_ORIGIN" in environ or environ.get("HTTP_SEC_FETCH_SITE", "none") != "none":
        raise RequestRefused("Web pages are not served")


def _without_cors(start_response: StartResponse) -> StartResponse:
    def start(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> object:
        kept = [item for item in headers if not item[0].lower().startswith("access-control-")]
        return start_response(status, kept, exc_info)  # type: ignore[arg-type] # passed on

    return start  # type: ignore[return-value] # passed on
