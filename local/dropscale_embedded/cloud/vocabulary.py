"""The resource types and properties that the embedded cloud supports.

Every property is either applied, or listed with the reason why it changes nothing on one machine.
Any other is refused: a template that behaves differently here must not pass silently.
"""

from collections.abc import Mapping
from typing import Any

from dropscale_embedded.cloud.errors import UnsupportedTemplateError

APPLIED = "applied"
ANY_NAME = "*"

# Reasons why a property has no meaning locally.
_PERMISSIONS = "no meaning locally: permissions are not enforced"
_ENCRYPTION = "no meaning locally: nothing is stored beyond the run"
_RETENTION = "no meaning locally: everything ends with the run"
_ACCESS = "no meaning locally: only this machine reaches the endpoint"
_LOGGING = "no meaning locally: all functions write to the cloud's log"
_PLATFORM = "no meaning locally: the Python that runs the cloud runs the functions"
_DESCRIPTION = "no meaning locally: for people"
_ALARM = "no meaning locally: nobody is on call"
_RELIABLE = "no meaning locally: delivery does not fail"

# A schema is APPLIED, a reason, or a mapping of known properties (of an object, or each in a list).
Schema = str | Mapping[str, Any]

RESOURCE_TYPES: Mapping[str, Mapping[str, Schema]] = {
    "AWS::S3::Bucket": {
        "BucketName": APPLIED,
        "NotificationConfiguration": {"EventBridgeConfiguration": {"EventBridgeEnabled": APPLIED}},
        "VersioningConfiguration": {"Status": APPLIED},
        "PublicAccessBlockConfiguration": _ACCESS,
        "OwnershipControls": _PERMISSIONS,
        "BucketEncryption": _ENCRYPTION,
        "LifecycleConfiguration": _RETENTION,
        "Tags": _DESCRIPTION,
    },
    "AWS::S3::BucketPolicy": {"Bucket": _PERMISSIONS, "PolicyDocument": _PERMISSIONS},
    "AWS::SQS::Queue": {
        "QueueName": APPLIED,
        "DelaySeconds": APPLIED,
        "VisibilityTimeout": APPLIED,
        "MessageRetentionPeriod": APPLIED,
        "ReceiveMessageWaitTimeSeconds": APPLIED,
        "RedrivePolicy": {"deadLetterTargetArn": APPLIED, "maxReceiveCount": APPLIED},
        "RedriveAllowPolicy": _PERMISSIONS,
        "SqsManagedSseEnabled": _ENCRYPTION,
        "Tags": _DESCRIPTION,
    },
    "AWS::SQS::QueuePolicy": {"Queues": _PERMISSIONS, "PolicyDocument": _PERMISSIONS},
    "AWS::Events::Rule": {
        "Name": APPLIED,
        "State": APPLIED,
        "EventPattern": APPLIED,
        "Targets": {
            "Id": APPLIED,
            "Arn": APPLIED,
            "RetryPolicy": _RELIABLE,
            "DeadLetterConfig": _RELIABLE,
            "InputTransformer": _ALARM,
        },
        "Description": _DESCRIPTION,
    },
    "AWS::DynamoDB::Table": {
        "TableName": APPLIED,
        "BillingMode": APPLIED,
        "AttributeDefinitions": APPLIED,
        "KeySchema": APPLIED,
        "GlobalSecondaryIndexes": {
            "IndexName": APPLIED,
            "KeySchema": APPLIED,
            "Projection": APPLIED,
        },
        "PointInTimeRecoverySpecification": _RETENTION,
        "TimeToLiveSpecification": _RETENTION,
        "DeletionProtectionEnabled": _RETENTION,
        "SSESpecification": _ENCRYPTION,
        "Tags": _DESCRIPTION,
    },
    "AWS::SecretsManager::Secret": {
        "Name": APPLIED,
        "KmsKeyId": _ENCRYPTION,
        "Description": _DESCRIPTION,
        "Tags": _DESCRIPTION,
    },
    "AWS::IAM::ManagedPolicy": {
        "ManagedPolicyName": APPLIED,
        "PolicyDocument": _PERMISSIONS,
        "Description": _DESCRIPTION,
    },
    "AWS::IAM::Role": {ANY_NAME: _PERMISSIONS},
    "AWS::Logs::LogGroup": {
        "LogGroupName": APPLIED,
        "RetentionInDays": _RETENTION,
        "KmsKeyId": _ENCRYPTION,
        "Tags": _DESCRIPTION,
    },
    "AWS::CloudWatch::Alarm": {ANY_NAME: _ALARM},
    "AWS::CloudWatch::Dashboard": {ANY_NAME: _ALARM},
    "AWS::SNS::Topic": {ANY_NAME: _ALARM},
    "AWS::SNS::TopicPolicy": {ANY_NAME: _PERMISSIONS},
    "AWS::Serverless::LayerVersion": {
        "LayerName": APPLIED,
        "ContentUri": APPLIED,
        "CompatibleRuntimes": _PLATFORM,
        "CompatibleArchitectures": _PLATFORM,
        "RetentionPolicy": _RETENTION,
        "Description": _DESCRIPTION,
    },
    "AWS::Serverless::Function": {
        "FunctionName": APPLIED,
        "CodeUri": APPLIED,
        "Handler": APPLIED,
        "Layers": APPLIED,
        "Timeout": APPLIED,
        "MemorySize": (
            "no meaning locally except in the function's environment: memory is not limited"
        ),
        "ReservedConcurrentExecutions": "no meaning locally: no other functions use this machine's",
        "EphemeralStorage": "no meaning locally: the temporary folder is not limited",
        "Environment": {"Variables": {ANY_NAME: APPLIED}},
        "Events": {ANY_NAME: {"Type": APPLIED, "Properties": APPLIED}},
        "FunctionUrlConfig": {"AuthType": APPLIED},
        "EventInvokeConfig": "no meaning locally: what a schedule invokes is not repeated",
        "LoggingConfig": _LOGGING,
        "Tracing": _LOGGING,
        "Policies": _PERMISSIONS,
        "Role": _PERMISSIONS,
        "Runtime": _PLATFORM,
        "Architectures": _PLATFORM,
        "Description": _DESCRIPTION,
        "Tags": _DESCRIPTION,
    },
    "AWS::Serverless::StateMachine": {
        "Name": APPLIED,
        "Type": APPLIED,
        "DefinitionUri": APPLIED,
        "DefinitionSubstitutions": {ANY_NAME: APPLIED},
        "Logging": _LOGGING,
        "Tracing": _LOGGING,
        "Policies": _PERMISSIONS,
        "Role": _PERMISSIONS,
        "Tags": _DESCRIPTION,
    },
}

EVENT_TYPES: Mapping[str, Mapping[str, Schema]] = {
    "SQS": {
        "Queue": APPLIED,
        "BatchSize": APPLIED,
        "FunctionResponseTypes": APPLIED,
        "ScalingConfig": {"MaximumConcurrency": APPLIED},
    },
    "ScheduleV2": {
        "ScheduleExpression": APPLIED,
        "Name": "no meaning locally: schedules are not looked up by name",
        "OmitName": "no meaning locally: schedules are not looked up by name",
        "FlexibleTimeWindow": "no meaning locally: schedules fire on time",
        "RetryPolicy": "no meaning locally: an invocation that was delivered is not repeated",
        "RoleArn": _PERMISSIONS,
        "Description": _DESCRIPTION,
    },
}


def check_known(value: Any, schema: Schema, where: str) -> None:
    """Refuse properties that the schema does not list.

    Args:
        value: A resolved property value.
        schema: The schema for it.
        where: Its dotted path, for messages.

    Raises:
        UnsupportedTemplateError: A property is unknown.
    """
    if isinstance(schema, str):
        return
    if isinstance(value, list):
        for index, item in enumerate(value):
            check_known(item, schema, f"{where}[{index}]")
        return
    if not isinstance(value, dict):
        raise UnsupportedTemplateError(f"{where}: expected an object, found {value!r}")
    for key, item in value.items():
        known = schema.get(key, schema.get(ANY_NAME))
        if known is None:
            raise UnsupportedTemplateError(
                f"{where}: property {key} is not supported by the embedded cloud; "
                f"known: {', '.join(sorted(schema))}"
            )
        check_known(item, known, f"{where}.{key}")
