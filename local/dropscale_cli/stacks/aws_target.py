"""A stack, on this machine or deployed, through AWS clients."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from dropscale.aws import wiring
from dropscale.aws.settings import CommandSettings
from dropscale.ledger.drops import Drop, Output
from dropscale.ledger.jobs import Job
from dropscale.ledger.store import Names, NotInLedger
from dropscale.pipeline.parts.ports import ObjectVersion, OutputLabels
from dropscale.pipeline.resolve import Decision, Trust
from dropscale.specs.keys import folded, meant_image
from dropscale_cli.errors import StackUnreachable
from dropscale_cli.files.drops import etag_of
from dropscale_cli.terminal import Terminal
from dropscale_cli.tracking.progress import progress_on
from dropscale_cli.tracking.round_trip import ResultMissing

if TYPE_CHECKING:
    from types_boto3_cloudformation import CloudFormationClient
    from types_boto3_s3 import S3Client


_WORD_START = re.compile("(?<!^)(?=[A-Z])")
_OUTPUT_BY_VARIABLE = MappingProxyType(
    {
        "LEDGER_TABLE": "LedgerTableName",
        "STACK_ID": "StackId",
        "INPUT_BUCKET": "InputBucketName",
        "RESULTS_BUCKET": "ResultsBucketName",
        "API_KEY_SECRET_ARN": "ApiKeySecretArn",
        "STATE_MACHINE_ARN": "StateMachineArn",
        "DROP_QUEUE_URL": "DropQueueUrl",
    }
)
"""The environment variables that tell functions of the stack's resources, and the outputs of the
same values."""

_DENIED = frozenset({"AccessDenied", "AccessDeniedException"})
"""The error codes of SQS for a missing permission, by protocol."""


@dataclass(frozen=True)
class WebhookEndpoint:
    """The public URL of a stack with webhooks, and the secret that holds the webhook's secret."""

    url: str
    secret_arn: str


@dataclass(frozen=True)
class AwsTarget:
    """A `Target` through AWS clients.

    Attributes:
        client: Returns the client of a service by its name.
        version: That of dropscale when the stack was deployed.
        dead_letter_queue_url: The queue of drops that submit could not process.
        settings: The settings that its functions also get.
        webhook: None: Webhooks is disabled.
    """

    client: Callable[[str], Any]
    version: str
    dead_letter_queue_url: str
    settings: CommandSettings
    webhook: WebhookEndpoint | None = None

    @classmethod
    def of_stack(
        cls,
        client: Callable[[str], Any],
        outputs: Mapping[str, str],
        parameters: Mapping[str, str],
    ) -> AwsTarget:
        """Return the target that a stack's outputs and parameters name.

        Raises:
            KeyError: an output is missing.
        """
        told = {_as_variable(name): value for name, value in parameters.items()}
        told |= {variable: outputs[name] for variable, name in _OUTPUT_BY_VARIABLE.items()}
        return cls(
            client=client,
            version=outputs["Version"],
            dead_letter_queue_url=outputs["DropDeadLetterQueueUrl"],
            settings=CommandSettings.from_environment(told),
            webhook=WebhookEndpoint(outputs["WebhookUrl"], outputs["WebhookSecretArn"])
            if "WebhookUrl" in outputs
            else None,
        )

    @property
    def input_bucket(self) -> str:
        """The stack's input bucket."""
        return self.settings.input_bucket

    def drop(self, key: str, file: BinaryIO) -> str | None:
        """See `Target.drop`."""
        if meant := meant_image(key, self.settings.sidecar_suffixes):
            # Its event may arrive after that of an image with a similar name, dropped next.
            name_id = Drop.id_of(self.input_bucket, folded(meant))
            names = Names(specs=frozenset({key}))
            wiring.ledger(self.settings, self.client).note_name(name_id, names)
        return self._s3.put_object(Bucket=self.input_bucket, Key=key, Body=file).get("VersionId")

    def uploaded(self, key: str, path: Path) -> ObjectVersion | None:
        """Return the object in the input bucket with the same bytes as a file, if any."""
        version = wiring.input_bucket(self.settings, self.client).head(self.input_bucket, key)
        return version if version and version.etag == etag_of(path) else None

    def version_of(self, key: str) -> str | None:
        """Return the version id of a drop's object, from the ledger."""
        return self._drop(key).source.version_id

    def input_pages(self, prefix: str) -> Iterator[list[tuple[str, ObjectVersion]]]:
        """Yield all objects of the input bucket whose keys start with `prefix`, page by page."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.input_bucket, Prefix=prefix
        )
        for page in pages:
            yield [
                (item["Key"], ObjectVersion(item["ETag"].strip('"'), size=item["Size"]))
                for item in page.get("Contents", [])
            ]

    def result_etags(self, prefix: str) -> dict[str, str]:
        """See `Target.result_etags`."""
        below = self.settings.results_prefix
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.settings.results_bucket, Prefix=below + prefix
        )
        found = (item for page in pages for item in page.get("Contents", []))
        return {item["Key"].removeprefix(below): item["ETag"] for item in found}

    def read_result(self, key: str) -> Iterator[bytes]:
        """See `Target.read_result`."""
        try:
            where = self.settings.results_prefix + key
            found = self._s3.get_object(Bucket=self.settings.results_bucket, Key=where)
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                raise ResultMissing(key) from error
            raise
        with closing(found["Body"]) as body:
            yield from body.iter_chunks(1024 * 1024)

    def records(self, key: str | None = None) -> Iterator[Drop | Job]:
        """Yield all records of the ledger, or one drop and its jobs."""
        ledger = wiring.ledger(self.settings, self.client)
        if key is None:
            yield from ledger.records()
        elif drop := ledger.drop(Drop.id_of(self.input_bucket, key)):
            yield drop
            yield from (job for name in drop.fingerprints if (job := ledger.job(name)))

    def look_again(self, key: str) -> None:
        """Have submit look at an object once more."""
        wiring.drop_queue(self.settings, self.client).send(self.input_bucket, key)

    def look_at_once(self, key: str) -> bool:
        """Have submit look at an object whose specs are there, without waiting SettleSeconds.

        Return whether that is permitted; if not, the object's own event arrives anyway.
        """
        try:
            wiring.drop_queue(self.settings, self.client).send(self.input_bucket, key, at_once=True)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _DENIED:
                raise
            return False
        return True

    def retry(self, key: str) -> bool:
        """See `Target.retry`."""
        return wiring.retry(self.settings, self.client)(self._drop(key), _no_hurry)

    def adopt(self, key: str, project_id: str, trust: Trust) -> None:
        """Adopt a project as the one whose answer was lost.

        Raises:
            NothingToResolve, ForeignProject, ProjectUnnamed, MagicHourError: see `Resolve.adopt`.
        """
        wiring.resolve(self.settings, self.client).adopt(self._drop(key), project_id, trust)

    def decide(self, key: str, decision: Decision) -> None:
        """Settle a drop's unknown outcome without a project.

        Raises:
            NothingToResolve: see `Resolve.decide`.
        """
        wiring.resolve(self.settings, self.client).decide(self._drop(key), decision, _no_hurry)

    def forget(self, key: str) -> list[str]:
        """Delete the vendor's copies of a drop's results; return the ids of their projects.

        Raises:
            StillNeeded, ForeignProject, MagicHourError: see `Forget`.
        """
        return wiring.forget(self.settings, self.client)(self._drop(key))

    def put_back(self, output: Output, labels: OutputLabels, path: Path) -> None:
        """Put an output that was delivered earlier into the results bucket."""
        results = wiring.results_bucket(self.settings, self.client)
        with path.open("rb") as file:
            results.put_output(output.key, file, output.type, labels, None)

    def restart(self) -> None:
        """Resume what was interrupted when the stack, which is not running yet, was stopped."""
        wiring.restart(self.settings, self.client)()

    def _drop(self, key: str) -> Drop:
        ledger = wiring.ledger(self.settings, self.client)
        drop = ledger.drop(Drop.id_of(self.input_bucket, key))
        if drop is None:
            raise NotInLedger.of("drop", key)
        return drop

    @cached_property
    def _s3(self) -> S3Client:
        s3: S3Client = self.client("s3")
        return s3


def _as_variable(parameter: str) -> str:
    """Return the environment variable of a parameter in functions, e.g. `SETTLE_SECONDS`."""
    return _WORD_START.sub("_", parameter).upper()


def _no_hurry() -> float:
    return math.inf


_CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 5}, max_pool_connections=32)


def deployed_target(name: str) -> AwsTarget:
    """Return the stack of that name in the environment's account and region.

    As for the AWS CLI: `AWS_PROFILE`, `AWS_REGION`, `AWS_ENDPOINT_URL` and so on.

    Raises:
        StackUnreachable: there is no such stack, or AWS cannot be reached.
    """
    try:
        with progress_on(Terminal(to_stderr=True), f"Looking for stack {name}"):
            client = _client_factory()
            outputs, parameters = _describe_stack(client("cloudformation"), name)
        return AwsTarget.of_stack(client, outputs, parameters)
    except (BotoCoreError, ClientError) as error:
        raise StackUnreachable(
            f"Stack {name} cannot be read: {str(error).rstrip('.')}. Check --stack and the AWS "
            "environment (AWS_PROFILE, AWS_REGION; `aws sts get-caller-identity` shows who you "
            "are)."
        ) from error
    except (KeyError, ValueError) as error:
        raise StackUnreachable(
            f"Stack {name} is not a dropscale stack, or is of another version: {error}"
        ) from error


def _client_factory() -> Callable[[str], Any]:
    # The AWS CLI reads this first, and boto3 never does.
    session = boto3.Session(region_name=os.environ.get("AWS_REGION"))
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
