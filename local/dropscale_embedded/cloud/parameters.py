"""Stack parameters, checked as by CloudFormation."""

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from dropscale_embedded.cloud.errors import InvalidParameterError, UnsupportedTemplateError

_TYPES = ("String", "Number")
_APPLIED = {
    "Type",
    "Default",
    "AllowedValues",
    "AllowedPattern",
    "ConstraintDescription",
    "MinValue",
    "MaxValue",
    "MinLength",
    "MaxLength",
}
_WITHOUT_MEANING = {"Description", "NoEcho"}  # how a console shows the parameter


def resolve_parameters(
    declared: Mapping[str, Mapping[str, Any]], given: Mapping[str, str]
) -> dict[str, str]:
    """Return every declared parameter's value, as a string, like CloudFormation.

    Raises:
        InvalidParameterError: A value is unknown, missing or breaks a constraint.
        UnsupportedTemplateError: A declaration uses an unsupported type or attribute.
    """
    if unknown := sorted(given.keys() - declared.keys()):
        raise InvalidParameterError(
            f"the template has no parameter {', '.join(unknown)}; it has {', '.join(declared)}"
        )
    return {name: _resolve(name, attributes, given) for name, attributes in declared.items()}


def _resolve(name: str, attributes: Mapping[str, Any], given: Mapping[str, str]) -> str:
    where = f"Parameters.{name}"
    if unknown := attributes.keys() - _APPLIED - _WITHOUT_MEANING:
        raise UnsupportedTemplateError(f"{where}: attribute {min(unknown)} is not supported")
    if attributes.get("Type") not in _TYPES:
        raise UnsupportedTemplateError(
            f"{where}: type {attributes.get('Type')} is not supported; use {' or '.join(_TYPES)}"
        )
    value = given.get(name, attributes.get("Default"))
    if value is None:
        raise InvalidParameterError(f"{where} has no default: give it a value")
    value = str(value)
    if broken := _broken_constraint(value, attributes):
        hint = attributes.get("ConstraintDescription") or broken
        raise InvalidParameterError(f"{where}: {value!r} {hint}")
    return value


def _broken_constraint(value: str, attributes: Mapping[str, Any]) -> str | None:
    """Describe the first constraint that the value breaks.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html
    """
    size: Decimal = Decimal(len(value))
    low, high = attributes.get("MinLength"), attributes.get("MaxLength")
    if attributes["Type"] == "Number":
        try:
            size = Decimal(value)
        except InvalidOperation:
            return "must be a number"
        low, high = attributes.get("MinValue"), attributes.get("MaxValue")
    allowed = [str(choice) for choice in attributes.get("AllowedValues", [value])]
    pattern = attributes.get("AllowedPattern")
    if value not in allowed:
        return f"must be one of {', '.join(allowed)}"
    # CloudFormation matches the whole value, anchored or not.
    if pattern is not None and not re.compile(pattern).fullmatch(value):
        return f"must match {pattern}"
    unit = "" if attributes["Type"] == "Number" else " characters"
    if low is not None and size < Decimal(str(low)):
        return f"must be at least {low}{unit}"
    if high is not None and size > Decimal(str(high)):
        return f"must be at most {high}{unit}"
    return None
