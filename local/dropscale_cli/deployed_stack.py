"""A stack as CloudFormation describes it: on AWS, or one that `dropscale up` keeps running."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from dropscale_cli.aws_target import AwsTarget
from dropscale_cli.errors import StackUnreachable

if TYPE_CHECKING:
    from types_boto3_cloudformation import CloudFormationClient

_CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 5}, max_pool_connections=32)


def deployed_target(name: str) -> AwsTarget:
    """Return the stack of that name, by the account and region that the environment chooses.

    As for the AWS CLI: `AWS_PROFILE`, `AWS_REGION`, `AWS_ENDPOINT_URL` and so on.

    Raises:
        StackUnreachable: there is no such stack, or AWS cannot be asked.
    """
    try:
        client = _client_factory()
        outputs, parameters = _describe_stack(client("cloudformation"), name)
        return AwsTarget.of_stack(client, outputs, parameters)
    except (BotoCoreError, ClientError) as error:
        raise StackUnreachable(
            f"Stack {name} cannot be looked at: {str(error).rstrip('.')}. "
            "Check --stack and the AWS environment "
            "(AWS_PROFILE, AWS_REGION; `aws sts get-caller-identity` tells who you are)."
        ) from error
    except (KeyError, ValueError) as error:
        raise StackUnreachable(
            f"Stack {name} is no stack of dropscale, or of another version: {error}"
        ) from error


def _client_factory() -> Callable[[str], Any]:
    session = boto3.Session()
    return lambda service: session.client(service, config=_CONFIG)  # type: ignore[call-overload] # chosen by name


def _describe_stack(
    client: CloudFormationClient, name: str
) -> tuple[dict[str, str], dict[str, str]]:
    (stack,) = client.describe_stacks(StackName=name)["Stacks"]
    outputs = {item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])}
    parameters = {
        item["ParameterKey"]: item["ParameterValue"] for item in stack.get("Parameters", [])
    }
    return outputs, parameters
