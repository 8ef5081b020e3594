"""A SAM template, read and resolved: what to create, with every reference replaced.

Pure: nothing here talks to a service.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from samtranslator.plugins.globals.globals import (  # type: ignore[import-untyped]  # no types
    Globals,
    InvalidGlobalsSectionException,
)

from dropscale_embedded import fast_yaml
from dropscale_embedded.cloud.errors import (
    InvalidParameterError,
    InvalidTemplateError,
    UnsupportedTemplateError,
)
from dropscale_embedded.cloud.intrinsics import Resolver
from dropscale_embedded.cloud.names import (
    ResourceIdentity,
    StackContext,
    identify,
    name_property,
)
from dropscale_embedded.cloud.parameters import resolve_parameters
from dropscale_embedded.cloud.vocabulary import EVENT_TYPES, RESOURCE_TYPES, check_known

_SECTIONS = {
    "AWSTemplateFormatVersion",
    "Transform",
    "Description",
    "Metadata",
    "Parameters",
    "Rules",
    "Conditions",
    "Globals",
    "Resources",
    "Outputs",
}
_RESOURCE_ATTRIBUTES = {
    "Type",
    "Properties",
    "Condition",
    # No meaning locally: creation order is fixed, everything ends with the run, and SAM builds.
    "DependsOn",
    "DeletionPolicy",
    "UpdateReplacePolicy",
    "Metadata",
}


@dataclass(frozen=True)
class Resource:
    """A resource to create: its type, identity and resolved properties."""

    logical_id: str
    type: str
    identity: ResourceIdentity
    properties: Mapping[str, Any]


@dataclass(frozen=True)
class Stack:
    """A resolved template."""

    parameters: Mapping[str, str]
    resources: Mapping[str, Resource]
    outputs: Mapping[str, str]

    def of_type(self, resource_type: str) -> Iterator[Resource]:
        """Yield the resources of one type, in the template's order."""
        return (item for item in self.resources.values() if item.type == resource_type)


def read_template(path: Path) -> dict[str, Any]:
    """Read a SAM template, with its Globals merged into its resources.

    Raises:
        InvalidTemplateError: It is not a template.
        UnsupportedTemplateError: A section, resource type or resource attribute is not supported.
    """
    try:
        template = fast_yaml.parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidTemplateError(f"{path} cannot be read as a template: {error}") from error
    if not isinstance(template, dict) or not isinstance(template.get("Resources"), dict):
        raise InvalidTemplateError(f"{path} is not a template: it has no Resources")
    if unknown := template.keys() - _SECTIONS:
        raise UnsupportedTemplateError(f"section {min(unknown)} is not supported")
    try:
        shared = Globals(template)
    except InvalidGlobalsSectionException as error:
        raise InvalidTemplateError(str(error.message)) from error
    for logical_id, resource in template["Resources"].items():
        where = f"Resources.{logical_id}"
        if resource.get("Type") not in RESOURCE_TYPES:
            raise UnsupportedTemplateError(
                f"{where}: type {resource.get('Type')} is not supported by the embedded cloud; "
                f"known: {', '.join(RESOURCE_TYPES)}"
            )
        if unknown := resource.keys() - _RESOURCE_ATTRIBUTES:
            raise UnsupportedTemplateError(f"{where}: attribute {min(unknown)} is not supported")
        resource["Properties"] = shared.merge(
            resource["Type"], resource.get("Properties") or {}, logical_id
        )
    return template


def resolve_template(
    template: Mapping[str, Any], parameters: Mapping[str, str], context: StackContext
) -> Stack:
    """Resolve every resource and output of a template.

    Raises:
        InvalidParameterError: The template does not allow a parameter's value.
        InvalidTemplateError: A reference has no target.
        UnsupportedTemplateError: The template uses something unsupported.
    """
    declared = template["Resources"]
    given = resolve_parameters(template.get("Parameters") or {}, parameters)
    values = given | context.pseudo_parameters

    def identity(logical_id: str) -> ResourceIdentity:
        if function := urls.get(logical_id):
            return identify("AWS::Lambda::Url", logical_id, identity(function).name, context)
        resource = declared[logical_id]
        name = resource["Properties"].get(name_property(resource["Type"]))
        if name is not None:
            name = resolver.resolve(name, f"Resources.{logical_id}")
        return identify(resource["Type"], logical_id, name, context)

    resolver = Resolver(
        values,
        template.get("Conditions") or {},
        lambda logical_id: identity(logical_id) if logical_id in {*wanted, *urls} else None,
    )
    _check_rules(template.get("Rules") or {}, resolver)
    wanted = {
        logical_id
        for logical_id, resource in declared.items()
        if _is_wanted(resource, f"Resources.{logical_id}", resolver)
    }
    # SAM gives the URL of a function this logical id.
    urls = {
        f"{logical_id}Url": logical_id
        for logical_id in wanted
        if "FunctionUrlConfig" in declared[logical_id]["Properties"]
    }
    resources = {
        logical_id: _resolve_resource(logical_id, resource, resolver, identity(logical_id))
        for logical_id, resource in declared.items()
        if logical_id in wanted
    }
    outputs = {
        name: str(resolver.resolve(output["Value"], f"Outputs.{name}"))
        for name, output in (template.get("Outputs") or {}).items()
        if _is_wanted(output, f"Outputs.{name}", resolver)
    }
    return Stack(given, resources, outputs)


def _check_rules(rules: Mapping[str, Any], resolver: Resolver) -> None:
    for name, rule in rules.items():
        where = f"Rules.{name}"
        if not resolver.resolve(rule.get("RuleCondition", True), where):
            continue
        for assertion in rule["Assertions"]:
            if not resolver.resolve(assertion["Assert"], where):
                raise InvalidParameterError(f"{where}: {assertion['AssertDescription']}")


def _is_wanted(entry: Mapping[str, Any], where: str, resolver: Resolver) -> bool:
    return "Condition" not in entry or resolver.condition(entry["Condition"], where)


def _resolve_resource(
    logical_id: str,
    resource: Mapping[str, Any],
    resolver: Resolver,
    identity: ResourceIdentity,
) -> Resource:
    where = f"Resources.{logical_id}"
    properties = resolver.resolve(resource["Properties"], where)
    check_known(properties, RESOURCE_TYPES[resource["Type"]], where)
    if properties.get("FunctionUrlConfig", {}).get("AuthType", "NONE") != "NONE":
        raise UnsupportedTemplateError(
            f"{where}.FunctionUrlConfig: AuthType is not supported by the embedded cloud; use NONE"
        )
    for name, event in properties.get("Events", {}).items():
        if event.get("Type") not in EVENT_TYPES:
            raise UnsupportedTemplateError(
                f"{where}.Events.{name}: type {event.get('Type')} is not supported by the "
                f"embedded cloud; known: {', '.join(EVENT_TYPES)}"
            )
        check_known(event["Properties"], EVENT_TYPES[event["Type"]], f"{where}.Events.{name}")
    return Resource(logical_id, resource["Type"], identity, properties)
