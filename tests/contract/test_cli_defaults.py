"""The price that `run` names is that of the stack it starts, and no limit of it is in the way."""

from pathlib import Path

from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped] # ships no types

from dropscale.specs.keys import SPEC_SUFFIXES
from dropscale.specs.merge import stack_defaults
from dropscale.upscaler import Mode
from dropscale_cli.files.drops import DEFAULTS
from dropscale_cli.stacks.local_stack import RealApi, embedded_parameters
from dropscale_cli.stacks.stack_source import stack_source
from dropscale_cli.terminal import Terminal

TEMPLATE = stack_source() / "template.yaml"


def test_price_and_template_know_the_same_defaults() -> None:
    defaults = {
        name: parameter["Default"]
        for name, parameter in yaml_parse(TEMPLATE.read_text())["Parameters"].items()
    }
    mode = Mode(defaults["DefaultMode"])
    assert stack_defaults(defaults["DefaultScaleFactor"], mode) == DEFAULTS
    assert defaults["SidecarSuffixes"].split(",") == list(SPEC_SUFFIXES)
    assert defaults["SidecarMode"] == "optional"


def test_no_limit_is_on_what_is_free_or_was_agreed_to() -> None:
    with RealApi("https://x.example", "key").opened(Path(), Terminal()) as (_, parameters):
        told = [parameters, embedded_parameters()]
    assert [one["DailyCreditLimit"] for one in told] == ["0", "0"]
    assert "MonthlyCreditLimit" not in parameters
    assert yaml_parse(TEMPLATE.read_text())["Parameters"]["MonthlyCreditLimit"]["Default"] == 0
