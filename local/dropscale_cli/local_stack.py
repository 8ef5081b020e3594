"""The stack on this machine: the embedded API and the embedded cloud, put together.

Neither is imported before it is started: that takes a second, and wrong usage should show sooner.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from dropscale_cli.errors import StartFailed
from dropscale_cli.stack_source import stack_source
from dropscale_embedded import api
from dropscale_embedded.durable_sqlite import FileUnusable
from dropscale_embedded.journal import Journal
from dropscale_embedded.workers.processes import base_environment, fork_server

if TYPE_CHECKING:
    from dropscale_cli.aws_target import AwsTarget
    from dropscale_embedded.cloud import EmbeddedCloud

UNLIMITED = MappingProxyType({"DailyCreditLimit": "0"})
"""What a local stack spends is free, or a person has agreed to the price of all of it."""

FREE_LOOKS = MappingProxyType({"FirstCheckSeconds": "3", "PollIntervalCapSeconds": "8"})
"""A look takes nothing on one machine: each 3 s for the first minute, then up to 8 s."""

Server = TypeVar("Server")


@dataclass(frozen=True)
class MagicHour:
    """The Magic Hour API that a stack calls."""

    base_url: str
    api_key: str = field(repr=False)


def embedded_parameters() -> dict[str, str]:
    """Return stack parameters that suit the embedded API, which is near, quick and free."""
    # Renders on all cores, with as many jobs ready to follow.
    slots = 2 * (os.cpu_count() or 1)
    return {
        "FirstCheckSeconds": "1",
        "PollIntervalCapSeconds": "1",
        "MaxConcurrentJobs": str(slots),
        **UNLIMITED,
    }


def engine_named(name: str | None, stub_seconds: float = 1.0) -> api.Engine:
    """Return the stub, whose jobs take a fixed time, or the best engine this machine can run."""
    return api.StubEngine(stub_seconds) if name == "stub" else api.best_engine()


@contextmanager
def embedded_api(server: api.EmbeddedApi) -> Iterator[MagicHour]:
    """Serve the embedded API until the block ends.

    Raises:
        StartFailed: the port is taken, or the folder cannot be used.
    """
    with _start_server(server, OSError, FileUnusable) as served:
        yield MagicHour(served.base_url, served.token)


@contextmanager
def local_cloud(
    magic_hour: MagicHour,
    parameters: Mapping[str, str],
    *,
    log: Path | None,
    port: int = 0,
    journal: Journal | None = None,
) -> Iterator[EmbeddedCloud]:
    """Run the stack on this machine, on `magic_hour`, until the block ends.

    With a journal, it goes on where the stack was stopped whose journal that is.

    Raises:
        StartFailed: the port is taken, a parameter will not do, or the log cannot be opened.
    """
    with ExitStack() as ended:
        ended.callback(gc.unfreeze)
        # The zygote imports what functions need, while this process imports what the cloud needs.
        start_worker = ended.enter_context(fork_server(base_environment()))
        with _uncollected():
            from dropscale_embedded import cloud  # noqa: PLC0415 # see above

            stack = cloud.EmbeddedCloud(
                template=stack_source() / "template.yaml",
                parameters={"ApiBaseUrl": magic_hour.base_url, **parameters},
                secrets={"ApiKeySecret": magic_hour.api_key},
                port=port,
                log=log,
                journal=journal,
                before_events=lambda cloud: target_of(cloud).restart(),
                start_worker=start_worker,
            )
            server = _start_server(stack, cloud.EmbeddedCloudError, OSError)
            running = ended.enter_context(server)
        yield running


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep the collector from what the block makes: it lives to the end, and is no garbage."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def target_of(cloud: EmbeddedCloud) -> AwsTarget:
    """Return an embedded cloud as commands use it."""
    from dropscale_cli.aws_target import AwsTarget  # noqa: PLC0415 # see above

    return AwsTarget.of_stack(cloud.client, cloud.outputs, cloud.parameters)


@contextmanager
def _start_server(
    server: AbstractContextManager[Server], *failures: type[Exception]
) -> Iterator[Server]:
    with ExitStack() as stack:
        try:
            running = stack.enter_context(server)
        except failures as error:
            raise StartFailed(str(error)) from error
        yield running
