"""What template.yaml and upscale.asl.yaml say about the deployed stack."""

from pathlib import Path
from typing import Any

import yaml

from tests.template import read_template

_ROOT = Path(__file__).parents[2]
_TEMPLATE = read_template()
_QUEUE = _TEMPLATE["Resources"]["DropQueue"]["Properties"]

MACHINE: dict[str, Any] = yaml.safe_load((_ROOT / "functions/upscale.asl.yaml").read_text())
_SUBSTITUTED = _TEMPLATE["Resources"]["UpscaleStateMachine"]["Properties"][
    "DefinitionSubstitutions"
]
FIRST_STATE_WITH_WEBHOOKS, FIRST_STATE = _SUBSTITUTED["FirstState"]["Fn::If"][1:]
VISIBILITY_SECONDS: int = _QUEUE["VisibilityTimeout"]
BY_HAND = "forget"
"""The command that is played like a function."""
MAX_RECEIVES: int = _QUEUE["RedrivePolicy"]["maxReceiveCount"]


def parameter(name: str) -> Any:
    """Return the default of a stack parameter."""
    return _TEMPLATE["Parameters"][name]["Default"]


def time_out(function: str) -> int:
    """Return a function's time-out in seconds; a person's command has none."""
    if function == BY_HAND:
        return 10**6
    resource = _TEMPLATE["Resources"][f"{function.capitalize()}Function"]
    seconds: int = resource["Properties"]["Timeout"]
    return seconds
