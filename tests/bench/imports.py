"""How long each handler's import takes, beside boto3's and that of the vendor's SDK.

All in processes of their own, in turns, so that a busy machine slows all alike; from the layer as
it ships, built for this machine, and nothing else. The floor is what no function can do without:
a boto3 session and one client. "Composed" adds what the first invocation makes: clients and use
case. An event is a signed one in the webhook's handler, with AWS's answers made in the process: the
first with all that comes before it. Times are medians of CPU time, with the interpreter's start.
Exits with 1 if a handler is over its limit.

    python -m tests.bench.imports
"""

import os
import resource
import statistics
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from dropscale_embedded.cloud.names import StackContext
from dropscale_embedded.cloud.template import read_template, resolve_template
from tests.host_layer import built_for_this_machine

ROOT = Path(__file__).parents[2]
ROUNDS = 15
EVENTS = 101
FIRST_EVENT, FURTHER_EVENT = "webhook, first event", "webhook, each further event"
FLOOR = "floor: boto3 and a client"
COMPOSED = ", composed"
CREDENTIAL_VARIABLES = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}
LIMITS = {"check": 1.35, "submit": 1.6}
"""Of the floor, at most."""


@dataclass(frozen=True)
class Program:
    """What one process does: a line of Python, with these folders to import from."""

    line: str
    folders: tuple[Path, ...] = ()
    environment: Mapping[str, str] | None = None


def main() -> int:
    """Measure, print a table, and return the exit code."""
    with TemporaryDirectory() as folder:
        programs = dict(measured(built_for_this_machine(Path(folder))))
        for program in programs.values():
            cpu_milliseconds(program)  # so that all of it is compiled, and in the disk's cache
        times: dict[str, list[float]] = {name: [] for name in programs}
        for _ in range(ROUNDS):
            for name, program in programs.items():
                times[name].append(cpu_milliseconds(program))
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    medians[FURTHER_EVENT] = (medians[FURTHER_EVENT] - medians[FIRST_EVENT]) / (EVENTS - 1)
    print(f"{'Import':34}{'ms':>6}{'x floor':>9}{'limit':>7}")  # noqa: T201 # this is its output
    over = False
    for name, milliseconds in medians.items():
        ratio, limit = milliseconds / medians[FLOOR], LIMITS.get(name)
        over = over or (limit is not None and ratio > limit)
        print(f"{name:34}{milliseconds:6.1f}{ratio:9.2f}{limit or '':>7}")  # noqa: T201 # likewise
    return int(over)


def measured(layer: Path) -> Iterator[tuple[str, Program]]:
    """Yield what is measured, by name."""
    yield "python alone", Program("pass")
    client = "boto3.Session().client('s3', region_name='us-east-1')"
    yield FLOOR, Program(f"import boto3; {client}", (layer,))
    installed = Path(sysconfig.get_paths()["purelib"])
    yield "the vendor's SDK", Program("import magic_hour", (installed,))
    context = StackContext("dropscale", "us-east-1", "123456789012", "http://127.0.0.1:9")
    stack = resolve_template(
        read_template(ROOT / "template.yaml"), {"Webhooks": "enabled"}, context
    )
    environments = {
        function.logical_id.removesuffix("Function").lower(): {
            "AWS_DEFAULT_REGION": context.region,
            **CREDENTIAL_VARIABLES,
            **{
                name: str(value)
                for name, value in function.properties["Environment"]["Variables"].items()
            },
        }
        for function in stack.of_type("AWS::Serverless::Function")
    }
    for name, environment in environments.items():
        folders = (ROOT / "functions" / name, layer)
        yield name, Program("import app", folders, environment)
    for name, environment in environments.items():
        folders = (ROOT / "functions" / name, layer)
        yield f"{name}{COMPOSED}", Program(f"import app; app._{name}()", folders, environment)
    script = Path(__file__).with_name("signed_events.py")
    for title, number in ((FIRST_EVENT, 1), (FURTHER_EVENT, EVENTS)):
        line = f"import runpy, sys; sys.argv[1:] = ['{number}']; runpy.run_path({str(script)!r})"
        folders = (ROOT / "functions/webhook", layer)
        variables = {**environments["webhook"], "POWERTOOLS_LOG_LEVEL": "ERROR"}
        yield title, Program(line, folders, variables)


def cpu_milliseconds(program: Program) -> float:
    """Run a program; return what it took of the CPU.

    Without `site`, whose hooks of installed packages Lambda has not.
    """
    path = os.pathsep.join(map(str, program.folders))
    before = _children_seconds()
    subprocess.run(
        [sys.executable, "-S", "-c", program.line],
        env={**(program.environment or {}), "PYTHONPATH": path},
        check=True,
    )
    return (_children_seconds() - before) * 1000


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.exit(main())
