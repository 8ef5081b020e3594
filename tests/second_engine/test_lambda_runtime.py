"""What is built for Lambda answers each sample of `events/` in Lambda's own Python runtime.

AWS's runtime interface client runs the handlers behind the emulator of Lambda's interface that SAM
CLI ships, in the environment that the template gives them: https://github.com/aws/aws-lambda-runtime-interface-emulator.
Their AWS is the second engine.
"""

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from dropscale_embedded.api import EmbeddedApi, EntryKind, StubEngine
from tests.fakes import png
from tests.second_engine.conftest import ROOT, TOOLS, note
from tests.second_engine.engine import Engine, awaited

NAME = "samples"
EVENTS = ROOT / "events"
IMAGES = {"été 2026/a+b %20 'c' \"d\".jpg": png(), "photos/cat one.jpg": png(shade=9)}
BUCKETS = {
    "ExistingInputBucket": "dropscale-inputbucket",
    "ExistingResultsBucket": "dropscale-samples",
}


@dataclass(frozen=True)
class Runtime:
    """A function behind the emulator, which starts it at the first call."""

    emulator: subprocess.Popen[bytes]
    port: int

    def invoke(self, event: bytes) -> tuple[Any, float]:
        """Return what it answers, and after how many seconds."""
        url = f"http://127.0.0.1:{self.port}/2015-03-31/functions/function/invocations"
        begin = time.monotonic()
        with urlopen(url, event) as answer:
            return json.load(answer), time.monotonic() - begin

    def used(self) -> tuple[float, float]:
        """Return the seconds of CPU that the function has taken, and its peak of memory in MB."""
        tasks = Path(f"/proc/{self.emulator.pid}/task")
        (child,) = "".join(path.read_text() for path in tasks.glob("*/children")).split()
        process = Path("/proc") / child
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        lines = (process / "status").read_text().splitlines()
        (peak,) = (int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
        ticks = int(fields[11]) + int(fields[12])  # utime and stime: proc_pid_stat(5)
        return ticks / os.sysconf("SC_CLK_TCK"), peak / 1024


@pytest.fixture(scope="module")
def api() -> Iterator[EmbeddedApi]:
    with EmbeddedApi(engine=StubEngine(0)) as running:
        yield running


@pytest.fixture(scope="module")
def stack(cloud: Engine, api: EmbeddedApi) -> Iterator[dict[str, str]]:
    """A stack with the samples' images in its bucket, which sends no events."""
    s3 = cloud.client("s3")
    for bucket in BUCKETS.values():
        s3.create_bucket(Bucket=bucket)
    for key, body in IMAGES.items():
        s3.put_object(Bucket=BUCKETS["ExistingInputBucket"], Key=key, Body=body)
    quick = {"SettleSeconds": "0", "FirstCheckSeconds": "300", "ApiBaseUrl": api.base_url}
    outputs = cloud.create_stack(NAME, BUCKETS | quick)
    cloud.client("secretsmanager").put_secret_value(
        SecretId=outputs["ApiKeySecretArn"], SecretString=api.token
    )
    yield outputs
    cloud.delete_stack(NAME)


@contextmanager
def running(
    cloud: Engine, emulator: Path, built: Mapping[str, Path], function: str
) -> Iterator[tuple[Runtime, int]]:
    """Run a function of the stack; with how many MB of memory it has on AWS."""
    resource = cloud.client("cloudformation").describe_stack_resource(
        StackName=NAME, LogicalResourceId=function
    )["StackResourceDetail"]
    config = cloud.client("lambda").get_function_configuration(
        FunctionName=resource["PhysicalResourceId"]
    )
    with socket.socket() as first, socket.socket() as second:
        for free in (first, second):
            free.bind(("127.0.0.1", 0))
        port, inner = first.getsockname()[1], second.getsockname()[1]
    python = TOOLS / "second-engine" / "bin" / "python"
    addresses = [
        f"--runtime-interface-emulator-address=127.0.0.1:{port}",
        f"--runtime-api-address=127.0.0.1:{inner}",
    ]
    process = subprocess.Popen(
        [emulator, *addresses, python, "-m", "awslambdaric", config["Handler"]],
        cwd=built[function],
        env=cloud.environment
        | config["Environment"]["Variables"]
        | {
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(config["MemorySize"]),
            "AWS_LAMBDA_FUNCTION_NAME": function,
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(config["Timeout"]),
            "AWS_REGION": cloud.environment["AWS_DEFAULT_REGION"],
            "LAMBDA_TASK_ROOT": str(built[function]),
            "PYTHONPATH": str(built["RuntimeLayer"] / "python"),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        awaited(lambda: process.poll() is not None or _listens(port))
        yield Runtime(process, port), config["MemorySize"]
    finally:
        process.terminate()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as knock:
        return knock.connect_ex(("127.0.0.1", port)) == 0


def is_no_drop_of_ours(answer: Any) -> bool:
    named = answer["errorType"] == "NotInLedger"
    return named and "is not in the ledger: " in answer["errorMessage"]


SENSIBLE: Mapping[str, Callable[[Any], bool]] = {
    "submit-eventbridge-in-sqs": lambda answer: answer == {"batchItemFailures": []},
    "submit-s3-notification-in-sqs": lambda answer: answer == {"batchItemFailures": []},
    "submit-s3-put": lambda answer: answer is None,
    "check": is_no_drop_of_ours,
    "check-wait": is_no_drop_of_ours,
    "deliver": is_no_drop_of_ours,
    "fail-caught-error": is_no_drop_of_ours,
    "fail-project-error": is_no_drop_of_ours,
    "sweep-schedule": lambda answer: "reconciled" in answer,
}
"""What each sample is answered in a stack that has its image, and none of its executions."""


@pytest.mark.parametrize("function", ["submit", "check", "deliver", "fail", "sweep"])
@pytest.mark.usefixtures("stack")
def test_each_sample_gets_an_answer_that_makes_sense(
    cloud: Engine, emulator: Path, built: Mapping[str, Path], function: str
) -> None:
    samples = sorted(EVENTS.glob(f"{function}*.json"))
    with running(cloud, emulator, built, f"{function.capitalize()}Function") as (runtime, memory):
        answer, seconds = runtime.invoke(samples[0].read_bytes())
        cpu, _ = runtime.used()
        answers = [answer, *(runtime.invoke(path.read_bytes())[0] for path in samples[1:])]
        _, peak = runtime.used()

    note(
        f"{function}: first answer after {seconds:.1f} s ({cpu:.2f} s of CPU), "
        f"peak {peak:.0f} of {memory} MB"
    )
    for sample, answer in zip(samples, answers, strict=True):
        assert SENSIBLE[sample.stem](answer), (sample, answer)


@pytest.mark.usefixtures("emulator")
def test_what_the_samples_name_is_submitted_and_each_image_paid_once(
    cloud: Engine, stack: dict[str, str], api: EmbeddedApi
) -> None:
    s3 = cloud.client("s3")
    for key in IMAGES:
        name = f"{key}.dropscale.json"
        manifest = json.load(s3.get_object(Bucket=stack["ResultsBucketName"], Key=name)["Body"])
        assert manifest["state"] == "submitted", manifest
    assert len(api.book.entries(EntryKind.CREATE)) == len(IMAGES)


def test_every_sample_has_an_answer_here() -> None:
    assert {path.stem for path in EVENTS.glob("*.json")} == set(SENSIBLE)
