"""The embedded API as a server on 127.0.0.1."""

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_bytes, token_urlsafe
from tempfile import TemporaryDirectory
from threading import Event, Thread
from types import TracebackType
from typing import TYPE_CHECKING, Self

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from dropscale.upscaler import DOWNLOAD_URL_HOURS, UPLOAD_DAYS
from dropscale_embedded.access_control import access_controlled
from dropscale_embedded.api.access import ApiAccess, refusal_response
from dropscale_embedded.api.account_file import AccountFile
from dropscale_embedded.api.app import StorageUrls, create_app
from dropscale_embedded.api.engines import Engine
from dropscale_embedded.api.fault_injection import FaultInjection
from dropscale_embedded.api.faults import FaultPlan, Faults
from dropscale_embedded.api.projects import (
    CONCURRENT_JOBS_BY_TIER,
    Book,
    Clock,
    Projects,
    Tier,
)
from dropscale_embedded.api.rendering import RenderPool
from dropscale_embedded.api.storage import Storage, UrlSigner
from dropscale_embedded.api.webhooks import Webhooks

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

_HOST = "127.0.0.1"
_UPLOAD_URL_LIFETIME = timedelta(hours=1)
_STORAGE_LIFETIME = timedelta(days=UPLOAD_DAYS)


class _Server(ThreadedWSGIServer):
    daemon_threads = False  # Closing the server then waits for running requests.


class _RequestHandler(WSGIRequestHandler):
    timeout = 10  # Seconds that a silent client may delay the stop of the server.
    disable_nagle_algorithm = True  # Headers and body are two writes; the second would wait.

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Do not log: the book has what matters."""

    def connection_dropped(
        self, error: BaseException, environ: "WSGIEnvironment | None" = None
    ) -> None:
        """Reset the connection: its client is gone, or the fault plan says so."""
        # Closing with a linger time of 0 sends RST instead of FIN.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.rfile.close()
        self.connection.close()


def _utc_now() -> datetime:
    return datetime.now(UTC)


class EmbeddedApi:
    """A context manager that serves the Magic Hour API while it is open.

    All threads end with it, and so does the account, unless a folder stores it: unfinished projects
    are then rendered when the folder is opened again. It can be opened once.

    Attributes:
        token: the API key that it accepts.
        faults: the running fault plan, which may be changed at any time.
    """

    def __init__(  # noqa: PLR0913 # all by name, and most of them are tests' to choose
        self,
        *,
        engine: Engine,
        port: int = 0,
        token: str | None = None,
        workers: int | None = None,
        credits_granted: int = 1_000_000,
        tier: Tier = Tier.BUSINESS,
        concurrent_jobs: int | None = None,
        download_url_lifetime: timedelta = timedelta(hours=DOWNLOAD_URL_HOURS),
        clock: Clock = _utc_now,
        faults: FaultPlan | None = None,
        folder: Path | None = None,
    ) -> None:
        """Prepare the API; nothing runs yet.

        Args:
            engine: the engine that upscales.
            port: the TCP port; 0 picks any free one.
            token: the API key to accept; a random one by default.
            workers: how many projects render at a time; as many as there are cores by default.
            credits_granted: the account's credits.
            tier: the account's plan.
            concurrent_jobs: how many jobs may be unfinished at once; the tier's number by default:
                unlimited on business.
            download_url_lifetime: how long a download URL is valid.
            clock: the current time, in UTC.
            faults: the fault plan; empty by default.
            folder: stores the account, and uploads and outputs for seven days; None: a temporary
                one, with the account in memory. Only one API may have it open.
        """
        self.token = token or token_urlsafe(24)
        self.faults = Faults(faults or FaultPlan())
        self._engine = engine
        self._folder = folder
        self._clock = clock
        self._port = port
        self._workers = workers or os.cpu_count() or 1
        self._webhooks = Webhooks(
            self.faults,
            lambda project: self._urls.project(project, self.base_url).model_dump(mode="json"),
        )
        self._projects = Projects(
            credits_granted=credits_granted,
            tier=tier,
            clock=clock,
            concurrent_jobs=concurrent_jobs or CONCURRENT_JOBS_BY_TIER.get(tier),
            changed=self._webhooks.announce,
        )
        self._urls = StorageUrls(
            signer=UrlSigner(key=token_bytes(32), clock=clock),
            upload_lifetime=_UPLOAD_URL_LIFETIME,
            download_lifetime=download_url_lifetime,
        )
        self._stack = ExitStack()

    def create_webhook(self, url: str) -> str:
        """Send signed events of all projects to a URL from now on; return the webhook's secret.

        At the vendor, the account's owner does this on the Developer Hub page.

        Raises:
            UrlRefused: nothing is sent outside this machine.
        """
        return self._webhooks.create(url)

    @property
    def book(self) -> Book:
        """Every create, charge and refund; still readable after the API was closed."""
        return self._projects.book

    @property
    def base_url(self) -> str:
        """The `base_url` for clients; the port is known once the API is open."""
        return f"http://{_HOST}:{self._port}"

    def __enter__(self) -> Self:
        """Open the API; it answers from now on.

        Raises:
            OSError: the port is taken, or the folder cannot be used.
            FileUnusable: the folder's account is not ours.
        """
        with ExitStack() as stack:
            folder = self._folder or Path(stack.enter_context(TemporaryDirectory()))
            folder = folder.resolve()  # Flask resolves a relative path in its own folder.
            storage = _opened_storage(folder / "storage", self._clock() - _STORAGE_LIFETIME)
            kept = folder / "account.sqlite" if self._folder else Path(":memory:")
            account = stack.enter_context(AccountFile.opened(kept))
            unfinished = self._projects.restore(account)
            stack.enter_context(self._webhooks)
            pool = RenderPool(
                projects=self._projects,
                storage=storage,
                engine=self._engine,
                workers=self._workers,
                faults=self.faults,
            )
            stack.callback(pool.close)
            stopping = Event()
            app = create_app(
                projects=self._projects,
                storage=storage,
                urls=self._urls,
                submit=pool.submit,
                injection=FaultInjection(self.faults, self._projects, stopping),
                create_webhook=self._webhooks.create,
            )
            access = ApiAccess(self._urls.signer, self.token)
            self._port = stack.enter_context(_serving(app, self._port, access))
            stack.callback(stopping.set)
            for project in unfinished:
                pool.submit(project.id)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop answering, abandon unfinished projects, wait for every thread."""
        self._stack.close()


def _opened_storage(folder: Path, oldest: datetime) -> Storage:
    folder.mkdir(parents=True, exist_ok=True)
    storage = Storage(folder)
    storage.delete_older(oldest)
    return storage


def _listening(port: int) -> socket.socket:
    try:
        return socket.create_server((_HOST, port))
    except OSError as error:
        number = error.errno or 0
        raise OSError(number, os.strerror(number), f"port {port} on {_HOST}") from error


@contextmanager
def _serving(app: "WSGIApplication", port: int, access: ApiAccess) -> Iterator[int]:
    """Serve the application, with access control, from a thread; yield the port."""
    # Bound here, because Werkzeug ends the whole program when a port is taken.
    with _listening(port) as listener:
        controlled = access_controlled(
            app,
            port=listener.getsockname()[1],
            authenticate=access,
            refusal=refusal_response,
        )
        server = _Server(_HOST, port, controlled, _RequestHandler, fd=listener.fileno())
    thread = Thread(target=server.serve_forever, args=(0.01,), name="embedded-api", daemon=True)
    thread.start()
    try:
        yield server.port
    finally:
        server.shutdown()
        thread.join()
