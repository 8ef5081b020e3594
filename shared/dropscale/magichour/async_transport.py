"""HTTP on asyncio, on httpx. Only `AsyncClient` needs this module.

httpx goes by the environment for proxies, except towards a loopback base URL, and for the CA
bundle (SSL_CERT_FILE, SSL_CERT_DIR).

Files are read and written in the event loop, in pieces of `connections.CHUNK`: that takes
microseconds, less than handing a piece to a thread, and cannot go on after a cancellation.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import lru_cache
from ssl import SSLContext

import httpx

from dropscale.magichour.calls import Answer
from dropscale.magichour.connections import (
    CONNECT_TIMEOUT,
    Body,
    Connections,
    Endpoint,
    NoAnswer,
    Request,
)

MAX_CONNECTIONS = 64
"""How many connections are open at a time, of those that may be reused and of the others each.

With a file for each transfer that stays below the 256 descriptors that macOS gives a process.
"""

MAX_TRANSFERS = 32
"""How many files are moved at a time."""

_KEPT_SECONDS = 2.0  # Servers hang up after 5 seconds or more.


class AsyncTransport:
    """A `dropscale.magichour.connections.Transport` for one event loop at a time.

    All calls that are on their way share their connections, which are closed when the last of them
    ends. So there is nothing to close, and a call that is cancelled leaves nothing open.

    Args:
        endpoint: the API.
        timeout: seconds to wait for the answer of a call, and for each piece of a transfer.
    """

    def __init__(self, endpoint: Endpoint, timeout: float) -> None:
        self._endpoint = endpoint
        self._timeout = timeout
        self._users = 0
        self._connections: AsyncConnections | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["AsyncConnections"]:
        """See `Transport.opened`."""
        if self._connections is None:
            self._connections = AsyncConnections(self._endpoint, self._timeout)
        connections = self._connections
        self._users += 1
        try:
            yield connections
        finally:
            self._users -= 1
            if not self._users:
                self._connections = None
                await connections.close()


class AsyncConnections(Connections):
    """Two pools: one keeps connections alive for what may reuse them, one keeps none."""

    def __init__(self, endpoint: Endpoint, timeout: float) -> None:
        super().__init__(endpoint)
        self._transfers = asyncio.Semaphore(MAX_TRANSFERS)
        self._pools = {
            reuse: httpx.AsyncClient(
                auth=httpx.Auth(),  # adds none, whatever the URL holds
                verify=_tls_context(
                    os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
                ),
                trust_env=not endpoint.loopback,
                # Waiting for a connection is not waiting for an answer.
                timeout=httpx.Timeout(timeout, connect=min(CONNECT_TIMEOUT, timeout), pool=None),
                limits=httpx.Limits(
                    max_connections=MAX_CONNECTIONS,
                    max_keepalive_connections=MAX_CONNECTIONS if reuse else 0,
                    keepalive_expiry=_KEPT_SECONDS,
                ),
            )
            for reuse in (True, False)
        }

    async def close(self) -> None:
        """Close what is open."""
        for pool in self._pools.values():
            await pool.aclose()

    async def exchange(self, request: Request) -> Answer | NoAnswer:
        """See `Connections.exchange`."""
        headers, content = dict(request.headers), None
        if request.body is not None:
            headers["Content-Length"] = str(len(request.body))
            content = _pieces(request.body)
        pool = self._pools[request.may_reuse_connection]
        try:
            async with pool.stream(
                request.method, request.url, headers=headers, content=content
            ) as response:
                sink, body = request.sink, b""
                if sink is None:
                    body = await response.aread()
                elif response.status_code == httpx.codes.OK:
                    sink.expect(response.headers)
                    async for piece in response.aiter_bytes():
                        sink.write(piece)
                return Answer(response.status_code, response.headers, body)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return NoAnswer(type(error).__name__, never_left=_never_left(error))

    async def sleep(self, seconds: float) -> None:
        """See `Connections.sleep`."""
        await asyncio.sleep(seconds)

    def transfer(self) -> AbstractAsyncContextManager[None]:
        """See `Connections.transfer`."""
        return self._transfers


async def _pieces(body: Body) -> AsyncIterator[bytes]:
    for piece in body:
        yield piece


@lru_cache
def _tls_context(_ca_file: str | None, _ca_dir: str | None) -> SSLContext:
    """Return a context, the same as long as the variables that httpx reads are."""
    return httpx.create_ssl_context()


def _never_left(error: Exception) -> bool:
    return isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError)
