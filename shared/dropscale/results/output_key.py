"""Where an output lies: a pure function of key, spec and delivered type."""

from dropscale import upscaler
from dropscale.ledger.records import Parameters
from dropscale.upscaler import Mode


def output_key(
    input_key: str, parameters: Parameters, image_type: str, directory: str | None = None
) -> str:
    """Return the key of an output, e.g. `photos/cat.jpg@2x.png`.

    The input's whole key stays in it, so two sources never meet at one output.
    """
    mode = "" if parameters.mode is Mode.BALANCED else f"-{parameters.mode}"
    extension = upscaler.EXTENSION_BY_TYPE[image_type]
    folder = f"{directory}/" if directory else ""
    return f"{folder}{input_key}@{parameters.scale_factor}x{mode}.{extension}"
