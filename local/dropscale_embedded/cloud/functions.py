"""A template's function, in the form that its workers need."""

import os
from datetime import datetime
from pathlib import Path

from dropscale_embedded.cloud.aws_clients import Credentials
from dropscale_embedded.cloud.errors import InvalidTemplateError
from dropscale_embedded.cloud.lambda_workers import FunctionConfig
from dropscale_embedded.cloud.names import StackContext
from dropscale_embedded.cloud.template import Resource, Stack
from dropscale_embedded.workers.processes import base_environment

# Lambda's defaults.
_DEFAULT_TIMEOUT_SECONDS = 3
_DEFAULT_MEMORY_MB = 128


def layer_folders(function: Resource, stack: Stack, base: Path) -> list[Path]:
    """Return the folders that a function's layers add to Python's path.

    Raises:
        InvalidTemplateError: A layer is not one of the template's.
    """
    layers = {item.identity.ref: item for item in stack.of_type("AWS::Serverless::LayerVersion")}
    folders = []
    for arn in function.properties.get("Layers", []):
        if arn not in layers:
            raise InvalidTemplateError(
                f"Resources.{function.logical_id}.Layers: {arn} is not a layer of this template"
            )
        folders.append(base / layers[arn].properties["ContentUri"])
    return folders


def function_config(
    function: Resource,
    *,
    base: Path,
    layers: list[Path],
    context: StackContext,
    credentials: Credentials,
    temporary_folder: Path,
    now: datetime,
) -> FunctionConfig:
    """Translate a function resource.

    Args:
        function: The resource.
        base: The folder that CodeUri is relative to.
        layers: The folders of its layers.
        context: The stack's account, region and endpoint.
        credentials: What the function's AWS clients sign with.
        temporary_folder: The folder that the function uses as /tmp.
        now: Names the log stream.

    Raises:
        InvalidTemplateError: The code does not exist.
    """
    properties = function.properties
    code = (base / properties["CodeUri"]).resolve()
    module = properties["Handler"].rpartition(".")[0]
    if not code.joinpath(*module.split(".")).with_suffix(".py").is_file():
        raise InvalidTemplateError(
            f"Resources.{function.logical_id}: there is no {module}.py in {properties['CodeUri']}"
        )
    name = function.identity.name
    variables = properties.get("Environment", {}).get("Variables", {})
    environment = {
        "AWS_REGION": context.region,
        "AWS_DEFAULT_REGION": context.region,
        "AWS_ENDPOINT_URL": context.endpoint_url,
        "AWS_ACCESS_KEY_ID": credentials["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": credentials["aws_secret_access_key"],
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(properties.get("MemorySize", _DEFAULT_MEMORY_MB)),
        "AWS_LAMBDA_LOG_GROUP_NAME": properties.get("LoggingConfig", {}).get(
            "LogGroup", f"/aws/lambda/{name}"
        ),
        "AWS_LAMBDA_LOG_STREAM_NAME": f"{now:%Y/%m/%d}/[$LATEST]embedded",
        "_HANDLER": properties["Handler"],
        "PYTHONPATH": os.pathsep.join(str(folder) for folder in (code, *layers)),
        "TMPDIR": str(temporary_folder),
        **base_environment(),
        **{key: _text(value) for key, value in variables.items()},
    }
    return FunctionConfig(
        name=name,
        arn=function.identity.attributes["Arn"],
        code=code,
        timeout_seconds=float(properties.get("Timeout", _DEFAULT_TIMEOUT_SECONDS)),
        max_workers=_max_workers(),
        environment=environment,
    )


def _max_workers() -> int:
    return 2 * (os.cpu_count() or 1)


def _text(value: object) -> str:
    """Convert a YAML scalar to text as CloudFormation does."""
    return str(value).lower() if isinstance(value, bool) else str(value)
