"""HTTP on asyncio, on httpx. Only `AsyncClient` needs this module.

httpx goes by the environment for proxies, except towards a loopback base URL, and for the CA
bundle (SSL_CERT_FILE, SSL_CERT_DIR).

Files are read and written in the event loop, in pieces of `base_transport.CHUNK`: that takes
microseconds, less than handing a piece to a thread, and cannot go on after a cancellation.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import lru_cache
from ssl import SSLContext
from weakref import WeakKeyDictionary

import httpx

from dropscale.magichour.base_transport import (
    CONNECT_TIMEOUT,
    Body,
    Endpoint,
    NoAnswer,
    Request,
    Transport,
)
from dropscale.magichour.calls import Answer

MAX_CALLS = 32
"""How many calls are on their way at a time."""

MAX_TRANSFERS = 32
"""How many files are moved at a time.

Each takes a connection and a file: with the calls that stays below the 256 descriptors that macOS
gives a process.
"""


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
        headers, content = {**request.headers, "Connection": "close"}, None
        if request.body is not None:
            headers["Content-Length"] = str(len(request.body))
            content = _pieces(request.body)
        # A client per request costs 0.1 ms, less than a pool takes to go through its connections.
        async with (
            httpx.AsyncClient(
                auth=httpx.Auth(),  # adds none, whatever the URL holds
                verify=_tls_context(
                    os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
                ),
                trust_env=not self.endpoint.loopback,
                timeout=self._timeout,
            ) as client,
            client.stream(
                request.method, request.url, headers=headers, content=content
            ) as response,
        ):
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


def _never_left(error: Exception) -> bool:
    return isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError)
