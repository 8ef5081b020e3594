"""A state machine's definition, from its Amazon States Language file."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dropscale_embedded import fast_yaml
from dropscale_embedded.cloud.errors import InvalidTemplateError

_PLACEHOLDER = re.compile(r"\$\{([A-Za-z0-9_]+)\}")


def read_definition(path: Path, substitutions: Mapping[str, str]) -> dict[str, Any]:
    """Read a definition in YAML or JSON, with its DefinitionSubstitutions applied.

    Raises:
        InvalidTemplateError: The file does not exist, is not a definition, or has a placeholder
            without a substitution.
    """
    if not path.is_file():
        raise InvalidTemplateError(f"there is no state machine definition {path.name}")

    def replace(match: re.Match[str]) -> str:
        if match[1] not in substitutions:
            raise InvalidTemplateError(
                f"{path.name}: {match[0]} is not among the DefinitionSubstitutions"
            )
        return substitutions[match[1]]

    def substitute(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: substitute(item) for key, item in value.items()}
        if isinstance(value, list):
            return [substitute(item) for item in value]
        return _PLACEHOLDER.sub(replace, value) if isinstance(value, str) else value

    definition = substitute(fast_yaml.parse(path.read_text(encoding="utf-8")))
    if not isinstance(definition, dict):
        raise InvalidTemplateError(f"{path.name} is not a state machine definition")
    return definition
