"""Blocking HTTP, with requests.

`environment` chooses the proxy and the certificates; requests itself reads no variables.
`auth` is always given, so that requests never takes credentials from a .netrc file or a URL.
"""

import time
from contextlib import AbstractAsyncContextManager, nullcontext
from ssl import SSLContext
from types import MappingProxyType
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.exceptions import NewConnectionError

from dropscale.magichour.base_transport import (
    CHUNK,
    NoAnswer,
    Request,
    Transport,
)
from dropscale.magichour.calls import CONNECT_TIMEOUT, Answer
from dropscale.magichour.connections_in_time import ends_in, limit_pools
from dropscale.magichour.environment import Library, Route

_SOCKS = Library("socks", "requests[socks]")


class BlockingTransport(Transport):
    """A transport whose coroutines never suspend. Threads may share one."""

    proxy_schemes = MappingProxyType(
        {"http": None, "https": None} | dict.fromkeys(("socks5", "socks5h"), _SOCKS)
    )

    async def exchange(self, request: Request, route: Route) -> Answer:
        """See `Transport.exchange`."""
        with (
            ends_in(self.longest(request)),
            _Session(route.tls) as session,
            session.request(
                request.method,
                request.url,
                data=request.body,
                headers={**request.headers, "Connection": "close"},
                auth=_NoAuth(),
                timeout=(min(CONNECT_TIMEOUT, request.timeout), request.timeout),
                proxies={"all": route.proxy} if route.proxy else {},
                stream=True,
            ) as response,
        ):
            incoming = request.incoming(response.status_code, response.headers)
            if incoming.is_wanted:
                for piece in response.raw.stream(CHUNK, decode_content=False):
                    if not incoming.take(piece):
                        break
            return Answer(response.status_code, response.headers, incoming.end())

    def no_answer(self, error: Exception) -> NoAnswer:
        """See `Transport.no_answer`."""
        return NoAnswer(type(_cause(error)).__name__, never_left=_is_unsent(error))

    async def sleep(self, seconds: float) -> None:
        """See `Transport.sleep`."""
        time.sleep(seconds)

    def transfer(self) -> AbstractAsyncContextManager[None]:
        """See `Transport.transfer`: never waits, as only one is possible at a time."""
        return nullcontext()


class _Session(requests.Session):
    """Follows no redirects, nor prepares them: they would pass on the token."""

    def __init__(self, tls: SSLContext) -> None:
        super().__init__()
        self.trust_env = False
        self.mount("https://", _Adapter(tls))
        self.mount("http://", _Adapter(tls))

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


class _Adapter(HTTPAdapter):
    """Shares one TLS context: requests makes one for each connection, which takes 20 ms or more.

    Its connections have a total time limit.
    """

    def __init__(self, tls: SSLContext) -> None:
        self._tls = tls
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options, ssl_context=self._tls)
        limit_pools(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options, ssl_context=self._tls)
        limit_pools(manager)
        return manager

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Do nothing: the context already has the certificates."""


class _NoAuth(AuthBase):
    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


def _is_unsent(error: Exception) -> bool:
    return isinstance(
        error,
        requests.ConnectTimeout | requests.exceptions.SSLError | requests.exceptions.ProxyError,
    ) or isinstance(_cause(error), NewConnectionError)


def _cause(error: BaseException) -> BaseException:
    """Return the error that requests and urllib3 wrapped."""
    inner = getattr(error, "reason", None) or next(reversed(error.args), None)
    return _cause(inner) if isinstance(inner, BaseException) else error
