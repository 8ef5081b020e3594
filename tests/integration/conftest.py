"""What integration tests share: a record of AWS calls, and the process that workers come from.

Every call must be allowed by the template's policies. A function's calls are those of its worker
processes on the embedded cloud, and those of its use case in `deployed_machine`. Each test process
compares its own, after its last test.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

from dropscale_embedded.cloud import cloud, functions
from dropscale_embedded.cloud.lambda_workers import FunctionConfig
from dropscale_embedded.cloud.moto_economies import economies, hooked
from dropscale_embedded.workers.processes import StartWorker, base_environment, fork_server
from tests.aws_calls.call_log import CallLog
from tests.policies import refused_calls

_RECORDING = Path(__file__).parents[1] / "aws_calls"


@pytest.fixture(scope="session", autouse=True)
def aws_calls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CallLog]:
    path = tmp_path_factory.mktemp("aws_calls") / "calls"
    path.touch()
    with pytest.MonkeyPatch.context() as patch:
        configure = partial(_recorded, functions.function_config, path)
        patch.setattr(cloud, "function_config", configure)
        calls = CallLog(path)
        yield calls
    refused = refused_calls(calls.read())
    assert not refused, f"tests of this process made calls that no policy allows: {refused}"


@pytest.fixture(scope="session", autouse=True)
def one_fork_server() -> Iterator[Callable[[], StartWorker]]:
    """Let all clouds of this process share a fork server: to start one takes as long as a test."""
    with ExitStack() as started, pytest.MonkeyPatch.context() as patch:

        @cache
        def shared() -> StartWorker:
            return started.enter_context(fork_server(base_environment()))

        patch.setattr(cloud, "fork_server", lambda _: nullcontext(shared()))
        yield shared


@pytest.fixture(scope="session", autouse=True)
def read_once() -> Iterator[None]:
    """Let all clouds of this process read AWS's service models, and parse a definition, once."""
    kept = {"create_loader", "parse"}
    with hooked((owner, name, cache) for owner, name, _ in economies() if name in kept):
        yield


@pytest.fixture
def own_fork_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the clouds of a test start their own fork servers."""
    monkeypatch.setattr(cloud, "fork_server", fork_server)


def _recorded(configure: Any, path: Path, *args: Any, **kwargs: Any) -> FunctionConfig:
    config: FunctionConfig = configure(*args, **kwargs)
    if config.environment.get("RESULTS_BUCKET") != "dropscale-resultsbucket":
        return config  # of another template than ours, or with buckets of somebody else's
    # Last, as a function's first folder is its code's.
    python_path = f"{config.environment['PYTHONPATH']}{os.pathsep}{_RECORDING}"
    recording = {"PYTHONPATH": python_path, "AWS_CALL_LOG": str(path)}
    return replace(config, environment={**config.environment, **recording})
