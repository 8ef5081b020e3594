from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from dropscale_embedded.cloud import (
    InvalidParameterError,
    InvalidTemplateError,
    UnsupportedTemplateError,
)
from dropscale_embedded.cloud.names import StackContext
from dropscale_embedded.cloud.template import Stack, read_template, resolve_template

CONTEXT = StackContext("dev", "eu-west-1", "123456789012", "http://127.0.0.1:4000")

Load = Callable[..., Stack]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Resolve a template given as text, with parameters."""

    def load(text: str, **parameters: str) -> Stack:
        path = tmp_path / "template.yaml"
        path.write_text(text, encoding="utf-8")
        return resolve_template(read_template(path), parameters, CONTEXT)

    return load


def template_with(properties: Any, resource_type: str = "AWS::SQS::Queue") -> str:
    return yaml.safe_dump(
        {"Resources": {"Thing": {"Type": resource_type, "Properties": properties}}}
    )


def parameter(**attributes: Any) -> str:
    return yaml.safe_dump(
        {
            "Parameters": {"P": attributes},
            "Resources": {},
            "Outputs": {"P": {"Value": {"Ref": "P"}}},
        }
    )


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("!Ref AWS::StackName", "dev"),
        ("!Ref Bucket", "dev-bucket"),
        ("!GetAtt Bucket.Arn", "arn:aws:s3:::dev-bucket"),
        ("!Ref Queue", "http://127.0.0.1:4000/123456789012/dev-Queue"),
        ("!GetAtt Queue.Arn", "arn:aws:sqs:eu-west-1:123456789012:dev-Queue"),
        ("!Ref Named", "arn:aws:states:eu-west-1:123456789012:stateMachine:dev-flow"),
        ("!Ref Secret", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:dev-Secret"),
        ("!Sub '${Queue.QueueName}/${P}/${!P}'", "dev-Queue/7/${P}"),
        ("!Sub ['${x}-${P}', {x: !Ref Bucket}]", "dev-bucket-7"),
        ("!Join ['-', [a, !Ref P, !Ref 'AWS::NoValue']]", "a-7"),
        ("!If [Seven, 'yes', 'no']", "yes"),
        ("!If [NotSeven, 'yes', 'no']", "no"),
        ("!If [Either, 'yes', 'no']", "yes"),
    ],
)
def test_intrinsics(load: Load, expression: str, expected: str) -> None:
    text = f"""
        Parameters: {{P: {{Type: Number, Default: 7}}}}
        Conditions:
          Seven: !Equals [!Ref P, 7]
          NotSeven: !Not [!Condition Seven]
          Either: !Or [!Condition NotSeven, !And [!Condition Seven, !Condition Seven]]
        Resources:
          Bucket: {{Type: AWS::S3::Bucket}}
          Queue: {{Type: AWS::SQS::Queue}}
          Secret: {{Type: AWS::SecretsManager::Secret}}
          Named:
            Type: AWS::Serverless::StateMachine
            Properties: {{Name: !Sub '${{AWS::StackName}}-flow'}}
        Outputs: {{It: {{Value: {expression}}}}}
    """
    assert load(text).outputs == {"It": expected}


def test_globals_reach_functions_and_yield_to_their_own(load: Load) -> None:
    stack = load("""
        Globals: {Function: {Timeout: 5, Environment: {Variables: {A: global, B: global}}}}
        Resources:
          F:
            Type: AWS::Serverless::Function
            Properties: {Timeout: 9, Environment: {Variables: {B: own}}}
    """)
    properties = stack.resources["F"].properties
    assert properties["Timeout"] == 9
    assert properties["Environment"]["Variables"] == {"A": "global", "B": "own"}


def test_a_false_condition_leaves_resource_output_and_property_out(load: Load) -> None:
    stack = load("""
        Conditions: {Never: !Equals [a, b]}
        Resources:
          Gone: {Type: AWS::SQS::Queue, Condition: Never}
          Here:
            Type: AWS::SQS::Queue
            Properties: {DelaySeconds: !If [Never, 1, !Ref AWS::NoValue]}
        Outputs: {Gone: {Condition: Never, Value: x}}
    """)
    assert list(stack.resources) == ["Here"]
    assert stack.resources["Here"].properties == {}
    assert stack.outputs == {}


@pytest.mark.parametrize(
    ("attributes", "values"),
    [
        ({"Type": "String", "AllowedValues": ["a", "b"]}, ["b"]),
        ({"Type": "Number", "AllowedValues": [2, 4]}, ["4"]),
        ({"Type": "String", "AllowedPattern": "[a-z]+"}, ["abc"]),
        ({"Type": "Number", "MinValue": 1, "MaxValue": 3}, ["1", "3"]),
        ({"Type": "String", "MinLength": 1, "MaxLength": 3}, ["abc"]),
    ],
)
def test_parameters_that_keep_their_constraints(
    load: Load, attributes: dict[str, Any], values: list[str]
) -> None:
    for value in values:
        assert load(parameter(**attributes), P=value).outputs == {"P": value}


@pytest.mark.parametrize(
    ("attributes", "value", "complaint"),
    [
        ({"Type": "String", "AllowedValues": ["a", "b"]}, "c", "must be one of a, b"),
        ({"Type": "String", "AllowedPattern": "[a-z]+"}, "abc1", "must match"),
        ({"Type": "Number"}, "many", "must be a number"),
        ({"Type": "Number", "MinValue": 1}, "0", "at least 1"),
        ({"Type": "Number", "MaxValue": 3}, "10", "at most 3"),
        ({"Type": "String", "MaxLength": 2}, "abc", "at most 2 characters"),
        ({"Type": "Number", "MaxValue": 3, "ConstraintDescription": "is odd."}, "4", "is odd"),
        ({"Type": "String"}, None, "has no default"),
    ],
)
def test_parameters_that_break_a_constraint(
    load: Load, attributes: dict[str, Any], value: str | None, complaint: str
) -> None:
    given = {} if value is None else {"P": value}
    with pytest.raises(InvalidParameterError, match=rf"Parameters\.P.*{complaint}"):
        load(parameter(**attributes), **given)


def function_with(event: str, properties: dict[str, Any]) -> str:
    events = {"E": {"Type": event, "Properties": properties}}
    return template_with({"Events": events}, "AWS::Serverless::Function")


def with_url(config: dict[str, Any]) -> str:
    return template_with({"FunctionUrlConfig": config}, "AWS::Serverless::Function")


QUEUE = "Resources: {Q: {Type: AWS::SQS::Queue%s}}\n"
NEVER = "Conditions: {Never: !Equals [a, b]}\n"
UNSUPPORTED = {
    "section Mappings": "Resources: {}\nMappings: {}",
    r"Resources\.T: type AWS::Kinesis::Stream": "Resources: {T: {Type: AWS::Kinesis::Stream}}",
    r"Resources\.Q: attribute CreationPolicy": QUEUE % ", CreationPolicy: {}",
    r"Resources\.Thing: property FifoQueue": template_with({"FifoQueue": True}),
    r"Resources\.Thing\.NotificationConfiguration: property QueueConfigurations": template_with(
        {"NotificationConfiguration": {"QueueConfigurations": []}}, "AWS::S3::Bucket"
    ),
    r"Resources\.Thing\.Targets\[0\]: property InputPath": template_with(
        {"Targets": [{"Id": "a", "InputPath": "$.x"}]}, "AWS::Events::Rule"
    ),
    r"Resources\.Thing\.Events\.E: type SNS": function_with("SNS", {}),
    r"Resources\.Thing\.Events\.E: property FilterCriteria": function_with(
        "SQS", {"FilterCriteria": {}}
    ),
    r"Resources\.Thing\.FunctionUrlConfig: AuthType": with_url({"AuthType": "AWS_IAM"}),
    r"Resources\.Thing\.FunctionUrlConfig: property Cors": with_url(
        {"AuthType": "NONE", "Cors": {"AllowOrigins": ["*"]}}
    ),
    r"Resources\.Thing.*Fn::ImportValue": template_with({"QueueName": {"Fn::ImportValue": "x"}}),
    r"Outputs\.O: attribute Nope of Q": QUEUE % "" + "Outputs: {O: {Value: !GetAtt Q.Nope}}",
    "List": "Parameters: {P: {Type: List<Number>}}\nResources: {}",
}
INVALID = {
    r"Resources\.Thing\.DelaySeconds: Missing is neither": template_with(
        {"DelaySeconds": {"Ref": "Missing"}}
    ),
    "no condition Nope": QUEUE % ", Condition: Nope",
    "Bogus": "Globals: {Function: {Bogus: 1}}\nResources: {}",
    "no Resources": "[]",
    "cannot be read as a template": "Resources: {",
    r"Outputs\.O: Q is neither": NEVER
    + QUEUE % ", Condition: Never"
    + "Outputs: {O: {Value: !Ref Q}}",
}


@pytest.mark.parametrize("complaint", [*UNSUPPORTED, *INVALID])
def test_refusals_name_the_place(load: Load, complaint: str) -> None:
    error = UnsupportedTemplateError if complaint in UNSUPPORTED else InvalidTemplateError
    with pytest.raises(error, match=complaint):
        load({**UNSUPPORTED, **INVALID}[complaint])


def test_a_rule_refuses_parameters(load: Load) -> None:
    text = """
Parameters:
  First: {Type: String}
  Second: {Type: String}
Rules:
  TwoOfThem:
    RuleCondition: !Not [!Equals [!Ref First, ""]]
    Assertions:
      - Assert: !Not [!Equals [!Ref First, !Ref Second]]
        AssertDescription: First and Second must be two.
Resources: {}
"""
    load(text, First="", Second="")
    load(text, First="a", Second="b")
    with pytest.raises(InvalidParameterError, match=r"Rules\.TwoOfThem: First and Second"):
        load(text, First="a", Second="a")
    with pytest.raises(InvalidParameterError, match="no parameter Third"):
        load(text, First="", Second="", Third="")
