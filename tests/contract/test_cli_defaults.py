"""The price that `run` names is that of the stack it starts."""

from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped] # ships no types

from dropscale.spec.keys import SIDECAR_SUFFIXES
from dropscale.spec.model import Spec, Style
from dropscale_cli.local_stack import TEMPLATE
from dropscale_cli.price import DEFAULTS


def test_price_and_template_know_the_same_defaults() -> None:
    defaults = {
        name: parameter["Default"]
        for name, parameter in yaml_parse(TEMPLATE.read_text())["Parameters"].items()
    }
    style = Style(mode=defaults["DefaultMode"])
    assert Spec(scale_factor=defaults["DefaultScaleFactor"], style=style) == DEFAULTS
    assert defaults["SidecarSuffixes"].split(",") == list(SIDECAR_SUFFIXES)
    assert defaults["SidecarMode"] == "optional"
