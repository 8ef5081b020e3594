"""What the transformed template lets each role do, with the names of the embedded cloud."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from dropscale_embedded.cloud.intrinsics import Resolver
from dropscale_embedded.cloud.names import StackContext, identify
from dropscale_embedded.cloud.parameters import resolve_parameters
from tests.aws_calls.call_log import ACCOUNT, REGION, Permission
from tests.template import read_template

TEMPLATE = Path(__file__).parents[1] / "template.yaml"
_NOTHING = {"Ref": "AWS::NoValue"}
_CONTEXT = StackContext("dropscale", REGION, ACCOUNT, "http://127.0.0.1:9")


@dataclass(frozen=True)
class Statement:
    """One statement of a policy that allows something."""

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    leading_keys: tuple[str, ...] = ("*",)
    attributes: tuple[str, ...] | None = None

    def allows(self, permission: Permission) -> bool:
        """Return whether a call is permitted here."""
        return (
            permission.action in self.actions
            and any(fnmatchcase(permission.resource, pattern) for pattern in self.resources)
            and any(fnmatchcase(permission.leading_key, pattern) for pattern in self.leading_keys)
            and (self.attributes is None or {*permission.attributes} <= {*self.attributes})
        )


class _NoManagedPolicies:
    def load(self) -> dict[str, str]:
        return {}


@cache  # it takes most of a second; nobody changes what it returns
def transformed(context: StackContext = _CONTEXT) -> dict[str, Any]:
    """Return template.yaml as CloudFormation gets it from SAM, where the stack is to be."""
    # It takes long to import, and ships no type information.
    from samtranslator.translator.transform import (  # type: ignore[import-untyped] # noqa: PLC0415
        transform,
    )

    template = read_template()
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        for name in properties.keys() & {"CodeUri", "ContentUri", "DefinitionUri"}:
            properties[name] = "s3://bucket/key"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", context.region)  # the transform asks boto3 for it
        values = context.pseudo_parameters
        after: dict[str, Any] = transform(template, values, _NoManagedPolicies())
    return after


class Policies:
    """The policies of every role of the stack.

    Args:
        parameters: Stack parameters; the template's defaults for the rest.
        context: Where the stack is.
    """

    def __init__(
        self, parameters: Mapping[str, str] | None = None, context: StackContext = _CONTEXT
    ) -> None:
        template = transformed(context)
        declared = read_template()["Resources"]
        self._resources: dict[str, Any] = template["Resources"]
        self._outputs: dict[str, Any] = template["Outputs"]
        values = resolve_parameters(template["Parameters"], parameters or {})
        self._resolver = Resolver(
            values | context.pseudo_parameters,
            template["Conditions"],
            lambda name: (
                identify(declared[name]["Type"], name, self._name(declared[name]), context)
                if name in declared
                else None
            ),
        )

    def output(self, name: str) -> str:
        """Return an output of the stack."""
        return str(self._resolver.resolve(self._outputs[name]["Value"], name))

    def of_function(self, function: str) -> list[Statement]:
        """Return what a function's role may do, by the function's logical id."""
        role = self._resources[function]["Properties"]["Role"]["Fn::GetAtt"][0]
        return list(self._of_role(role))

    def managed_elsewhere(self) -> set[str]:
        """Return the managed policies, by ARN, that are not the template's own."""
        roles = (r for r in self._resources.values() if r["Type"] == "AWS::IAM::Role")
        attached = [a for role in roles for a in role["Properties"].get("ManagedPolicyArns", [])]
        return {str(arn) for arn in map(self._chosen, attached) if "Ref" not in arn}

    def _of_role(self, role: str) -> Iterator[Statement]:
        properties = self._resources[role]["Properties"]
        for attached in map(self._chosen, properties.get("ManagedPolicyArns", [])):
            if attached != _NOTHING:
                yield from self._of_document(self._resources[attached["Ref"]]["Properties"])
        for inline in properties.get("Policies", []):
            yield from self._of_document(inline)

    def _of_document(self, policy: Mapping[str, Any]) -> Iterator[Statement]:
        document = self._resolver.resolve(policy["PolicyDocument"], "PolicyDocument")
        for statement in document["Statement"]:
            assert statement["Effect"] == "Allow"
            conditions = statement.get("Condition", {})
            rows = conditions.get("ForAllValues:StringLike", {})
            attributes = conditions.get("ForAllValues:StringEquals", {}).get("dynamodb:Attributes")
            yield Statement(
                statement["Sid"],
                _listed(statement["Action"]),
                _listed(statement["Resource"]),
                _listed(rows.get("dynamodb:LeadingKeys", "*")),
                None if attributes is None else _listed(attributes),
            )

    def _chosen(self, value: Any) -> Any:
        """Return the value of an Fn::If, and anything else unchanged."""
        if "Fn::If" not in value:
            return value
        condition, then, otherwise = value["Fn::If"]
        return then if self._resolver.condition(condition, "ManagedPolicyArns") else otherwise

    def _name(self, resource: Mapping[str, Any]) -> str | None:
        """Return the name that the template itself gives a resource."""
        properties = resource.get("Properties", {})
        for field in ("Name", "LogGroupName"):
            if field in properties:
                return str(self._resolver.resolve(properties[field], field))
        return None


def policies_in_use() -> Policies:
    """Return the policies of a stack with every option that allows its functions more."""
    key = "arn:aws:kms:us-east-1:123456789012:key/one"
    return Policies({"KmsKeyArn": key, "TagDrops": "true", "Webhooks": "enabled"})


def refused_calls(needed: Mapping[str, set[Permission]]) -> dict[str, set[Permission]]:
    """Return what functions called although their roles do not allow it, by function."""
    if not needed:
        return {}
    policies, refused = policies_in_use(), dict[str, set[Permission]]()
    for function, permissions in needed.items():
        statements = policies.of_function(function)
        allowed = {one for one in permissions if any(each.allows(one) for each in statements)}
        if permissions - allowed:
            refused[function] = permissions - allowed
    return refused


def _listed(value: Any) -> tuple[str, ...]:
    return tuple(value) if isinstance(value, list) else (str(value),)
