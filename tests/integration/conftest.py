"""Every integration test's AWS calls are recorded, and must be allowed by the template's policies.

A function's calls are those of its worker processes on the embedded cloud, and those of its use
case in `deployed_machine`. Each test process compares its own, after its last test.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dropscale_embedded.cloud import cloud, functions
from dropscale_embedded.cloud.lambda_workers import FunctionConfig
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


def _recorded(configure: Any, path: Path, *args: Any, **kwargs: Any) -> FunctionConfig:
    config: FunctionConfig = configure(*args, **kwargs)
    if config.environment.get("RESULTS_BUCKET") != "dropscale-resultsbucket":
        return config  # of another template than ours, or with buckets of somebody else's
    python_path = f"{_RECORDING}{os.pathsep}{config.environment['PYTHONPATH']}"
    recording = {"PYTHONPATH": python_path, "AWS_CALL_LOG": str(path)}
    return replace(config, environment={**config.environment, **recording})
