"""HTTP, blocking, on requests.

The environment's proxies are used, except towards a loopback base URL, and so is its CA bundle
(REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE). `auth` is always given, so that requests never takes
credentials from a .netrc file or a URL.
"""

import os
import time
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import lru_cache
from ssl import SSLContext
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies
from urllib3.exceptions import HTTPError, NewConnectionError
from urllib3.util.ssl_ import create_urllib3_context

from dropscale.magichour.base_transport import (
    CHUNK,
    Endpoint,
    NoAnswer,
    Request,
    Transport,
)
from dropscale.magichour.calls import CONNECT_TIMEOUT, Answer

# requests wraps what urllib3 raises, but not in every place.
_HTTP_ERRORS = (requests.RequestException, HTTPError)


class BlockingTransport(Transport):
    """A transport whose coroutines never suspend. Many threads may use one.

    Args:
        endpoint: the API.
        timeout: seconds to wait for the answer of a call, and for each piece of a transfer.
    """

    def __init__(self, endpoint: Endpoint, timeout: float) -> None:
        super().__init__(endpoint)
        self._timeout = timeout

    async def exchange(self, request: Request) -> Answer | NoAnswer:
        """See `Transport.exchange`."""
        try:
            return self._exchange(request)
        except _HTTP_ERRORS as error:
            return NoAnswer(type(_cause(error)).__name__, never_left=_never_left(error))

    async def sleep(self, seconds: float) -> None:
        """See `Transport.sleep`."""
        time.sleep(seconds)

    def transfer(self) -> AbstractAsyncContextManager[None]:
        """See `Transport.transfer`: one at a time is all there is."""
        return nullcontext()

    def _exchange(self, request: Request) -> Answer:
        with (
            _Session() as session,
            session.request(
                request.method,
                request.url,
                data=request.body,
                headers={**request.headers, "Connection": "close"},
                auth=_NoAuth(),
                timeout=(min(CONNECT_TIMEOUT, self._timeout), self._timeout),
                proxies={} if self.endpoint.loopback else get_environ_proxies(request.url),
                stream=True,
            ) as response,
        ):
            sink, body = request.sink, b""
            if sink is None:
                body = response.content
            elif response.status_code == requests.codes.ok:
                sink.expect(response.headers)
                for piece in response.iter_content(CHUNK):
                    sink.write(piece)
            return Answer(response.status_code, response.headers, body)


class _Session(requests.Session):
    """Follows no redirect, and does not even prepare to: it would carry the token along."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        self.mount("https://", _TlsAdapter())

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


class _TlsAdapter(HTTPAdapter):
    """Shares one TLS context: requests makes one for each connection, which takes 20 ms or more."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options, ssl_context=_tls_context(_ca_bundle()))

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        return super().proxy_manager_for(proxy, **options, ssl_context=_tls_context(_ca_bundle()))

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Leave it to the context, which has the certificates already."""


class _NoAuth(AuthBase):
    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


def _ca_bundle() -> str:
    # As requests does: https://requests.readthedocs.io/en/latest/user/advanced/#ssl-cert-verification.
    return (
        os.environ.get("REQUESTS_CA_BUNDLE")
        or os.environ.get("CURL_CA_BUNDLE")
        or DEFAULT_CA_BUNDLE_PATH
    )


@lru_cache
def _tls_context(ca_bundle: str) -> SSLContext:
    context = create_urllib3_context()
    if os.path.isdir(ca_bundle):
        context.load_verify_locations(capath=ca_bundle)
    else:
        context.load_verify_locations(ca_bundle)
    return context


def _never_left(error: Exception) -> bool:
    return isinstance(
        error,
        requests.ConnectTimeout | requests.exceptions.SSLError | requests.exceptions.ProxyError,
    ) or isinstance(_cause(error), NewConnectionError)


def _cause(error: BaseException) -> BaseException:
    """Return the error that requests and urllib3 wrapped."""
    inner = getattr(error, "reason", None) or next(reversed(error.args), None)
    return _cause(inner) if isinstance(inner, BaseException) else error
