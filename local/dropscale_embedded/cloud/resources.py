"""Creates a stack's resources on the endpoint, with boto3."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dropscale_embedded.cloud.aws_clients import ClientFactory
from dropscale_embedded.cloud.errors import InvalidParameterError
from dropscale_embedded.cloud.state_machine import read_definition
from dropscale_embedded.cloud.template import Resource, Stack

# moto requires a role's name, but does not check it.
_ROLE_ARN = "arn:aws:iam::123456789012:role/embedded-cloud"
_QUEUE_ATTRIBUTES = (
    "DelaySeconds",
    "VisibilityTimeout",
    "MessageRetentionPeriod",
    "ReceiveMessageWaitTimeSeconds",
)
_TABLE_PROPERTIES = (
    "BillingMode",
    "AttributeDefinitions",
    "KeySchema",
    "GlobalSecondaryIndexes",
)


def create_resources(
    stack: Stack, *, clients: ClientFactory, base: Path, secrets: Mapping[str, str]
) -> None:
    """Create the resources of a stack that the endpoint serves.

    Args:
        stack: The resolved template.
        clients: Clients of the endpoint.
        base: The folder that the template's paths are relative to.
        secrets: Values by the secrets' logical ids; a secret not named is created without a value.

    Raises:
        InvalidParameterError: A value is for a secret that the template does not have.
    """
    secret_ids = {secret.logical_id for secret in stack.of_type("AWS::SecretsManager::Secret")}
    if unknown := secrets.keys() - secret_ids:
        raise InvalidParameterError(f"the template has no secret {min(unknown)}")
    _create_each(stack, "AWS::S3::Bucket", clients.client("s3"), _create_bucket)
    _create_queues(stack, clients.client("sqs"))
    _create_each(stack, "AWS::Events::Rule", clients.client("events"), _create_rule)
    _create_each(stack, "AWS::DynamoDB::Table", clients.client("dynamodb"), _create_table)
    _create_secrets(stack, clients.client("secretsmanager"), secrets)
    _create_state_machines(stack, clients.client("stepfunctions"), base)


def _create_each(
    stack: Stack, resource_type: str, client: Any, create: Callable[[Resource, Any], None]
) -> None:
    for resource in stack.of_type(resource_type):
        create(resource, client)


def _create_bucket(bucket: Resource, s3: Any) -> None:
    name, properties = bucket.identity.name, bucket.properties
    s3.create_bucket(Bucket=name)
    if versioning := properties.get("VersioningConfiguration"):
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=versioning)
    notifications = properties.get("NotificationConfiguration", {})
    if notifications.get("EventBridgeConfiguration", {}).get("EventBridgeEnabled", False):
        s3.put_bucket_notification_configuration(
            Bucket=name, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )


def _create_queues(stack: Stack, sqs: Any) -> None:
    queues = list(stack.of_type("AWS::SQS::Queue"))
    # A dead-letter queue is created before the queue that names it.
    for queue in sorted(queues, key=lambda item: "RedrivePolicy" in item.properties):
        properties = queue.properties
        attributes = {
            name: str(properties[name]) for name in _QUEUE_ATTRIBUTES if name in properties
        }
        if "RedrivePolicy" in properties:
            attributes["RedrivePolicy"] = json.dumps(properties["RedrivePolicy"])
        sqs.create_queue(QueueName=queue.identity.name, Attributes=attributes)


def _create_rule(rule: Resource, events: Any) -> None:
    name, properties = rule.identity.name, rule.properties
    events.put_rule(
        Name=name,
        EventPattern=json.dumps(properties["EventPattern"]),
        State=properties.get("State", "ENABLED"),
    )
    targets = [{"Id": item["Id"], "Arn": item["Arn"]} for item in properties["Targets"]]
    events.put_targets(Rule=name, Targets=targets)


def _create_table(table: Resource, dynamodb: Any) -> None:
    given = {name: value for name, value in table.properties.items() if name in _TABLE_PROPERTIES}
    dynamodb.create_table(TableName=table.identity.name, **given)


def _create_secrets(stack: Stack, secrets_manager: Any, values: Mapping[str, str]) -> None:
    for secret in stack.of_type("AWS::SecretsManager::Secret"):
        value = values.get(secret.logical_id)
        given = {} if value is None else {"SecretString": value}
        secrets_manager.create_secret(Name=secret.identity.name, **given)


def _create_state_machines(stack: Stack, states: Any, base: Path) -> None:
    for machine in stack.of_type("AWS::Serverless::StateMachine"):
        definition = read_definition(
            base / machine.properties["DefinitionUri"],
            machine.properties.get("DefinitionSubstitutions", {}),
        )
        states.create_state_machine(
            name=machine.identity.name,
            definition=json.dumps(definition),
            roleArn=_ROLE_ARN,
            type=machine.properties.get("Type", "STANDARD"),
        )
