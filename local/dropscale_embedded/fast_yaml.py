"""YAML parsed by libyaml, if PyYAML has it: it takes a tenth of the time of pure Python."""

from typing import Any

import yaml
from samtranslator.yaml_helper import (  # type: ignore[import-untyped]  # no types
    intrinsics_multi_constructor,
)

_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_SafeLoader):  # type: ignore[misc] # one or the other
    """Also supports CloudFormation's short forms, such as !Ref."""


_Loader.add_multi_constructor("!", intrinsics_multi_constructor)


def parse(text: str) -> Any:
    """Parse a YAML document into plain types; `!Ref` and similar tags in long form.

    Raises:
        yaml.YAMLError: it is not YAML, or has a tag that is not CloudFormation's.
    """
    return yaml.load(text, _Loader)  # noqa: S506 # it is a safe one
