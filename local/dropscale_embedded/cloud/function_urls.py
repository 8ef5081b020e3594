"""Lambda Function URLs: requests from outside, answered by functions.

The payloads: https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import NotFound, RequestEntityTooLarge
from werkzeug.wrappers import Request, Response

from dropscale_embedded.cloud.functions_client import Invoke
from dropscale_embedded.cloud.names import FUNCTION_URL_PATH

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_MOST_BYTES = 6 * 1024 * 1024
"""Lambda's limit of a payload."""

_TEXT = ("text/", "application/json", "application/xml", "application/javascript")
"""The content types that Lambda hands over as text, and all else in base64."""


def is_function_url(environ: WSGIEnvironment) -> bool:
    """Whether a request is for a function URL, which nobody signs."""
    return bool(environ["PATH_INFO"].startswith(FUNCTION_URL_PATH))


def function_urls(
    functions: Collection[str], invoke: Invoke
) -> Callable[[WSGIApplication], WSGIApplication]:
    """Return a wrapper that makes an application also serve the URLs of functions, by name."""

    def beside(application: WSGIApplication) -> WSGIApplication:
        def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            if not is_function_url(environ):
                return application(environ, start_response)
            name, _, path = environ["PATH_INFO"].removeprefix(FUNCTION_URL_PATH).partition("/")
            if name not in functions:
                return NotFound()(environ, start_response)
            served = _served(Request(environ), name, f"/{path}", invoke)
            return served(environ, start_response)

        return answer

    return beside


def _served(request: Request, name: str, path: str, invoke: Invoke) -> WSGIApplication:
    request.max_content_length = _MOST_BYTES
    try:
        invocation = invoke(name, event_of(request, name, path, datetime.now(UTC)))
    except RequestEntityTooLarge as error:
        return error
    if invocation.failed:
        return Response('{"Message":"Internal Server Error"}', 502, mimetype="application/json")
    return response_of(json.loads(invocation.payload))


def event_of(request: Request, name: str, path: str, now: datetime) -> dict[str, Any]:
    """Return the event of a request, in payload format 2.0."""
    body = request.get_data()
    as_text = _as_text(request.mimetype, body)
    domain = f"{name}.lambda-url.localhost"
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": request.query_string.decode(),
        "headers": {header.lower(): value for header, value in request.headers.items()},
        "requestContext": {
            "accountId": "anonymous",
            "apiId": name,
            "domainName": domain,
            "domainPrefix": name,
            "http": {
                "method": request.method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": request.remote_addr,
                "userAgent": request.user_agent.string,
            },
            "requestId": str(uuid.uuid4()),
            "routeKey": "$default",
            "stage": "$default",
            "time": f"{now:%d/%b/%Y:%H:%M:%S %z}",
            "timeEpoch": int(now.timestamp() * 1000),
        },
        "body": base64.b64encode(body).decode() if as_text is None else as_text,
        "isBase64Encoded": as_text is None,
    }


def response_of(result: Any) -> Response:
    """Return the response that a function's result stands for."""
    if not isinstance(result, dict) or "statusCode" not in result:
        return Response(json.dumps(result), mimetype="application/json")
    body = str(result.get("body", "")).encode()
    return Response(
        base64.b64decode(body) if result.get("isBase64Encoded") else body,
        int(result["statusCode"]),
        result.get("headers", {"Content-Type": "application/json"}),
    )


def _as_text(mimetype: str, body: bytes) -> str | None:
    try:
        return body.decode() if mimetype.startswith(_TEXT) else None
    except UnicodeDecodeError:
        return None
