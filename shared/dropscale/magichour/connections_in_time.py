"""urllib3 connections with a total time limit.

urllib3's time-out applies to each single wait: without a total limit, a server that sends one byte
of its headers or body a second would hold a request forever.
"""

import io
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

from urllib3 import PoolManager
from urllib3.connection import HTTPConnection

_END: ContextVar[float] = ContextVar("_END")
"""When the current request of this thread must end, by the monotonic clock."""


for _name in ("urllib3.connectionpool", "urllib3.connection", "urllib3.util.retry"):
    # These log whole URLs with their signatures; base_transport writes our log.
    logging.getLogger(_name).addFilter(lambda _record: _END.get(None) is None)


@contextmanager
def ends_in(seconds: float) -> Iterator[None]:
    """Limit connections that this thread makes in this block to so many seconds.

    Raises:
        TimeoutError: from their use, or what urllib3 turns it into.
    """
    token = _END.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _END.reset(token)


def limit_pools(manager: PoolManager) -> None:
    """Make a manager's connections limited in this way, also those through a proxy."""
    pools = manager.pool_classes_by_scheme
    manager.pool_classes_by_scheme = {scheme: _limited(pool) for scheme, pool in pools.items()}


@lru_cache
def _limited(pool: Any) -> Any:
    connection = type("LimitedConnection", (_InTime, pool.ConnectionCls), {})
    return type("LimitedPool", (pool,), {"ConnectionCls": connection})


class _InTime(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        self.sock: Any = _Socket(self.sock, _END.get())


class _Socket:
    """A plain or TLS socket that never waits longer than the time left."""

    def __init__(self, opened: socket.socket, end: float) -> None:
        self._opened = opened
        self._end = end

    def __getattr__(self, name: str) -> Any:
        return getattr(self._opened, name)

    def sendall(self, data: bytes) -> None:
        self.hurry()
        self._opened.sendall(data)

    def makefile(self, mode: str, *_: object, **__: object) -> io.BufferedReader:
        raw = self._opened.makefile("rb", buffering=0)
        return io.BufferedReader(_Reader(raw, self))

    def hurry(self) -> None:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer takes too long as a whole")
        each = self._opened.gettimeout()
        self._opened.settimeout(left if each is None else min(each, left))


class _Reader(io.RawIOBase):
    def __init__(self, raw: socket.SocketIO, opened: _Socket) -> None:
        super().__init__()
        self._raw = raw
        self._opened = opened

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._opened.hurry()
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()
