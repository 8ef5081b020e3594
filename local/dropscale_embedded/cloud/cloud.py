"""The embedded cloud: a SAM template's stack, running on this machine."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends

from dropscale_embedded.access_control import access_controlled
from dropscale_embedded.cloud.aws_clients import ClientFactory, drawn_credentials
from dropscale_embedded.cloud.aws_signatures import SignatureCheck
from dropscale_embedded.cloud.error_response import refusal_response
from dropscale_embedded.cloud.errors import AlreadyRunningError
from dropscale_embedded.cloud.function_urls import function_urls, is_function_url
from dropscale_embedded.cloud.functions import function_config, layer_folders
from dropscale_embedded.cloud.journalled_tables import replay
from dropscale_embedded.cloud.lambda_workers import FunctionConfig, FunctionPool, Invocation
from dropscale_embedded.cloud.log_file import opened_log
from dropscale_embedded.cloud.moto_hooks import hooked_moto, put_deleted_version, wake_queues
from dropscale_embedded.cloud.moto_server import (
    HOST,
    end_executions,
    listening_socket,
    served_moto,
)
from dropscale_embedded.cloud.names import StackContext
from dropscale_embedded.cloud.object_events import ObjectEvents
from dropscale_embedded.cloud.queue_mapping import QueuePoller, function_queue_mappings
from dropscale_embedded.cloud.resources import create_resources
from dropscale_embedded.cloud.schedule import Schedule, function_schedules
from dropscale_embedded.cloud.stack_descriptions import stack_descriptions
from dropscale_embedded.cloud.template import Stack, read_template, resolve_template
from dropscale_embedded.journal import Journal
from dropscale_embedded.workers.processes import StartWorker, base_environment, fork_server

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

_NEW_STACK_SECONDS = 5.0
"""When schedules of a new stack first fire: it has nothing to do for them yet, and a short run ends
before. Without a start date, a rate schedule fires when it is created, within a minute:
https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html"""

_one_per_process = threading.Lock()


class EmbeddedCloud:
    """A context manager that runs a SAM template's stack until it is left; used once.

    Functions run in worker processes with the template's environment variables; queues and
    schedules invoke them, state machines call them. Permissions, encryption and retention are not
    simulated; a template with anything not known to be safe to omit is refused. Only requests
    signed with `credentials` are answered, and each cloud has its own.

    Args:
        template: The SAM template; its paths are relative to its folder.
        parameters: Stack parameters; the template's defaults for the rest.
        secrets: Secret values by logical id; a secret not named is created without a value.
        stack_name: Part of every resource's name.
        port: The endpoint's port on loopback; The port; 0 picks a free one.
        log: Where the cloud and its functions log: an open file (with a file number), a path to
            append to, or None for nowhere.
        layer: The folder to use as the template's layers, instead of their own.
        stop_grace_seconds: How long running handlers may take to finish when the cloud stops.
        journal: Stores the rows of tables, and restores them at the start; None: they are not
            stored.
        before_events: Is called with the cloud once all resources exist, before anything is
            invoked.
        start_worker: Starts the functions' processes; None: the cloud's own fork server.
    """

    region = "us-east-1"

    endpoint_url: str
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]

    def __init__(  # noqa: PLR0913 # all by name, and only the template is needed
        self,
        *,
        template: Path,
        parameters: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        stack_name: str = "dropscale",
        port: int = 0,
        log: TextIO | Path | None = None,
        layer: Path | None = None,
        stop_grace_seconds: float = 10.0,
        journal: Journal | None = None,
        before_events: Callable[["EmbeddedCloud"], None] | None = None,
        start_worker: StartWorker | None = None,
    ) -> None:
        self.credentials = drawn_credentials()
        self._template = template
        self._given_parameters = parameters or {}
        self._secrets = secrets or {}
        self._stack_name = stack_name
        self._port = port
        self._log = log
        self._layer = layer
        self._stop_grace_seconds = stop_grace_seconds
        self._journal = journal
        self._before_events = before_events
        self._start_worker = start_worker
        self._stopping = threading.Event()
        self._written = threading.Event()
        self._failed = deque[str]()
        self._pools: dict[str, FunctionPool] = {}
        self._threads: list[threading.Thread] = []
        self._teardown = ExitStack()

    def __enter__(self) -> Self:
        """Start the stack.

        Raises:
            EmbeddedCloudError: A subclass, if the template, a parameter or the port cannot be used,
                or if this process already runs an embedded cloud.
        """
        if not _one_per_process.acquire(blocking=False):
            raise AlreadyRunningError("this process runs an embedded cloud already; stop it first")
        with ExitStack() as started:
            started.callback(_one_per_process.release)
            self._start(started)
            self._teardown = started.pop_all()
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._teardown.close()

    def client(self, service: str) -> Any:
        """Return a boto3 client of one of the stack's services."""
        return self._clients.client(service)

    def put_back(self, bucket: str, key: str, version_id: str, body: bytes) -> None:
        """Put an earlier version of a deleted object back; to all but its readers it stays deleted.

        For `before_events`: there is no event, and no lock against other writers.
        """
        put_deleted_version(bucket, key, version_id, body)

    def wait_for_object(self, seconds: float) -> None:
        """Wait until something was put into a bucket since the last call, or for `seconds`."""
        self._written.wait(seconds)
        self._written.clear()

    def take_failed(self) -> Iterator[str]:
        """Yield the bodies of messages that a function failed on since the last call."""
        while self._failed:
            yield self._failed.popleft()

    def _note_failed(self, body: str) -> None:
        self._failed.append(body)
        self._written.set()

    def _start(self, started: ExitStack) -> None:
        start = self._start_worker or started.enter_context(fork_server(base_environment()))
        template = read_template(self._template)
        log = started.enter_context(opened_log(self._log))
        listener = started.enter_context(listening_socket(self._port))
        port = listener.getsockname()[1]
        self.endpoint_url = f"http://{HOST}:{port}"
        context = StackContext(self._stack_name, self.region, DEFAULT_ACCOUNT_ID, self.endpoint_url)
        stack = resolve_template(template, self._given_parameters, context)
        self.parameters, self.outputs = stack.parameters, stack.outputs
        self._clients = ClientFactory(self.endpoint_url, self.region, self.credentials)
        temporary_folder = Path(started.enter_context(TemporaryDirectory()))
        for config in self._function_configs(stack, context, temporary_folder):
            self._pools[config.name] = FunctionPool(config, start, log)
        events = ObjectEvents(self.region, DEFAULT_ACCOUNT_ID, time.time)
        started.enter_context(
            hooked_moto(
                clients=self._clients,
                invoke=self._invoke,
                object_event=events.created,
                stopping=self._stopping,
                written=self._written,
                journal=self._journal,
            )
        )
        described = stack_descriptions(context, stack)
        with_urls = function_urls(_names_of_functions_with_a_url(stack), self._invoke)
        started.enter_context(
            served_moto(listener, lambda moto: self._controlled(with_urls(described(moto)), port))
        )
        started.callback(self._stop)
        create_resources(
            stack, clients=self._clients, base=self._template.parent, secrets=self._secrets
        )
        tables = dynamodb_backends[DEFAULT_ACCOUNT_ID][self.region]
        is_resumed = self._journal is not None and replay(self._journal, tables)
        if self._before_events is not None:
            self._before_events(self)
        self._start_event_sources(stack, context, 0.0 if is_resumed else _NEW_STACK_SECONDS)

    def _controlled(self, application: "WSGIApplication", port: int) -> "WSGIApplication":
        check = SignatureCheck(self.credentials, lambda: datetime.now(UTC))

        def authenticate(environ: "WSGIEnvironment") -> None:
            if not is_function_url(environ):
                check(environ)

        return access_controlled(
            application,
            port=port,
            authenticate=authenticate,
            refusal=refusal_response,
        )

    def _function_configs(
        self, stack: Stack, context: StackContext, temporary_folder: Path
    ) -> Iterator[FunctionConfig]:
        base = self._template.parent.resolve()
        replaced = None if self._layer is None else [self._layer.resolve()]
        for function in stack.of_type("AWS::Serverless::Function"):
            yield function_config(
                function,
                base=base,
                layers=replaced or layer_folders(function, stack, base),
                context=context,
                credentials=self.credentials,
                temporary_folder=temporary_folder,
                now=datetime.now(UTC),
            )

    def _start_event_sources(self, stack: Stack, context: StackContext, pause: float) -> None:
        sqs = self._clients.client("sqs")
        for function in stack.of_type("AWS::Serverless::Function"):
            pool = self._pools[function.identity.name]
            for mapping in function_queue_mappings(function, stack):
                poller = QueuePoller(
                    mapping,
                    sqs=sqs,
                    invoke=self._invoke,
                    stopping=self._stopping,
                    failed=self._note_failed,
                )
                for _ in range(min(mapping.maximum_concurrency, pool.max_workers)):
                    self._start_thread(poller.run, f"poller of {function.logical_id}")
            for schedule in function_schedules(function):
                self._start_thread(partial(self._keep, schedule, context, pause), schedule.name)

    def _start_thread(self, target: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _keep(self, schedule: Schedule, context: StackContext, pause: float) -> None:
        self._stopping.wait(min(pause, schedule.interval.total_seconds()))
        while not self._stopping.is_set():
            self._invoke(schedule.function_name, schedule.event(context, datetime.now(UTC)))
            self._stopping.wait(schedule.interval.total_seconds())

    def _invoke(self, function_name: str, event: Any) -> Invocation:
        return self._pools[function_name].invoke(event)

    def _stop(self) -> None:
        self._stopping.set()
        for pool in self._pools.values():
            pool.refuse()
        # A submit killed between paying and recording it would leave a job unknown.
        deadline = time.monotonic() + self._stop_grace_seconds
        for pool in self._pools.values():
            pool.close(deadline)
        end_executions()
        wake_queues()
        for thread in self._threads:
            thread.join()


def _names_of_functions_with_a_url(stack: Stack) -> set[str]:
    return {
        function.identity.name
        for function in stack.of_type("AWS::Serverless::Function")
        if "FunctionUrlConfig" in function.properties
    }
