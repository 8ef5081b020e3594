"""HTTP, blocking, on requests: sends calls with the token, moves files without it.

Every call and every transfer has a connection of its own. A kept one may have died while a Lambda
environment was frozen, and a paid create on a dead connection has an outcome nobody knows.

The environment's proxies and CA bundle are honoured, except towards loopback. `auth` is always
given, so that requests never takes credentials from a .netrc file or a URL.
"""

import io
import re
from typing import BinaryIO, TypeVar

import requests
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError, NewConnectionError

from dropscale.magichour.calls import CONNECT_TIMEOUT, Answer, Call
from dropscale.magichour.errors import (
    ConnectionLost,
    MagicHourError,
    TransferFailed,
    Unreachable,
)
from dropscale.magichour.urls import host_of, is_loopback, require_safe

T = TypeVar("T")

CHUNK = 256 * 1024
"""Bytes of a download held in memory."""

# requests wraps what urllib3 raises, but not in every place.
_HTTP_ERRORS = (requests.RequestException, HTTPError)


class Transport:
    """Sends calls to one base URL with one token.

    Args:
        token: the API key.
        base_url: where the API is; https, or http on a loopback address.
        timeout: seconds to wait for the answer of a call, and for each piece of a transfer.

    Raises:
        ValueError: the token cannot be sent in a header.
        UnsafeUrl: the base URL would send the token in clear.
    """

    def __init__(self, token: str, base_url: str, timeout: float) -> None:
        if not re.fullmatch(r"[!-~]+", token):
            raise ValueError(
                "the Magic Hour API key is empty or has characters other than visible ASCII "
                "(a line break at its end?); pass the key alone"
            )
        require_safe(base_url, "base URL", loopback=True)
        self._token = token
        self._base_url = base_url.rstrip("/")
        self._timeout = timeout
        self._loopback = is_loopback(base_url)

    def send(self, call: Call[T]) -> T:
        """Send a call once and return its model.

        Raises:
            MagicHourError: of the class that fits.
        """
        return call.parse(self._exchange(call))

    def upload(self, url: str, file: BinaryIO) -> None:
        """PUT the rest of a seekable file to a signed URL, streaming, with a Content-Length.

        Raises:
            TransferFailed: the storage did not take it.
            UnsafeUrl: the URL is not https.
        """
        request, status, message = f"PUT {host_of(url)}", None, None
        require_safe(url, request, loopback=self._loopback)
        try:
            status = _put(url, file, self._timeout)
        except _HTTP_ERRORS as error:
            message = _cause_name(error)
        if status is None or not 200 <= status < 300:
            raise TransferFailed(request, status=status, message=message)

    def download(self, url: str, file: BinaryIO) -> int:
        """Write what a signed URL holds into a file, streaming; return the number of bytes.

        After an error the file holds a part of it. A body shorter than its Content-Length is an
        error (urllib3 2 checks that).

        Raises:
            TransferFailed: the storage did not give it, or not all of it.
            UnsafeUrl: the URL is not https.
        """
        request, status, written, message = f"GET {host_of(url)}", None, 0, None
        require_safe(url, request, loopback=self._loopback)
        try:
            status, written = _get(url, file, self._timeout)
        except _HTTP_ERRORS as error:
            message = _cause_name(error)
        if status != requests.codes.ok:
            raise TransferFailed(request, status=status, message=message)
        return written

    def _exchange(self, call: Call[T]) -> Answer:
        headers, body = {"Accept": "application/json"}, None
        if call.body is not None:
            headers["Content-Type"], body = "application/json", _Body(call.body)
        try:
            with _Session(self._base_url) as session:
                response = session.request(
                    call.method,
                    self._base_url + call.path,
                    data=body,
                    headers=headers,
                    auth=_BearerAuth(self._token),
                    timeout=(min(CONNECT_TIMEOUT, self._timeout), self._timeout),
                )
        except _HTTP_ERRORS as error:
            failure = _failure(call.label, error, body)
        else:
            content = response.content
            if response.status_code >= 300:  # a refusal may quote the key
                content = content.replace(self._token.encode(), b"[key]")
            return Answer(response.status_code, response.headers, content)
        # Raised out here, so that no context carries the library's texts, which hold URLs.
        raise failure


class _BearerAuth(AuthBase):
    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class _NoAuth(AuthBase):
    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class _Body(io.BytesIO):
    """A request's body that knows whether any of it was taken to be sent."""

    taken = False

    def read(self, size: int | None = -1) -> bytes:
        self.taken = True
        return super().read(size)


class _Session(requests.Session):
    """Follows no redirect, and does not even prepare to: it would carry the token along."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.headers["Connection"] = "close"
        self.trust_env = not is_loopback(url)

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


def _put(url: str, file: BinaryIO, timeout: float) -> int:
    with _Session(url) as session:
        return session.put(url, data=file, auth=_NoAuth(), timeout=timeout).status_code


def _get(url: str, file: BinaryIO, timeout: float) -> tuple[int, int]:
    """Return the status, and how many bytes were written into the file."""
    headers = {"Accept-Encoding": "identity"}
    with (
        _Session(url) as session,
        session.get(url, headers=headers, auth=_NoAuth(), timeout=timeout, stream=True) as response,
    ):
        written = 0
        if response.status_code == requests.codes.ok:
            for chunk in response.iter_content(CHUNK):
                written += file.write(chunk)
        return response.status_code, written


def _failure(label: str, error: Exception, body: _Body | None) -> MagicHourError:
    """Tell a request that never left from one that may have arrived.

    With a body that is exact: it is read only after the connection and TLS stand, so an unread
    body was not sent. Without one (GET, DELETE) the kind of error has to do.
    """
    if body is not None:
        sent = body.taken
    else:
        sent = not isinstance(
            error,
            requests.ConnectTimeout | requests.exceptions.SSLError | requests.exceptions.ProxyError,
        ) and not isinstance(_cause(error), NewConnectionError)
    error_class = ConnectionLost if sent else Unreachable
    return error_class(label, message=_cause_name(error))


def _cause(error: BaseException) -> BaseException:
    """Return the error that requests and urllib3 wrapped."""
    inner = getattr(error, "reason", None) or next(reversed(error.args), None)
    return _cause(inner) if isinstance(inner, BaseException) else error


def _cause_name(error: Exception) -> str:
    return type(_cause(error)).__name__
