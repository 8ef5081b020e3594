"""HTTP on asyncio, on httpx. Only `AsyncClient` needs this module.

The environment's proxies are used, except towards a loopback base URL, and so is its CA bundle
(SSL_CERT_FILE, SSL_CERT_DIR).

Files are read and written in the event loop, in pieces of `base_transport.CHUNK`: that takes
microseconds, less than handing a piece to a thread, and cannot go on after a cancellation.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from functools import lru_cache
from ssl import SSLContext
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass
from weakref import WeakKeyDictionary

import httpx

from dropscale.magichour.base_transport import (
    Body,
    Endpoint,
    NoAnswer,
    Request,
    Transport,
)
from dropscale.magichour.calls import CONNECT_TIMEOUT, Answer

MAX_CALLS = 32
"""How many calls are on their way at a time."""

MAX_TRANSFERS = 32
"""How many files are moved at a time.

Each takes a connection and a file: with the calls that stays below the 256 descriptors that macOS
gives a process.
"""


_HEADERS = {"Connection": "close", "User-Agent": f"python-httpx/{httpx.__version__}"}


class AsyncTransport(Transport):
    """A transport for asyncio. It keeps nothing open, so there is nothing to close.

    Args:
        endpoint: the API.
        timeout: seconds to wait for the answer of a call, and for each piece of a transfer.
    """

    def __init__(self, endpoint: Endpoint, timeout: float) -> None:
        super().__init__(endpoint)
        self._timeout = httpx.Timeout(timeout, connect=min(CONNECT_TIMEOUT, timeout))
        self._places: WeakKeyDictionary[asyncio.AbstractEventLoop, _Places] = WeakKeyDictionary()

    async def exchange(self, request: Request) -> Answer | NoAnswer:
        """See `Transport.exchange`."""
        # A transfer has its place already, from `transfer`.
        async with nullcontext() if request.moves_file else self._places_here().calls:
            try:
                return await self._exchange(request)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                return NoAnswer(type(error).__name__, never_left=_never_left(error))

    async def sleep(self, seconds: float) -> None:
        """See `Transport.sleep`."""
        await asyncio.sleep(seconds)

    def transfer(self) -> AbstractAsyncContextManager[None]:
        """See `Transport.transfer`."""
        return self._places_here().transfers

    def _places_here(self) -> "_Places":
        return self._places.setdefault(asyncio.get_running_loop(), _Places())

    async def _exchange(self, request: Request) -> Answer:
        headers, content = {**_HEADERS, **request.headers}, None
        if request.body is not None:
            headers["Content-Length"] = str(len(request.body))
            content = _pieces(request.body)
        # Not by httpx's client, which writes every URL, signatures and all, into its log. A
        # transport per request costs 0.1 ms, less than a pool takes to go through its connections.
        async with httpx.AsyncHTTPTransport(
            verify=_tls_context(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")),
            trust_env=False,
            proxy=None if self.endpoint.loopback else _proxy(request.url),
        ) as transport:
            response = await transport.handle_async_request(
                httpx.Request(
                    request.method,
                    request.url,
                    headers=headers,
                    content=content,
                    extensions={"timeout": self._timeout.as_dict()},
                )
            )
            async with aclosing(response):
                sink, body = request.sink, b""
                if sink is None:
                    body = await response.aread()
                elif response.status_code == httpx.codes.OK:
                    sink.expect(response.headers)
                    async for piece in response.aiter_bytes():
                        sink.write(piece)
                return Answer(response.status_code, response.headers, body)


class _Places:
    """How much may go on at a time in one event loop."""

    def __init__(self) -> None:
        self.calls = asyncio.Semaphore(MAX_CALLS)
        self.transfers = asyncio.Semaphore(MAX_TRANSFERS)


async def _pieces(body: Body) -> AsyncIterator[bytes]:
    for piece in body:
        yield piece


@lru_cache
def _tls_context(_ca_file: str | None, _ca_dir: str | None) -> SSLContext:
    """Return a context, the same as long as the variables that httpx reads are."""
    return httpx.create_ssl_context()


def _proxy(url: str) -> str | None:
    parts, proxies = urlsplit(url), getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(parts.hostname or ""):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _never_left(error: Exception) -> bool:
    return isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError)
