"""The template of the stack as SAM reads it."""

from pathlib import Path
from typing import Any

from dropscale_embedded import fast_yaml

_TEMPLATE = Path(__file__).parents[1] / "template.yaml"


def read_template() -> dict[str, Any]:
    """Return what template.yaml says, with its intrinsic functions written out."""
    template: dict[str, Any] = fast_yaml.parse(_TEMPLATE.read_text())
    return template
