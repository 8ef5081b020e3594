"""ministack, an AWS of other makers than moto's: https://github.com/ministackorg/ministack.

It deploys the transformed template through its own CloudFormation, and runs what was built for
Lambda in processes of its own, behind its own S3, EventBridge, SQS, DynamoDB and Step Functions.
"""

import json
import os
import signal
import socket
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import URLError
from urllib.request import urlopen

import boto3
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped] # ships no types

from tests.gate.transformed_template import CODE_BUCKET, PSEUDO_PARAMETERS, transformed

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
REGION = PSEUDO_PARAMETERS["AWS::Region"]
ACCOUNT = PSEUDO_PARAMETERS["AWS::AccountId"]
DEADLINE_SECONDS = 240.0
_BODY = "template.json"

T = TypeVar("T")


def awaited(ask: Callable[[], T | None]) -> T:
    """Ask again until the answer is truthy, and return it.

    Raises:
        TimeoutError: it never is.
    """
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (answer := ask()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not so within {DEADLINE_SECONDS} s: {ask}")
        time.sleep(0.1)
    return answer


@dataclass(frozen=True)
class Engine:
    """A running engine.

    Attributes:
        url: Where all of its services are.
    """

    url: str

    @property
    def environment(self) -> dict[str, str]:
        """What leads an AWS SDK to it; with no other AWS configuration, and no code of ours."""
        ours = ("AWS_", "PYTHON")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return kept | {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": REGION,
        }

    def client(self, service: str) -> Any:
        """Make the client of a service."""
        return boto3.client(  # type: ignore[call-overload] # chosen by name
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=ACCOUNT,
            aws_secret_access_key="secret",
        )

    def upload(self, built: Mapping[str, Path]) -> None:
        """Put our template where stacks are made from, and the code that it names."""
        s3 = self.client("s3")
        s3.create_bucket(Bucket=CODE_BUCKET)
        for name, folder in built.items():
            archive = folder.with_suffix(".zip")
            with zipfile.ZipFile(archive, "w") as file:
                for path in folder.rglob("*"):
                    file.write(path, path.relative_to(folder))
            s3.upload_file(archive, CODE_BUCKET, name)
        body = json.dumps(_readable(transformed(yaml_parse(TEMPLATE.read_text()))))
        s3.put_object(Bucket=CODE_BUCKET, Key=_BODY, Body=body)

    def create_stack(self, name: str, parameters: Mapping[str, str]) -> dict[str, str]:
        """Create a stack of our template; return its outputs."""
        return self._deploy("create_stack", name, parameters, "CREATE_COMPLETE")

    def update_stack(self, name: str, parameters: Mapping[str, str]) -> dict[str, str]:
        """Give a stack other parameters; return its outputs."""
        return self._deploy("update_stack", name, parameters, "UPDATE_COMPLETE")

    def delete_stack(self, name: str) -> None:
        """Delete a stack, and check what remains."""
        formation = self.client("cloudformation")
        stack_id = formation.describe_stacks(StackName=name)["Stacks"][0]["StackId"]
        formation.delete_stack(StackName=name)
        self._await_stack(stack_id, "DELETE_COMPLETE")

    def _deploy(
        self, call: str, name: str, parameters: Mapping[str, str], end: str
    ) -> dict[str, str]:
        answer = getattr(self.client("cloudformation"), call)(
            StackName=name,
            TemplateURL=f"{self.url}/{CODE_BUCKET}/{_BODY}",
            Parameters=[
                {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
            ],
            Capabilities=["CAPABILITY_IAM"],
        )
        stack = self._await_stack(answer["StackId"], end)
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def _await_stack(self, stack_id: str, end: str) -> dict[str, Any]:
        formation = self.client("cloudformation")

        def stack() -> dict[str, Any] | None:
            found: dict[str, Any] = formation.describe_stacks(StackName=stack_id)["Stacks"][0]
            return None if found["StackStatus"].endswith("_IN_PROGRESS") else found

        found = awaited(stack)
        if found["StackStatus"] != end:
            events = formation.describe_stack_events(StackName=stack_id)["StackEvents"]
            raise AssertionError([event for event in events if "FAILED" in event["ResourceStatus"]])
        return found


@contextmanager
def running_engine(python: Path, folder: Path) -> Iterator[Engine]:
    """Start an engine, with a Python that has it, and end it with all that it started.

    It keeps what it must in `folder`, and its log in `engine.log` there.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    engine = Engine(f"http://127.0.0.1:{port}")
    environment = engine.environment | {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "HOME": str(folder),
        "LOG_LEVEL": "WARNING",
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_REGION": REGION,
        "TMPDIR": str(folder),
    }
    with (folder / "engine.log").open("w") as log:
        process = subprocess.Popen(
            [python, "-m", "ministack"],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        awaited(lambda: process.poll() is not None or _answers(engine))
        yield engine
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(engine: Engine) -> bool:
    try:
        with urlopen(f"{engine.url}/_ministack/health") as answer:
            return bool(answer.status == 200)
    except URLError:
        return False


def _readable(template: dict[str, Any]) -> dict[str, Any]:
    """Return a template without what this engine reads otherwise than CloudFormation.

    It hands numbers to a function's environment, and text where the mapping of a queue has a
    number. CloudFormation turns each into what is wanted. It knows no alarms on sums of metrics.
    """
    resources = template["Resources"]
    for name, resource in list(resources.items()):
        properties = resource.get("Properties", {})
        variables = properties.get("Environment", {}).get("Variables", {})
        for variable, value in variables.items():
            if isinstance(value, int):
                variables[variable] = str(value)
        if resource["Type"] == "AWS::Lambda::EventSourceMapping":
            properties["ScalingConfig"] = {"MaximumConcurrency": 2}
        if resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in properties:
            del resources[name]
    return template
