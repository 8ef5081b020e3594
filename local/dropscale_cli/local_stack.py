"""The stack on this machine: the embedded API and the embedded cloud, put together."""

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from dropscale_cli.errors import StartFailed, TemplateMissing
from dropscale_embedded.api import EmbeddedApi, Engine, StubEngine, best_engine
from dropscale_embedded.cloud import EmbeddedCloud, EmbeddedCloudError

TEMPLATE = Path(__file__).parents[2] / "template.yaml"

Server = TypeVar("Server")

EMBEDDED_TIMING = MappingProxyType(
    {
        "FirstCheckSeconds": "1",
        "PollIntervalCapSeconds": "1",
        # Renders on all cores, with as many jobs ready to follow.
        "MaxConcurrentJobs": str(2 * (os.cpu_count() or 1)),
    }
)
"""Stack parameters that suit the embedded API, which is near, quick and free."""


@dataclass(frozen=True)
class MagicHour:
    """The Magic Hour API that a stack calls."""

    base_url: str
    api_key: str = field(repr=False)


def engine_named(name: str | None, stub_seconds: float = 1.0) -> Engine:
    """Return the stub, whose jobs take a fixed time, or the best engine this machine can run."""
    return StubEngine(stub_seconds) if name == "stub" else best_engine()


@contextmanager
def embedded_api(engine: Engine, port: int = 0) -> Iterator[MagicHour]:
    """Serve the embedded API until the block ends.

    Raises:
        StartFailed: the port is taken.
    """
    with _started(EmbeddedApi(engine=engine, port=port)) as api:
        yield MagicHour(api.base_url, api.token)


@contextmanager
def local_cloud(
    api: MagicHour,
    parameters: Mapping[str, str],
    *,
    log: Path | None,
    port: int = 0,
    template: Path = TEMPLATE,
) -> Iterator[EmbeddedCloud]:
    """Run the stack on this machine, with `api` as its Magic Hour, until the block ends.

    Raises:
        TemplateMissing: as its name says.
        StartFailed: the port is taken, or a parameter will not do.
    """
    if not template.is_file():
        raise TemplateMissing(
            f"{template} is missing: the command runs the stack of its own checkout. "
            "Clone dropscale and install it there: pip install -e '.[local]'"
        )
    cloud = EmbeddedCloud(
        template=template,
        parameters={"ApiBaseUrl": api.base_url, **parameters},
        secrets={"ApiKeySecret": api.api_key},
        port=port,
        log=log,
    )
    with _started(cloud) as running:
        yield running


@contextmanager
def _started(server: AbstractContextManager[Server]) -> Iterator[Server]:
    with ExitStack() as stack:
        try:
            running = stack.enter_context(server)
        except (EmbeddedCloudError, OSError) as error:
            raise StartFailed(str(error)) from error
        yield running
