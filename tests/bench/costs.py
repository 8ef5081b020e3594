"""What an image costs at AWS: counted on the embedded stack, with jobs that take 22 s.

The calls are those that the workers make, the transitions those of the executions' histories.
Durations are this machine's, against AWS services that answer from memory: Lambda's on AWS differ,
and are a small part of the sum. Exits with 1 if an image takes more transitions than allowed.

    python -m tests.bench.costs
"""

import json
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from dropscale_embedded.api import EmbeddedApi, StubEngine
from dropscale_embedded.cloud import EmbeddedCloud, cloud, functions
from dropscale_embedded.cloud.lambda_workers import FunctionConfig, FunctionPool, Invocation
from tests.fakes import png
from tests.template import read_template

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
NOTES = Path(__file__).parent / "usage"
SWEEP = "SweepFunction"
IMAGES = 5
JOB_SECONDS = 22.0
"""The vendor's median."""
MOST_TRANSITIONS = 8
DEADLINE_SECONDS = 120.0

# List prices of us-east-1 in dollars, in November 2026 to be looked up at
# https://aws.amazon.com/<service>/pricing/.
PRICES = {
    "Step Functions transitions": 25e-6,
    "Lambda requests": 0.2e-6,
    "Lambda GB-seconds (arm64)": 13.3334e-6,
    "S3 writes (PUT)": 5e-6,
    "S3 reads (GET, HEAD)": 0.4e-6,
    "DynamoDB write units": 0.625e-6,
    "DynamoDB read units": 0.125e-6,
    "SQS requests": 0.4e-6,
    "EventBridge events sent": 1e-6,
    "Secrets Manager calls": 5e-6,
}


@dataclass
class Usage:
    """What the run took."""

    amounts: Counter[str] = field(default_factory=Counter)
    milliseconds: Counter[str] = field(default_factory=Counter)
    invocations: Counter[str] = field(default_factory=Counter)
    transitions: list[int] = field(default_factory=list)
    sweeps: int = 0
    sweep_reads: int = 0
    """Read units of one run of the sweeper that finds nothing to do."""


def main() -> int:
    """Run, print what an image takes and costs, and return the exit code."""
    usage = run()
    print(report(usage))  # noqa: T201 # this is its output
    return int(max(usage.transitions) > MOST_TRANSITIONS)


def report(usage: Usage) -> str:
    """Return the tables of docs/costs.md."""
    rows = [(name, usage.amounts[name] / IMAGES, price) for name, price in PRICES.items()]
    dollars = sum(amount * price for _, amount, price in rows) * 1000
    functions_ = [
        f"| {name} | {usage.invocations[name] / IMAGES:.1f} | {spent / IMAGES:.0f} |"
        for name, spent in sorted(usage.milliseconds.items())
    ]
    return "\n".join(
        [
            f"{IMAGES} images, jobs of {JOB_SECONDS:.0f} s, most transitions of one image: "
            f"{max(usage.transitions)} (limit {MOST_TRANSITIONS})",
            "",
            "| | per image | dollars per 1,000 images |",
            "|---|--:|--:|",
            *(
                f"| {name} | {amount:.2f} | {amount * price * 1000:.4f} |"
                for name, amount, price in rows
            ),
            f"| in all | | {dollars:.4f} |",
            "",
            "| Function | invocations per image | ms per image |",
            "|---|--:|--:|",
            *functions_,
            "",
            f"An idle run of the sweeper: {usage.sweep_reads} DynamoDB read units",
        ]
    )


def run() -> Usage:
    """Have images delivered; return what that took, without what the sweeper took."""
    usage = Usage()
    with (
        TemporaryDirectory() as folder,
        patch.object(cloud, "function_config", partial(noted, Path(folder) / "notes")),
        patch.object(FunctionPool, "invoke", timed(usage)),
        EmbeddedApi(engine=StubEngine(JOB_SECONDS), workers=IMAGES) as api,
        EmbeddedCloud(
            template=TEMPLATE,
            parameters={
                "ApiBaseUrl": api.base_url,
                "MaxConcurrentJobs": str(IMAGES),
                "SettleSeconds": "0",
            },
            secrets={"ApiKeySecret": api.token},
        ) as stack,
    ):
        s3, bucket = stack.client("s3"), stack.outputs["InputBucketName"]
        for number in range(IMAGES):
            s3.put_object(Bucket=bucket, Key=f"{number}.png", Body=png(number + 1, 8))
        usage.transitions = await_executions(stack)
        memory = memories()
        notes = (Path(folder) / "notes").read_text(encoding="utf-8").splitlines()
    usage.amounts = Counter(
        {
            "Step Functions transitions": sum(usage.transitions),
            "Lambda requests": sum(usage.invocations.values()),
            "Lambda GB-seconds (arm64)": sum(
                spent / 1000 * memory[name] / 1024 for name, spent in usage.milliseconds.items()
            ),
            "SQS requests": 2 * IMAGES,  # one receive and one delete by Lambda's poller
        }
    )
    calls = [json.loads(note) for note in notes]
    usage.amounts += Counter(dict(billed(call for call in calls if call[0] != SWEEP)))
    swept = dict(billed(call for call in calls if call[0] == SWEEP))
    usage.sweep_reads = round(swept["DynamoDB read units"] / usage.sweeps)
    return usage


def noted(path: Path, *args: Any, **kwargs: Any) -> FunctionConfig:
    """Configure a function so that its workers note their calls."""
    config = functions.function_config(*args, **kwargs)
    python_path = f"{NOTES}{os.pathsep}{config.environment['PYTHONPATH']}"
    noting = {"PYTHONPATH": python_path, "AWS_USAGE_NOTES": str(path)}
    return replace(config, environment={**config.environment, **noting})


def timed(usage: Usage) -> Any:
    """Return a stand-in for `FunctionPool.invoke` that counts and times it."""
    invoke = FunctionPool.invoke

    def timed_invoke(pool: FunctionPool, event: Any) -> Invocation:
        began = time.perf_counter()
        invocation = invoke(pool, event)
        name = pool._function.name.rpartition("-")[2]
        if name == SWEEP:
            usage.sweeps += 1
        else:
            usage.milliseconds[name] += (time.perf_counter() - began) * 1000  # type: ignore[assignment] # a Counter of floats
            usage.invocations[name] += 1
        return invocation

    return timed_invoke


def await_executions(stack: EmbeddedCloud) -> list[int]:
    """Wait until every image's execution has succeeded; return how many states each entered."""
    states, arn = stack.client("stepfunctions"), stack.outputs["StateMachineArn"]
    deadline = time.monotonic() + DEADLINE_SECONDS
    ended: list[str] = []
    while len(ended) < IMAGES:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(ended)} of {IMAGES} executions ended")
        time.sleep(0.2)
        found = states.list_executions(stateMachineArn=arn)["executions"]
        ended = [item["executionArn"] for item in found if item["status"] == "SUCCEEDED"]
    histories = (
        states.get_execution_history(executionArn=execution)["events"] for execution in ended
    )
    return [
        sum("stateEnteredEventDetails" in event for event in history) + 1  # and the start
        for history in histories
    ]


@cache
def memories() -> Mapping[str, int]:
    """Return each function's memory in MB, from the template."""
    resources = read_template()["Resources"]
    return {
        name: resource["Properties"]["MemorySize"]
        for name, resource in resources.items()
        if resource["Type"] == "AWS::Serverless::Function"
    }


def billed(notes: Iterable[tuple[str, str, str, dict[str, Any]]]) -> Iterator[tuple[str, float]]:
    """Return what is billed for the calls in the notes, by the names of `PRICES`."""
    amounts: Counter[str] = Counter()
    for _, service, operation, call in notes:
        match service:
            case "s3" if operation == "PutObject":
                amounts["S3 writes (PUT)"] += 1
            case "s3":
                amounts["S3 reads (GET, HEAD)"] += 1
            case "dynamodb" if operation in {"GetItem", "Query", "BatchGetItem"}:
                amounts["DynamoDB read units"] += 1
            case "dynamodb":
                amounts["DynamoDB write units"] += write_units(operation, call)
            case "secretsmanager":
                amounts["Secrets Manager calls"] += 1
            case "events":
                amounts["EventBridge events sent"] += len(call["Entries"])
            case "stepfunctions":
                pass  # StartExecution is free: the transitions are billed
            case _:
                raise KeyError(f"say what {service}:{operation} costs")
    yield from amounts.items()


def write_units(operation: str, call: Mapping[str, Any]) -> int:
    """Return the write units of a call: one per started KB, two in a transaction.

    A row that enters or leaves the index takes one more for each.
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
    """
    if operation == "UpdateItem":
        return 4  # of a row of up to 3 KB, which leaves the index
    units = 0
    for item in call["TransactItems"]:
        ((_, change),) = item.items()
        row = change.get("Item", {})
        units += 2 * max(1, math.ceil(len(json.dumps(row)) / 1024)) + 2 * ("sweep" in row)
    return units


if __name__ == "__main__":
    sys.exit(main())
