"""The names of stack resources, and the values of Ref and Fn::GetAtt.

Names are functions of stack name and logical id, so that a template can be resolved before
anything exists. Return values per type:
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-template-resource-type-ref.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class StackContext:
    """A stack's environment: the AWS:: pseudo parameters, and the endpoint's URL."""

    stack_name: str
    region: str
    account_id: str
    endpoint_url: str
    partition: str = "aws"

    @property
    def stack_id(self) -> str:
        """The stack's identity: all runs of one name on one machine are the same stack."""
        where = f"arn:{self.partition}:cloudformation:{self.region}:{self.account_id}"
        return f"{where}:stack/{self.stack_name}/embedded"

    @property
    def pseudo_parameters(self) -> dict[str, str]:
        """The values of the CloudFormation pseudo parameters that make sense locally."""
        return {
            "AWS::StackName": self.stack_name,
            "AWS::StackId": self.stack_id,
            "AWS::Region": self.region,
            "AWS::AccountId": self.account_id,
            "AWS::Partition": self.partition,
            "AWS::URLSuffix": "amazonaws.com.cn" if self.partition == "aws-cn" else "amazonaws.com",
        }


@dataclass(frozen=True)
class ResourceIdentity:
    """A resource's name, Ref and attributes, for references."""

    name: str
    ref: str
    attributes: Mapping[str, str]


@dataclass(frozen=True)
class _Naming:
    """Format strings of {name} and the fields of StackContext; ``ref`` may also use {Arn}."""

    name_property: str | None = None
    ref: str = "{name}"
    attributes: Mapping[str, str] = field(default_factory=dict)


_HERE = "{region}:{account_id}"

FUNCTION_URL_PATH = "/_function-url/"
"""The prefix of the paths of all function URLs; no bucket can have this name."""

_NAMING: Mapping[str, _Naming] = {
    "AWS::S3::Bucket": _Naming("BucketName", attributes={"Arn": "arn:{partition}:s3:::{name}"}),
    "AWS::S3::BucketPolicy": _Naming(),
    "AWS::SQS::Queue": _Naming(
        "QueueName",
        ref="{QueueUrl}",
        attributes={
            "Arn": f"arn:{{partition}}:sqs:{_HERE}:{{name}}",
            "QueueName": "{name}",
            "QueueUrl": "{endpoint_url}/{account_id}/{name}",
        },
    ),
    "AWS::SQS::QueuePolicy": _Naming(),
    "AWS::Events::Rule": _Naming(
        "Name", attributes={"Arn": f"arn:{{partition}}:events:{_HERE}:rule/{{name}}"}
    ),
    "AWS::DynamoDB::Table": _Naming(
        "TableName", attributes={"Arn": f"arn:{{partition}}:dynamodb:{_HERE}:table/{{name}}"}
    ),
    # Without the six random characters: a partial ARN, which Secrets Manager also accepts.
    "AWS::SecretsManager::Secret": _Naming(
        "Name",
        ref="{Id}",
        attributes={"Id": f"arn:{{partition}}:secretsmanager:{_HERE}:secret:{{name}}"},
    ),
    "AWS::IAM::ManagedPolicy": _Naming(
        "ManagedPolicyName", ref="arn:{partition}:iam::{account_id}:policy/{name}"
    ),
    "AWS::IAM::Role": _Naming(
        "RoleName", attributes={"Arn": "arn:{partition}:iam::{account_id}:role/{name}"}
    ),
    "AWS::CloudWatch::Alarm": _Naming("AlarmName"),
    "AWS::CloudWatch::Dashboard": _Naming("DashboardName"),
    "AWS::SNS::Topic": _Naming("TopicName", ref=f"arn:{{partition}}:sns:{_HERE}:{{name}}"),
    "AWS::SNS::TopicPolicy": _Naming(),
    "AWS::Logs::LogGroup": _Naming(
        "LogGroupName", attributes={"Arn": f"arn:{{partition}}:logs:{_HERE}:log-group:{{name}}:*"}
    ),
    "AWS::Serverless::LayerVersion": _Naming(
        "LayerName", ref=f"arn:{{partition}}:lambda:{_HERE}:layer:{{name}}:1"
    ),
    "AWS::Serverless::Function": _Naming(
        "FunctionName", attributes={"Arn": f"arn:{{partition}}:lambda:{_HERE}:function:{{name}}"}
    ),
    # What SAM makes of a function's FunctionUrlConfig; its name is the function's.
    "AWS::Lambda::Url": _Naming(
        ref=f"arn:{{partition}}:lambda:{_HERE}:function:{{name}}",
        attributes={"FunctionUrl": "{endpoint_url}" + FUNCTION_URL_PATH + "{name}/"},
    ),
    "AWS::Serverless::StateMachine": _Naming(
        "Name",
        ref="{Arn}",
        attributes={
            "Arn": f"arn:{{partition}}:states:{_HERE}:stateMachine:{{name}}",
            "Name": "{name}",
        },
    ),
}


def name_property(resource_type: str) -> str | None:
    """Return the property that names a resource of this type, if there is one."""
    return _NAMING[resource_type].name_property


def identify(
    resource_type: str, logical_id: str, name: str | None, context: StackContext
) -> ResourceIdentity:
    """Return a resource's name; ``name`` is the template's, if it gives one."""
    naming = _NAMING[resource_type]
    if name is None:
        name = f"{context.stack_name}-{logical_id}"
        if resource_type == "AWS::S3::Bucket":  # bucket names have no capitals
            name = name.lower()
    known = {"name": name, **vars(context)}
    attributes = {key: text.format_map(known) for key, text in naming.attributes.items()}
    return ResourceIdentity(name, naming.ref.format_map(known | attributes), attributes)
