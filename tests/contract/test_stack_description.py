"""Commands get from a stack's description the settings that functions get from its template."""

from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from dropscale.aws.settings import Settings, StartSettings, SubmitSettings, SweepSettings
from dropscale_cli.errors import StackUnreachable
from dropscale_cli.stacks.aws_target import AwsTarget, deployed_target
from dropscale_embedded.cloud.names import StackContext
from dropscale_embedded.cloud.template import Stack, read_template, resolve_template

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
SETTINGS = {
    "SubmitFunction": SubmitSettings,
    "DeliverFunction": StartSettings,
    "SweepFunction": SweepSettings,
}


def stack() -> Stack:
    context = StackContext("dropscale", "us-east-1", "123456789012", "http://127.0.0.1:1")
    return resolve_template(read_template(TEMPLATE), {"MaxConcurrentJobs": "7"}, context)


@pytest.mark.parametrize(("name", "model"), SETTINGS.items())
def test_a_command_gets_the_settings_of_the_function(name: str, model: type[Settings]) -> None:
    described = stack()
    variables = described.resources[name].properties["Environment"]["Variables"]
    function = model.from_environment({key: str(value) for key, value in variables.items()})

    command = AwsTarget.of_stack(unused_client, described.outputs, described.parameters).settings

    told = function.model_dump(exclude={"max_receives"})
    assert {field: getattr(command, field) for field in told} == told


def unused_client(service: str) -> Any:
    raise AssertionError(service)


class DescribedByTest:
    """CloudFormation, with one answer."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def describe_stacks(self, StackName: str) -> Any:  # noqa: N803 - boto3's name
        if isinstance(self.answer, Exception):
            raise self.answer
        return {"Stacks": [self.answer]}


MISSING = ClientError(
    {"Error": {"Code": "ValidationError", "Message": "Stack with id photos does not exist"}},
    "DescribeStacks",
)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (MISSING, "does not exist"),
        ({"StackName": "photos"}, "is not a dropscale stack"),
    ],
)
def test_a_stack_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, answer: Any, words: str
) -> None:
    monkeypatch.setattr(boto3.Session, "client", lambda *_, **__: DescribedByTest(answer))

    with pytest.raises(StackUnreachable) as caught:
        deployed_target("photos")

    assert "photos" in caught.value.message
    assert words in caught.value.message
