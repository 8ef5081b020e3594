"""What the transports have in common: one request at a time, and what its outcome means.

A transport only moves bytes (`Transport.exchange`). Everything else about HTTP is here, once: which
headers are sent where, what is an error, which parts of an answer may be shown.

Every call and every transfer has a connection of its own. A kept one may be dead unnoticed, because
a Lambda environment was frozen or a server closed it, and a paid create on a dead connection has an
unknown outcome. Only the TLS context, the expensive part, is shared.

The methods are coroutines. On a transport that blocks they never suspend (see `client.run`).
"""

import io
import logging
import re
import time
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import BinaryIO, ClassVar, TypeVar

from dropscale import __version__
from dropscale.magichour.calls import CONNECT_TIMEOUT, MAX_ANSWER, Answer, Call
from dropscale.magichour.environment import BadSetting, ProxySchemes, Route, route_to
from dropscale.magichour.errors import (
    ConnectionLost,
    MagicHourError,
    Misconfigured,
    TransferFailed,
    Unreachable,
)
from dropscale.magichour.params import Options, usable_timeout
from dropscale.magichour.urls import (
    VISIBLE_ASCII,
    fault_of_base_url,
    host_of,
    is_loopback,
    require_safe,
)

T = TypeVar("T")

CHUNK = 64 * 1024
"""Bytes of a transfer that are in memory at a time."""

MAX_DOWNLOAD = 1024 * 1024 * 1024
"""The largest download, in bytes; deliver's storage has room for three of these and an
original."""

TRANSFER_SECONDS = 3600.0
"""The default limit for one transfer: 512 MiB, the largest image, at 1.2 Mbit/s."""

_ZLIB_OR_GZIP = 47
"""zlib's `wbits` value for detecting either by its header."""

_NO_OPTIONS = Options()
_SIZE = re.compile(r"[0-9]{1,18}")

_USER_AGENT = f"dropscale/{__version__}"
_log = logging.getLogger("dropscale.magichour")
"""One line for each call and transfer, without keys, queries and signed URLs."""

Moved = Callable[[int, int | None], object]
"""Called with the bytes transferred so far and, if known, the total."""


class Endpoint:
    """The API's address and key.

    Args:
        token: the API key.
        base_url: https, or http on a loopback address.

    Raises:
        ValueError: the token cannot be sent in a header.
        Misconfigured: the base URL cannot be used, or would send the token unencrypted.
    """

    def __init__(self, token: str | None, base_url: str) -> None:
        if not token:
            raise ValueError(
                "there is no Magic Hour API key: token is None or empty (is its environment "
                "variable set?); create a key at https://magichour.ai/developer"
            )
        if not VISIBLE_ASCII.fullmatch(token):
            raise ValueError(
                "the Magic Hour API key has characters other than visible ASCII (a line break at "
                "its end?); pass only the key"
            )
        if fault := fault_of_base_url(base_url):
            raise Misconfigured("calls of the API", message=f"the base URL is not usable: {fault}")
        self.base_url = base_url.rstrip("/")
        self.loopback = is_loopback(base_url)
        self._token = token

    def headers(self) -> dict[str, str]:
        """Return the headers of every call."""
        return {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Authorization": f"Bearer {self._token}",
            "User-Agent": _USER_AGENT,
        }

    def without_token(self, text: str) -> str:
        """Return a text without the key, which an answer may quote."""
        return text.replace(self._token, "[key]")


class Body:
    """A request's body, read in pieces, which records whether any of it was read to be sent."""

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
        """Return the next piece; an error is kept in `failure`."""
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
    """Receives the body of a download in pieces."""

    def __init__(self, file: BinaryIO, moved: Moved | None = None) -> None:
        self._file = file
        self._moved = moved
        self._size: int | None = None
        self.written = 0
        self.is_too_long = False
        self.failure: Exception | None = None

    def expect(self, headers: Mapping[str, str]) -> None:
        """Note the size that the answer announces."""
        value = headers.get("Content-Length", "")
        self._size = int(value) if _SIZE.fullmatch(value) else None

    def take(self, piece: bytes) -> bool:
        """Take the next piece; return whether more is wanted.

        An error is kept in `failure`.
        """
        if self.written + len(piece) > MAX_DOWNLOAD:
            self.is_too_long = True
            return False
        try:
            self._file.write(piece)
            self.written += len(piece)
            if self._moved:
                self._moved(self.written, self._size)
        except Exception as error:
            self.failure = error
            raise
        return True


class AnswerBody:
    """The body of an answer, read up to one byte over the limit: then it is too long."""

    def __init__(self) -> None:
        self.data = bytearray()

    def take(self, piece: bytes) -> bool:
        """Take the next piece; return whether more is wanted."""
        self.data += piece
        return len(self.data) <= MAX_ANSWER


class Incoming:
    """Passes the body of an answer to its receiver.

    No compression is requested; a body that is compressed anyway is inflated in pieces, so that a
    small one that inflates to gigabytes is only too long.
    """

    def __init__(self, receiver: Sink | AnswerBody | None, headers: Mapping[str, str]) -> None:
        self._receiver = receiver
        encoding = headers.get("Content-Encoding", "").strip().lower()
        is_deflated = encoding in {"gzip", "x-gzip", "deflate"}
        self._inflater = zlib.decompressobj(_ZLIB_OR_GZIP) if is_deflated else None
        self._is_open = receiver is not None

    @property
    def is_wanted(self) -> bool:
        """Whether there is a receiver."""
        return self._receiver is not None

    def take(self, piece: bytes) -> bool:
        """Take the next piece as received; return whether more is wanted.

        Raises:
            zlib.error: it is not compressed as its headers say.
        """
        if self._receiver is None or self._inflater is None:
            return self._receiver is not None and self._receiver.take(piece)
        while self._is_open:
            inflated = self._inflater.decompress(piece, CHUNK)
            piece = self._inflater.unconsumed_tail
            self._is_open = self._receiver.take(inflated)
            if not piece and len(inflated) < CHUNK:
                break
        return self._is_open

    def end(self) -> bytes:
        """Return the part of the body that belongs to the answer.

        Raises:
            EOFError: the compressed body is incomplete.
        """
        if self._inflater and not self._inflater.eof and self._is_open:
            raise EOFError
        return bytes(self._receiver.data) if isinstance(self._receiver, AnswerBody) else b""


@dataclass(frozen=True)
class Request:
    """What a transport sends.

    Attributes:
        label: its name in the log and in errors.
        timeout: seconds to wait for the answer, or for each piece of a transfer.
        sink: takes the body of a 200 as it arrives; None: it is part of the answer.
    """

    label: str
    timeout: float

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Body | None = None
    sink: Sink | None = None

    @property
    def moves_file(self) -> bool:
        """Whether this is an upload or a download, not a call."""
        return self.method == "PUT" or self.sink is not None

    def incoming(self, status: int, headers: Mapping[str, str]) -> Incoming:
        """Return what receives the body of an answer."""
        if self.sink is None:
            return Incoming(AnswerBody(), headers)
        if status != HTTPStatus.OK:
            return Incoming(None, headers)
        self.sink.expect(headers)
        return Incoming(self.sink, headers)


@dataclass(frozen=True)
class NoAnswer:
    """There was no complete answer.

    Attributes:
        cause: the class name of the error, because libraries' messages contain URLs; for a setting
            that cannot work, its name and why.
        never_left: whether there was not even a connection.
        is_setting: whether nothing was tried because of a setting.
    """

    cause: str
    never_left: bool
    is_setting: bool = False


class Transport(ABC):
    """Sends calls to the API, and transfers files to and from its storage.

    Args:
        endpoint: the API.
        timeout: seconds to wait for the answer of a call, and for each piece of a transfer; None:
            a day.
        transfer_seconds: the limit for one transfer as a whole; None: a day.

    Raises:
        Misconfigured: a time-out is not valid.
    """

    proxy_schemes: ClassVar[ProxySchemes]

    def __init__(
        self,
        endpoint: Endpoint,
        timeout: float | None,
        transfer_seconds: float | None = TRANSFER_SECONDS,
    ) -> None:
        self.endpoint = endpoint
        self._timeout = usable_timeout(timeout)
        self._transfer_seconds = usable_timeout(transfer_seconds)
        self._is_closed = False

    def close(self) -> None:
        """Refuse further requests; nothing is open that needs closing."""
        self._is_closed = True

    def longest(self, request: Request) -> float:
        """Return the seconds that a request may take in all, however slowly its answer arrives."""
        if request.moves_file:
            return self._transfer_seconds
        return request.timeout + min(CONNECT_TIMEOUT, request.timeout)

    @abstractmethod
    async def exchange(self, request: Request, route: Route) -> Answer:
        """Send a request once, on a new connection, without redirects, within `longest` seconds.

        Everything it raises comes from the HTTP library, except what the request's body or sink
        raises.
        """

    @abstractmethod
    def no_answer(self, error: Exception) -> NoAnswer:
        """Return what an error that `exchange` raised means."""

    @abstractmethod
    async def sleep(self, seconds: float) -> None:
        """Wait."""

    @abstractmethod
    def transfer(self) -> AbstractAsyncContextManager[None]:
        """Wait until another file may be opened for a transfer."""

    async def send(self, call: Call[T], options: Options = _NO_OPTIONS) -> T:
        """Send a call once and return its model.

        Raises:
            MagicHourError: of the class that fits.
        """
        headers, body = {**self.endpoint.headers(), **options.headers}, None
        if call.body is not None:
            headers["Content-Type"] = "application/json"
            body = Body(io.BytesIO(call.body), len(call.body))
        url = self.endpoint.base_url + call.path + options.query
        timeout = options.timeout_or(self._timeout)
        request = Request(call.label, timeout, call.method, url, headers, body)
        answer = await self._attempt(request)
        if isinstance(answer, NoAnswer):
            # A body is read only after the connection and TLS are ready, so an unread one was not
            # sent. Without a body (GET, DELETE) the kind of failure decides.
            sent = not answer.never_left if body is None else body.taken
            error_class: type[MagicHourError] = ConnectionLost if sent else Unreachable
            if answer.is_setting:
                error_class = Misconfigured
            raise error_class(call.label, message=answer.cause)
        return call.parse(answer, self.endpoint.without_token)

    async def _attempt(self, request: Request) -> Answer | NoAnswer:
        """Send a request once; return a `NoAnswer` for every error of the HTTP library.

        Errors of reading the request's body or writing to its sink are raised.
        """
        answer: Answer | NoAnswer
        began = time.monotonic()
        try:
            if self._is_closed:
                raise BadSetting("the client is closed")
            direct = self.endpoint.loopback
            route = route_to(request.url, self.proxy_schemes, direct=direct)
            answer = await self.exchange(request, route)
        except BadSetting as error:
            answer = NoAnswer(str(error), never_left=True, is_setting=True)
        except Exception as error:  # libraries also raise undocumented errors, such as ValueError
            answer = self.no_answer(error)
        outcome = answer.cause if isinstance(answer, NoAnswer) else answer.status
        _log.debug("%s: %s in %.2f s", request.label, outcome, time.monotonic() - began)
        for part in (request.body, request.sink):
            if part is not None and part.failure:
                raise part.failure  # urllib3 treats an OSError of the file as its own
        return answer

    async def upload(self, url: str, file: BinaryIO, size: int, moved: Moved | None = None) -> None:
        """PUT the rest of a file, `size` bytes, to a signed URL, streaming, with a Content-Length.

        Raises:
            TransferFailed: the storage did not accept it.
            Misconfigured: a proxy or the certificates of the environment cannot be used.
            UnsafeUrl: the URL is not https.
        """
        await self._transfer("PUT", url, {}, body=Body(file, size, moved))

    async def download(self, url: str, file: BinaryIO, moved: Moved | None = None) -> int:
        """Download a signed URL into a file, streaming; return the number of bytes.

        After an error the file has a part of it. A body shorter than its Content-Length is an
        error (both HTTP libraries check that).

        Raises:
            TransferFailed: the storage did not return it, or not all of it.
            Misconfigured: a proxy or the certificates of the environment cannot be used.
            UnsafeUrl: the URL is not https.
        """
        sink = Sink(file, moved)
        await self._transfer("GET", url, {"Accept-Encoding": "identity"}, sink=sink)
        return sink.written

    async def _transfer(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Body | None = None,
        sink: Sink | None = None,
    ) -> None:
        label = f"{method} {host_of(url)}"
        require_safe(url, label, loopback=self.endpoint.loopback)
        headers = {**headers, "User-Agent": _USER_AGENT}
        request = Request(label, self._timeout, method, url, headers, body, sink)
        answer = await self._attempt(request)
        if isinstance(answer, NoAnswer):
            failed = Misconfigured if answer.is_setting else TransferFailed
            raise failed(label, message=answer.cause)
        if request.sink and request.sink.is_too_long:
            raise TransferFailed(label, message=f"it is longer than {MAX_DOWNLOAD} bytes")
        # A download's 204 or 206 is not a success: the sink received nothing.
        if answer.is_refusal or (request.sink and answer.status != HTTPStatus.OK):
            raise TransferFailed(label, status=answer.status)
