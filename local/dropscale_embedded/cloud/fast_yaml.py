"""YAML by libyaml, where PyYAML has it: it takes a tenth of the time that Python takes."""

from typing import Any

import yaml
from samtranslator.yaml_helper import (  # type: ignore[import-untyped]  # no types
    intrinsics_multi_constructor,
)

_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_SafeLoader):  # type: ignore[misc] # one or the other
    """Knows CloudFormation's short forms, such as !Ref, too."""


_Loader.add_multi_constructor("!", intrinsics_multi_constructor)


def parse(text: str) -> Any:
    """Return what a YAML document says, in plain types only; `!Ref` and its like in long form.

    Raises:
        yaml.YAMLError: it is no YAML, or has a tag that is not CloudFormation's.
    """
    return yaml.load(text, _Loader)  # noqa: S506 # it is a safe one
