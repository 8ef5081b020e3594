"""CloudFormation's intrinsic functions and conditions, evaluated."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from dropscale_embedded.cloud.errors import InvalidTemplateError, UnsupportedTemplateError
from dropscale_embedded.cloud.names import ResourceIdentity

_SUB_PLACEHOLDER = re.compile(r"\$\{(!?)([^{}]*)\}")
_NO_VALUE = object()


class Resolver:
    """Replaces intrinsic functions in a template's values.

    Args:
        values: Parameters and pseudo parameters by name.
        conditions: The template's Conditions section, unresolved.
        identity: Returns a resource's identity by its logical id; None if there is no such
            resource.
    """

    def __init__(
        self,
        values: Mapping[str, str],
        conditions: Mapping[str, Any],
        identity: Callable[[str], ResourceIdentity | None],
    ) -> None:
        self._values = values
        self._conditions = conditions
        self._identity = identity
        self._functions: Mapping[str, Callable[[Any, str], Any]] = {
            "Ref": self._ref,
            "Condition": self.condition,
            "Fn::GetAtt": self._get_att,
            "Fn::Sub": self._sub,
            "Fn::Join": self._join,
            "Fn::Split": self._split,
            "Fn::If": self._if,
            "Fn::Equals": self._equals,
            "Fn::And": lambda operands, where: all(self.resolve(operands, where)),
            "Fn::Or": lambda operands, where: any(self.resolve(operands, where)),
            "Fn::Not": lambda operands, where: not self.resolve(operands, where)[0],
        }

    def resolve(self, value: Any, where: str) -> Any:
        """Return ``value`` with every intrinsic replaced and every AWS::NoValue removed.

        Args:
            value: Any part of the template.
            where: Its dotted path, for messages.

        Raises:
            UnsupportedTemplateError: An intrinsic is not supported.
            InvalidTemplateError: A reference has no target.
        """
        if isinstance(value, list):
            items = (self.resolve(item, f"{where}[{i}]") for i, item in enumerate(value))
            return [item for item in items if item is not _NO_VALUE]
        if not isinstance(value, dict):
            return value
        if function := _intrinsic_name(value):
            if function not in self._functions:
                raise UnsupportedTemplateError(f"{where}: {function} is not supported")
            return self._functions[function](value[function], where)
        entries = {key: self.resolve(item, f"{where}.{key}") for key, item in value.items()}
        return {key: item for key, item in entries.items() if item is not _NO_VALUE}

    def condition(self, name: str, where: str) -> bool:
        """Evaluate one of the template's conditions."""
        if name not in self._conditions:
            raise InvalidTemplateError(f"{where}: there is no condition {name}")
        return bool(self.resolve(self._conditions[name], f"Conditions.{name}"))

    def _ref(self, name: str, where: str) -> Any:
        if name == "AWS::NoValue":
            return _NO_VALUE
        if name in self._values:
            return self._values[name]
        return self._find(name, where).ref

    def _get_att(self, target: list[str] | str, where: str) -> str:
        logical_id, _, attribute = (
            target if isinstance(target, str) else ".".join(target)
        ).partition(".")
        attributes = self._find(logical_id, where).attributes
        if attribute not in attributes:
            raise UnsupportedTemplateError(
                f"{where}: attribute {attribute} of {logical_id} is not supported; "
                f"known: {', '.join(attributes) or 'none'}"
            )
        return attributes[attribute]

    def _find(self, logical_id: str, where: str) -> ResourceIdentity:
        identity = self._identity(logical_id)
        if identity is None:
            raise InvalidTemplateError(
                f"{where}: {logical_id} is neither a parameter nor a resource of this stack"
            )
        return identity

    def _sub(self, argument: str | list[Any], where: str) -> str:
        text, given = (argument, {}) if isinstance(argument, str) else argument
        variables = self.resolve(given, where)

        def replacement(match: re.Match[str]) -> str:
            literal, name = match.groups()
            if literal:
                return f"${{{name}}}"
            if name in variables:
                return str(variables[name])
            return str(self._get_att(name, where) if "." in name else self._ref(name, where))

        return _SUB_PLACEHOLDER.sub(replacement, text)

    def _join(self, argument: list[Any], where: str) -> str:
        separator, parts = self.resolve(argument, where)
        return str(separator).join(str(part) for part in parts)

    def _split(self, argument: list[Any], where: str) -> list[str]:
        separator, text = self.resolve(argument, where)
        return str(text).split(separator)

    def _if(self, argument: list[Any], where: str) -> Any:
        name, then, otherwise = argument
        return self.resolve(then if self.condition(name, where) else otherwise, where)

    def _equals(self, argument: list[Any], where: str) -> bool:
        left, right = self.resolve(argument, where)
        return str(left) == str(right)


def _intrinsic_name(value: Mapping[str, Any]) -> str | None:
    if len(value) != 1:
        return None
    (key,) = value
    is_intrinsic = key == "Ref" or key.startswith("Fn::")
    # {"Condition": name} is a reference; a policy statement's condition is a mapping.
    return key if is_intrinsic or (key == "Condition" and isinstance(value[key], str)) else None
