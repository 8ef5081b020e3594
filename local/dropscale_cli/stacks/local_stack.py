"""The stack on this machine: an embedded cloud, and the API that it calls, embedded or real.

Both are imported only when started: importing takes a second, and usage errors should show sooner.
"""

from __future__ import annotations

import errno
import gc
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeVar

import click

from dropscale.upscaler import DEFAULT_BASE_URL
from dropscale_cli.errors import StartFailed
from dropscale_cli.stacks.stack_source import stack_source
from dropscale_cli.terminal import Terminal
from dropscale_embedded import api
from dropscale_embedded.durable_sqlite import FileUnusable
from dropscale_embedded.journal import Journal
from dropscale_embedded.workers.processes import base_environment, fork_server

if TYPE_CHECKING:
    from dropscale.ledger.drops import Output, Source
    from dropscale.pipeline.parts.ports import OutputLabels
    from dropscale_cli.stacks.account import AccountReport
    from dropscale_cli.stacks.aws_target import AwsTarget
    from dropscale_embedded.cloud import EmbeddedCloud


UNLIMITED = MappingProxyType({"DailyCreditLimit": "0"})
"""A local stack spends nothing, or a person has agreed to the whole price."""

FREE_LOOKS = MappingProxyType({"FirstCheckSeconds": "3", "PollIntervalCapSeconds": "8"})
"""Looks cost nothing on one machine: every 3 s for the first minute, then up to 8 s apart."""

Server = TypeVar("Server")


@dataclass(frozen=True)
class MagicHour:
    """The Magic Hour API that a stack calls.

    Attributes:
        create_webhook: sends all events to a URL, and returns the secret of their signatures;
            None: only the account's owner can, and the URL would have to be public.
    """

    base_url: str
    api_key: str = field(repr=False)
    create_webhook: Callable[[str], str] | None = None


def embedded_parameters() -> dict[str, str]:
    """Return stack parameters for the embedded API, which is local, fast and free."""
    # Renders on all cores, with as many jobs ready to start.
    slots = 2 * (os.cpu_count() or 1)
    return {
        "FirstCheckSeconds": "1",
        "PollIntervalCapSeconds": "1",
        "MaxConcurrentJobs": str(slots),
        **UNLIMITED,
    }


def engine_named(name: str | None, stub_seconds: float = 1.0) -> api.Engine:
    """Return the stub engine, whose jobs take a fixed time, or the best engine for this machine."""
    return api.StubEngine(stub_seconds) if name == "stub" else api.best_engine()


@contextmanager
def embedded_api(server: api.EmbeddedApi) -> Iterator[MagicHour]:
    """Serve the embedded API until the block ends.

    Raises:
        StartFailed: the port is taken, or the folder cannot be used.
    """
    with _start_server(server, OSError, FileUnusable) as served:
        yield MagicHour(served.base_url, served.token, served.create_webhook)


@contextmanager
def local_cloud(
    magic_hour: MagicHour,
    parameters: Mapping[str, str],
    *,
    log: Path | None,
    port: int = 0,
    journal: Journal | None = None,
    originals: Iterable[tuple[Source, Path]] = (),
    outputs: Iterable[tuple[Output, OutputLabels, Path]] = (),
) -> Iterator[EmbeddedCloud]:
    """Run the stack on this machine, on `magic_hour`, until the block ends.

    With a journal, it resumes where that journal's stack stopped. Its buckets are still empty:
    deliveries read `originals`, which trigger no evaluation, because the specs beside them may have
    changed, and `outputs` in place of results that the API no longer has.

    Raises:
        StartFailed: the port is taken, a parameter is invalid, or the log cannot be opened.
    """

    def take_up(cloud: EmbeddedCloud) -> None:
        if magic_hour.create_webhook is not None:
            secret = magic_hour.create_webhook(cloud.outputs["WebhookUrl"])
            cloud.client("secretsmanager").put_secret_value(
                SecretId=cloud.outputs["WebhookSecretArn"], SecretString=secret
            )
        for source, file in originals:
            if source.version_id:
                cloud.put_back(source.bucket, source.key, source.version_id, file.read_bytes())
        target = target_of(cloud)
        for output, labels, file in outputs:
            target.put_back(output, labels, file)
        target.restart()

    with ExitStack() as ended:
        ended.callback(gc.unfreeze)
        # The zygote imports what functions need, while this process imports what the cloud needs.
        start_worker = ended.enter_context(fork_server(base_environment()))
        with _uncollected():
            from dropscale_embedded import cloud  # noqa: PLC0415 # see above

            stack = cloud.EmbeddedCloud(
                template=stack_source() / "template.yaml",
                parameters={
                    "ApiBaseUrl": magic_hour.base_url,
                    "Webhooks": "enabled" if magic_hour.create_webhook else "disabled",
                    **parameters,
                },
                secrets={"ApiKeySecret": magic_hour.api_key},
                port=port,
                log=log,
                journal=journal,
                before_events=take_up,
                start_worker=start_worker,
            )
            server = _start_server(stack, cloud.EmbeddedCloudError, OSError)
            running = ended.enter_context(server)
        yield running


@contextmanager
def _uncollected() -> Iterator[None]:
    """Hide from the garbage collector what the block allocates: it lives until the process ends."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def target_of(cloud: EmbeddedCloud) -> AwsTarget:
    """Return an embedded cloud for commands."""
    from dropscale_cli.stacks.aws_target import AwsTarget  # noqa: PLC0415 # see above

    return AwsTarget.of_stack(cloud.client, cloud.outputs, cloud.parameters)


@contextmanager
def _start_server(
    server: AbstractContextManager[Server], *failures: type[Exception]
) -> Iterator[Server]:
    with ExitStack() as stack:
        try:
            running = stack.enter_context(server)
        except failures as error:
            raise StartFailed(_in_words(error)) from error
        yield running


def _in_words(error: Exception) -> str:
    if not isinstance(error, OSError) or error.filename is None:
        return str(error)
    fix = "; choose another, or 0" if error.errno == errno.EADDRINUSE else ""
    return f"{error.filename}: {error.strerror}{fix}"


_EMBEDDED = "the embedded API, engine "
STACK = "stack "
"""The prefix, in an output folder's state, of the name of a deployed stack."""


class ChosenApi(Protocol):
    """An API that is not opened yet.

    Attributes:
        is_charged: Whether its credits are real ones.
    """

    is_charged: ClassVar[bool]

    @property
    def name(self) -> str:
        """The name that an output folder remembers."""

    def account(self, price: int, scale_factors: frozenset[int]) -> AccountReport | None:
        """Compare its account with a demand, at a price in credits.

        Return None if nothing is charged, so there is nothing to compare.
        """

    @contextmanager
    def opened(self, folder: Path, console: Terminal) -> Iterator[tuple[MagicHour, dict[str, str]]]:
        """Yield the API and the stack parameters for it; `folder` stores its account."""


@dataclass(frozen=True)
class RealApi:
    """The vendor's API, or another server with the same interface."""

    name: str
    """Its base URL."""
    api_key: str = field(repr=False)
    is_charged: ClassVar[bool] = True

    def account(self, price: int, scale_factors: frozenset[int]) -> AccountReport | None:
        """See `ChosenApi.account`."""
        # Importing the HTTP client is slow, and most commands do not need it.
        from dropscale_cli.stacks.account import Demand, account_report  # noqa: PLC0415 # see above

        return account_report(self.name, self.api_key, Demand(price, scale_factors, slots=0))

    @contextmanager
    def opened(self, folder: Path, console: Terminal) -> Iterator[tuple[MagicHour, dict[str, str]]]:
        """See `ChosenApi.opened`; `folder` is not used."""
        parameters = {**FREE_LOOKS, **UNLIMITED}
        yield MagicHour(self.name, self.api_key), parameters


@dataclass(frozen=True)
class EmbeddedApi:
    """The embedded API, with an engine by its name."""

    engine: str
    is_charged: ClassVar[bool] = False

    def account(self, price: int, scale_factors: frozenset[int]) -> AccountReport | None:
        """See `ChosenApi.account`."""
        return None

    @property
    def name(self) -> str:
        """See `ChosenApi.name`."""
        return _EMBEDDED + self.engine

    @contextmanager
    def opened(self, folder: Path, console: Terminal) -> Iterator[tuple[MagicHour, dict[str, str]]]:
        """See `ChosenApi.opened`."""
        engine = engine_named(self.engine)
        console.say(f"Nothing is charged. Engine: {engine.description}")
        with embedded_api(api.EmbeddedApi(engine=engine, folder=folder)) as served:
            yield served, embedded_parameters()


def chosen_api(environment: Mapping[str, str], engine: str | None) -> ChosenApi:
    """Return the API of the environment's key; without a key, the embedded one.

    Raises:
        click.UsageError: there is both a key and an engine.
    """
    api_key = environment.get("MAGIC_HOUR_API_KEY")
    if not api_key:
        return EmbeddedApi(engine or "model")
    if engine is not None:
        raise click.UsageError(
            "--engine is for the embedded API, but MAGIC_HOUR_API_KEY is set; omit one of them."
        )
    base_url = environment.get("MAGIC_HOUR_BASE_URL") or DEFAULT_BASE_URL
    return RealApi(base_url.rstrip("/"), api_key)


def is_charged(api_name: str) -> bool:
    """Return whether the API that an output folder remembers charges real credits."""
    return not api_name.startswith(_EMBEDDED)


def remembered_api(name: str, environment: Mapping[str, str]) -> ChosenApi:
    """Return the API that an output folder remembers by its name.

    Raises:
        click.UsageError: it is a real one and its key is not set, or it is that of a stack.
    """
    if not is_charged(name):
        return EmbeddedApi(name.removeprefix(_EMBEDDED))
    api_key = environment.get("MAGIC_HOUR_API_KEY")
    if not api_key:
        raise click.UsageError(f"The folder's results are from {name}; set MAGIC_HOUR_API_KEY.")
    return RealApi(name, api_key)
