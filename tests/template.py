"""The template of the stack as SAM reads it, by a quicker reader."""

from pathlib import Path
from typing import Any

import yaml

# The package ships no type information.
from samtranslator.yaml_helper import intrinsics_multi_constructor  # type: ignore[import-untyped]

_TEMPLATE = Path(__file__).parents[1] / "template.yaml"


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """In C where there is one."""


_Loader.add_multi_constructor("!", intrinsics_multi_constructor)


def read_template() -> dict[str, Any]:
    """Return what template.yaml says, with its intrinsic functions written out."""
    template: dict[str, Any] = yaml.load(_TEMPLATE.read_text(), _Loader)
    return template
