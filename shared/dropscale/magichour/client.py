"""The clients, with the call signatures of the vendor's Python SDK.

`AsyncClient` offers the coroutines of `resources`; `Client` runs the same ones to completion on a
blocking transport. The transports are imported when a client is created: an HTTP library is the
largest part of this package's import time, and each client needs a different one.
"""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, BinaryIO, Concatenate, Generic, ParamSpec, Self, TypeVar

from dropscale.magichour import resources
from dropscale.magichour.base_transport import TRANSFER_SECONDS, Endpoint, Transport
from dropscale.magichour.params import Environment
from dropscale.magichour.polling import Polling

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

DEFAULT_TIMEOUT = 60.0


class AsyncClient:
    """Client of the Magic Hour API for asyncio; needs httpx (`pip install 'dropscale[async]'`).

    A cancelled call leaves nothing open. Arguments and errors are those of `Client`.

    Raises:
        ImportError: httpx is not installed.
    """

    def __init__(
        self,
        *,
        token: str | None,
        base_url: str | None = None,
        environment: Environment = Environment.ENVIRONMENT,
        timeout: float | None = DEFAULT_TIMEOUT,
        transfer_timeout: float | None = TRANSFER_SECONDS,
        polling: Polling | None = None,
    ) -> None:
        try:
            from dropscale.magichour.async_transport import AsyncTransport  # noqa: PLC0415
        except ModuleNotFoundError as error:
            if error.name != "httpx":
                raise
            raise ImportError(
                "AsyncClient needs httpx: pip install 'dropscale[async]'", name="httpx"
            ) from None
        endpoint = Endpoint(token, base_url or environment.value)
        self._transport: Transport = AsyncTransport(endpoint, timeout, transfer_timeout)
        self.v1 = resources.AsyncV1Client(self._transport, polling or Polling())

    async def download(self, url: str, file: BinaryIO) -> int:
        """See `Client.download`."""
        return await resources.download(self._transport, url, file)

    async def aclose(self) -> None:
        """See `Client.close`."""
        self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class Client:
    """Client of the Magic Hour API. It keeps no connections, so it need not be closed.

    No call is repeated automatically; only `generate` and `check_result` continue polling after a
    transient error, and try a failed download once more.

    Args:
        token: the API key.
        base_url: where the API is; https, or http on a loopback address; None: `environment`.
        environment: one of the vendor's own addresses.
        timeout: seconds to wait for the answer of a call; connecting may take another
            `calls.CONNECT_TIMEOUT`. A call takes at most both together. None: a day.
        transfer_timeout: seconds that one transfer may take; each piece, as long as a call.
            None: a day.
        polling: how `generate` and `check_result` wait.

    Raises:
        ValueError: the token cannot be an API key.
        Misconfigured: the base URL or the time-out cannot be used.
    """

    def __init__(
        self,
        *,
        token: str | None,
        base_url: str | None = None,
        environment: Environment = Environment.ENVIRONMENT,
        timeout: float | None = DEFAULT_TIMEOUT,
        transfer_timeout: float | None = TRANSFER_SECONDS,
        polling: Polling | None = None,
    ) -> None:
        from dropscale.magichour.transport import BlockingTransport  # noqa: PLC0415

        endpoint = Endpoint(token, base_url or environment.value)
        self._transport: Transport = BlockingTransport(endpoint, timeout, transfer_timeout)
        self.v1 = V1Client(resources.AsyncV1Client(self._transport, polling or Polling()))

    def download(self, url: str, file: BinaryIO) -> int:
        """Download a URL into a file, streaming; return the number of bytes.

        Raises:
            TransferFailed: it is incomplete (transient: the file has a part of it), or the URL has
                expired (`expired`: a new GET of the project returns another).
            Misconfigured: a proxy or the certificates of the environment cannot be used.
            UnsafeUrl: the URL is not https.
        """
        return run(resources.download(self._transport, url, file))

    def close(self) -> None:
        """Close this client: every further call raises `Misconfigured`."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends, because everything it awaits blocks instead.

    Raises:
        RuntimeError: it did suspend.
    """
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    coroutine.close()
    raise RuntimeError("a coroutine suspended on the blocking transport")


class _Blocking(Generic[R]):
    """The blocking counterpart of a class of `resources`."""

    def __init__(self, resource: R) -> None:
        self._resource = resource


def _blocking(
    method: Callable[Concatenate[R, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[_Blocking[R], P], T]:
    """Make the blocking method of a coroutine method: same name, arguments and docstring."""

    @wraps(method)
    def call(self: _Blocking[R], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return run(method(self._resource, *args, **kwargs))

    return call


class AccountClient(_Blocking[resources.AsyncAccountClient]):
    """`/v1/account`."""

    list = _blocking(resources.AsyncAccountClient.list)


class UploadUrlsClient(_Blocking[resources.AsyncUploadUrlsClient]):
    """`/v1/files/upload-urls`."""

    create = _blocking(resources.AsyncUploadUrlsClient.create)


class FilesClient(_Blocking[resources.AsyncFilesClient]):
    """`/v1/files`."""

    upload_file = _blocking(resources.AsyncFilesClient.upload_file)

    def __init__(self, resource: resources.AsyncFilesClient) -> None:
        super().__init__(resource)
        self.upload_urls = UploadUrlsClient(resource.upload_urls)


class ImageProjectsClient(_Blocking[resources.AsyncImageProjectsClient]):
    """`/v1/image-projects`."""

    get = _blocking(resources.AsyncImageProjectsClient.get)
    delete = _blocking(resources.AsyncImageProjectsClient.delete)
    check_result = _blocking(resources.AsyncImageProjectsClient.check_result)


class AiImageUpscalerClient(_Blocking[resources.AsyncAiImageUpscalerClient]):
    """`/v1/ai-image-upscaler`."""

    create = _blocking(resources.AsyncAiImageUpscalerClient.create)
    generate = _blocking(resources.AsyncAiImageUpscalerClient.generate)


class V1Client:
    """Version 1 of the API."""

    def __init__(self, v1: resources.AsyncV1Client) -> None:
        self.account = AccountClient(v1.account)
        self.files = FilesClient(v1.files)
        self.image_projects = ImageProjectsClient(v1.image_projects)
        self.ai_image_upscaler = AiImageUpscalerClient(v1.ai_image_upscaler)
