"""The price that `run` names is that of the stack it starts."""

from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped] # ships no types

from dropscale.specs.keys import SPEC_SUFFIXES
from dropscale.specs.merge import stack_defaults
from dropscale.upscaler import Mode
from dropscale_cli.local_bucket import DEFAULTS
from dropscale_cli.local_stack import TEMPLATE


def test_price_and_template_know_the_same_defaults() -> None:
    defaults = {
        name: parameter["Default"]
        for name, parameter in yaml_parse(TEMPLATE.read_text())["Parameters"].items()
    }
    mode = Mode(defaults["DefaultMode"])
    assert stack_defaults(defaults["DefaultScaleFactor"], mode) == DEFAULTS
    assert defaults["SidecarSuffixes"].split(",") == list(SPEC_SUFFIXES)
    assert defaults["SidecarMode"] == "optional"
