"""Access control: our servers refuse any request that it does not allow.

The servers listen only on loopback, but that does not keep out other users of the machine or web
pages in its browsers: a page can send requests to any port, and by a host name that resolves to
127.0.0.1 (DNS rebinding) it can also read the answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from werkzeug.exceptions import HTTPException

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Authenticate = Callable[["WSGIEnvironment"], None]
"""Raises RequestRefused if a request does not prove that its sender may make it."""


class RequestRefused(Exception):
    """A request is not allowed.

    Attributes:
        status: The HTTP status.
        code: AWS's error code for this refusal.
    """

    def __init__(self, message: str, *, status: int = 403, code: str = "AccessDenied") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


Refusal = Callable[["WSGIEnvironment", RequestRefused], "WSGIApplication"]
"""Returns the answer to a request that is not allowed."""

# Name servers never resolve subdomains of localhost (RFC 6761, 6.3). S3's virtual-hosted style puts
# the bucket there.
_LOOPBACK_HOST = re.compile(r"(127\.0\.0\.1|([a-z0-9.-]+\.)?localhost)(:(?P<port>[0-9]{1,5}))?")
_HTTP_PORT = "80"


def access_controlled(
    application: WSGIApplication, *, port: int, authenticate: Authenticate, refusal: Refusal
) -> WSGIApplication:
    """Return the application behind access control.

    Args:
        application: Receives only allowed requests. It cannot share its answers with web pages:
            CORS headers are removed.
        port: The server's port, which the Host header must name.
        authenticate: Checks requests that do not come from a web page.
        refusal: Returns the answer to all other requests.
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
        raise RequestRefused(f"The Host header must be 127.0.0.1:{port} or localhost:{port}")


def _require_no_page(environ: WSGIEnvironment) -> None:
    # Browsers send "none" for an address typed by a person.
    # https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header
    if "HTTP_ORIGIN" in environ or environ.get("HTTP_SEC_FETCH_SITE", "none") != "none":
        raise RequestRefused("Web pages are not served")


def _without_cors(start_response: StartResponse) -> StartResponse:
    def start(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> object:
        kept = [item for item in headers if not item[0].lower().startswith("access-control-")]
        return start_response(status, kept, exc_info)  # type: ignore[arg-type] # passed on

    return start  # type: ignore[return-value] # passed on
