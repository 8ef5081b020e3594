"""HTTP for asyncio, with httpx. Only `AsyncClient` needs this module.

`environment` chooses the proxy and the certificates; httpx itself reads no environment variables.

Files are read and written in the event loop, in pieces of `base_transport.CHUNK`: that takes
microseconds, less than passing a piece to a thread, and cannot continue after a cancellation.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from types import MappingProxyType
from weakref import WeakKeyDictionary

import httpx

from dropscale.magichour.base_transport import (
    TRANSFER_SECONDS,
    Body,
    Endpoint,
    NoAnswer,
    Request,
    Transport,
)
from dropscale.magichour.calls import CONNECT_TIMEOUT, Answer
from dropscale.magichour.environment import Library, Route

MAX_CALLS = 32
"""The most calls at a time."""

MAX_TRANSFERS = 32
"""The most files that are transferred at a time.

Each takes a connection and a file: together with the calls, that stays below the 256 descriptors
that macOS allows a process.
"""


class AsyncTransport(Transport):
    """A transport for asyncio. It keeps nothing open, so there is nothing to close.

    See `Transport` for its arguments.
    """

    proxy_schemes = MappingProxyType(
        {"http": None, "https": None}
        | dict.fromkeys(("socks5", "socks5h"), Library("socksio", "httpx[socks]"))
    )

    def __init__(
        self,
        endpoint: Endpoint,
        timeout: float | None,
        transfer_seconds: float | None = TRANSFER_SECONDS,
    ) -> None:
        super().__init__(endpoint, timeout, transfer_seconds)
        self._places: WeakKeyDictionary[asyncio.AbstractEventLoop, _Places] = WeakKeyDictionary()

    async def exchange(self, request: Request, route: Route) -> Answer:
        """See `Transport.exchange`."""
        # A transfer already has its place, from `transfer`.
        async with nullcontext() if request.moves_file else self._places_here().calls:
            async with asyncio.timeout(self.longest(request)):
                return await self._exchange(request, route)

    def no_answer(self, error: Exception) -> NoAnswer:
        """See `Transport.no_answer`."""
        refused = httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError
        return NoAnswer(type(error).__name__, never_left=isinstance(error, refused))

    async def sleep(self, seconds: float) -> None:
        """See `Transport.sleep`."""
        await asyncio.sleep(seconds)

    def transfer(self) -> AbstractAsyncContextManager[None]:
        """See `Transport.transfer`."""
        return self._places_here().transfers

    def _places_here(self) -> "_Places":
        return self._places.setdefault(asyncio.get_running_loop(), _Places())

    async def _exchange(self, request: Request, route: Route) -> Answer:
        headers, content = {**request.headers, "Connection": "close"}, None
        seconds = request.timeout
        timeout = httpx.Timeout(seconds, connect=min(CONNECT_TIMEOUT, seconds))
        if request.body is not None:
            headers["Content-Length"] = str(len(request.body))
            content = _pieces(request.body)
        # Without httpx's client, which logs every URL with its signature. A transport per request
        # costs 0.1 ms, less than a pool takes to check its connections.
        async with httpx.AsyncHTTPTransport(
            verify=route.tls, trust_env=False, proxy=route.proxy
        ) as transport:
            response = await transport.handle_async_request(
                httpx.Request(
                    request.method,
                    request.url,
                    headers=headers,
                    content=content,
                    extensions={"timeout": timeout.as_dict()},
                )
            )
            async with aclosing(response):
                incoming = request.incoming(response.status_code, response.headers)
                if incoming.is_wanted:
                    async for piece in response.aiter_raw():
                        if not incoming.take(piece):
                            break
                return Answer(response.status_code, response.headers, incoming.end())


class _Places:
    """The limits on calls and transfers at a time, in one event loop."""

    def __init__(self) -> None:
        self.calls = asyncio.Semaphore(MAX_CALLS)
        self.transfers = asyncio.Semaphore(MAX_TRANSFERS)


async def _pieces(body: Body) -> AsyncIterator[bytes]:
    for piece in body:
        yield piece
