"""What the transports have in common: one request at a time, and what its outcome means.

A transport only moves bytes (`Transport.exchange`). Everything else about HTTP stands here, once:
which headers go where, what is an error, what of an answer may be shown.

Every call and every transfer has a connection of its own. A kept one may be dead without anybody
knowing, since a Lambda environment was frozen or a server hung up, and a paid create on a dead
connection has an outcome nobody knows. What is shared is the TLS context, the costly part of one.

The methods are coroutines. On a transport that blocks they never suspend (see `client.run`).
"""

import io
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import BinaryIO, TypeVar

from dropscale.magichour.calls import Answer, Call
from dropscale.magichour.errors import ConnectionLost, TransferFailed, Unreachable
from dropscale.magichour.urls import host_of, is_loopback, require_safe

T = TypeVar("T")

CHUNK = 64 * 1024
"""Bytes of a transfer that are held in memory at a time."""

Moved = Callable[[int, int | None], object]
"""Called with the bytes that were moved so far and, if it is known, the number of all."""


class Endpoint:
    """Where the API is, and the key that opens it.

    Args:
        token: the API key.
        base_url: https, or http on a loopback address.

    Raises:
        ValueError: the token cannot be sent in a header.
        UnsafeUrl: the base URL would send the token in clear.
    """

    def __init__(self, token: str | None, base_url: str) -> None:
        if token is None or not re.fullmatch(r"[!-~]+", token):
            raise ValueError(
                "the Magic Hour API key is missing, empty or has characters other than visible "
                "ASCII (a line break at its end?); pass the key alone"
            )
        require_safe(base_url, "base URL", loopback=True)
        self.base_url = base_url.rstrip("/")
        self.loopback = is_loopback(base_url)
        self._token = token

    def headers(self) -> dict[str, str]:
        """Return the headers of every call."""
        return {"Accept": "application/json", "Authorization": f"Bearer {self._token}"}

    def without_token(self, answer: Answer) -> Answer:
        """Return the answer as it may be shown: a refusal may quote the key."""
        body = (
            answer.body.replace(self._token.encode(), b"[key]") if answer.refused else answer.body
        )
        return Answer(answer.status, answer.headers, body)


class Body:
    """A request's body, read piece by piece, that knows whether any of it was taken to be sent."""

    def __init__(self, file: BinaryIO, size: int, moved: Moved | None = None) -> None:
        self._file = file
        self._size = size
        self._moved = moved
        self._done = 0
        self.taken = False
        self.failure: Exception | None = None

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        while piece := self.read(CHUNK):
            yield piece

    def read(self, size: int = -1) -> bytes:
        """Return the next piece; `failure` keeps what goes wrong with that."""
        self.taken = True
        try:
            piece = self._file.read(size)
            self._done += len(piece)
            if self._moved and piece:
                self._moved(self._done, self._size)
        except Exception as error:
            self.failure = error
            raise
        return piece


class Sink:
    """Where the body of a download goes, piece by piece."""

    def __init__(self, file: BinaryIO, moved: Moved | None = None) -> None:
        self._file = file
        self._moved = moved
        self._size: int | None = None
        self.written = 0

    def expect(self, headers: Mapping[str, str]) -> None:
        """Take note of the size that the answer announces."""
        value = headers.get("Content-Length", "")
        self._size = int(value) if re.fullmatch(r"[0-9]{1,18}", value) else None

    def write(self, piece: bytes) -> None:
        """Take the next piece."""
        self._file.write(piece)
        self.written += len(piece)
        if self._moved:
            self._moved(self.written, self._size)


@dataclass(frozen=True)
class Request:
    """What a transport sends.

    Attributes:
        sink: takes the body of a 200, as it comes; None: it is part of the answer.
    """

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Body | None = None
    sink: Sink | None = None

    @property
    def moves_file(self) -> bool:
        """Whether this is an upload or a download, not a call."""
        return self.method == "PUT" or self.sink is not None


@dataclass(frozen=True)
class NoAnswer:
    """No whole answer came.

    Attributes:
        cause: the class name of what happened; libraries' texts hold URLs.
        never_left: whether the connection was not even made.
    """

    cause: str
    never_left: bool


class Transport(ABC):
    """Sends calls to the API, and moves files to and from its storage."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    @abstractmethod
    async def exchange(self, request: Request) -> Answer | NoAnswer:
        """Send a request once, on a new connection, following no redirect.

        What writing to the sink raises comes through.
        """

    @abstractmethod
    async def sleep(self, seconds: float) -> None:
        """Wait."""

    @abstractmethod
    def transfer(self) -> AbstractAsyncContextManager[None]:
        """Wait until one more file may be open, to be uploaded or downloaded."""

    async def send(self, call: Call[T]) -> T:
        """Send a call once and return its model.

        Raises:
            MagicHourError: of the class that fits.
        """
        headers, body = self.endpoint.headers(), None
        if call.body is not None:
            headers["Content-Type"] = "application/json"
            body = Body(io.BytesIO(call.body), len(call.body))
        url = self.endpoint.base_url + call.path
        answer = await self.exchange(Request(call.method, url, headers, body))
        if isinstance(answer, NoAnswer):
            # A body is read only after the connection and TLS stand, so an unread one was not
            # sent. Without one (GET, DELETE) the kind of failure has to do.
            sent = not answer.never_left if body is None else body.taken
            raise (ConnectionLost if sent else Unreachable)(call.label, message=answer.cause)
        return call.parse(self.endpoint.without_token(answer))

    async def upload(self, url: str, file: BinaryIO, size: int, moved: Moved | None = None) -> None:
        """PUT the rest of a file, `size` bytes, to a signed URL, streaming, with a Content-Length.

        Raises:
            TransferFailed: the storage did not take it.
            UnsafeUrl: the URL is not https.
        """
        await self._transfer(Request("PUT", url, body=Body(file, size, moved)))

    async def download(self, url: str, file: BinaryIO, moved: Moved | None = None) -> int:
        """Write what a signed URL holds into a file, streaming; return the number of bytes.

        After an error the file holds a part of it. A body shorter than its Content-Length is an
        error (both HTTP libraries check that).

        Raises:
            TransferFailed: the storage did not give it, or not all of it.
            UnsafeUrl: the URL is not https.
        """
        sink = Sink(file, moved)
        await self._transfer(Request("GET", url, {"Accept-Encoding": "identity"}, sink=sink))
        return sink.written

    async def _transfer(self, request: Request) -> None:
        label = f"{request.method} {host_of(request.url)}"
        require_safe(request.url, label, loopback=self.endpoint.loopback)
        answer = await self.exchange(request)
        if request.body is not None and request.body.failure:
            raise request.body.failure  # urllib3 takes an OSError of the file for its own
        if isinstance(answer, NoAnswer):
            raise TransferFailed(label, message=answer.cause)
        # A download's 204 or 206 is no success: the sink took nothing.
        if answer.refused or (request.sink and answer.status != 200):
            raise TransferFailed(label, status=answer.status)
