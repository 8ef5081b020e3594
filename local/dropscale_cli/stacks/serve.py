"""`dropscale up` and `dropscale api`: servers that run until they are stopped."""

import shlex
from contextlib import ExitStack
from pathlib import Path
from threading import Event

import click

from dropscale_cli.options import ENGINES, FILE, LOG_HELP, ended_by_signals
from dropscale_cli.stacks.local_stack import (
    MagicHour,
    embedded_api,
    embedded_parameters,
    engine_named,
    local_cloud,
)
from dropscale_cli.terminal import Terminal, say
from dropscale_cli.tracking.progress import progress_on
from dropscale_embedded.api import EmbeddedApi, FaultPlan, FaultPlanInvalid, Tier, parse_fault_plan

_SETTLE_SECONDS = "2"
"""Long enough for `aws s3 sync` to upload a sidecar after its image."""

_API_KEY = "MAGIC_HOUR_API_KEY"
_AGAIN = "To start it again"
_PORT = click.IntRange(0, 65535)


def _fault_plan(path: Path) -> FaultPlan:
    try:
        return parse_fault_plan(path.read_bytes(), str(path))
    except FaultPlanInvalid as error:
        raise click.UsageError(str(error)) from error


def _sdk_example(api: MagicHour) -> str:
    return (
        "import os; from magic_hour import Client; "
        f'Client(token=os.environ["{_API_KEY}"], base_url="{api.base_url}")'
        ".v1.ai_image_upscaler.generate("
        'assets={"image_file_path": "photo.jpg"}, scale_factor=2, download_directory=".")'
    )


@click.command("up")
@click.option(
    "--port", type=_PORT, default=0, help="The port of the S3 endpoint; 0 picks a free one."
)
@click.option(
    "--api-port",
    type=_PORT,
    default=0,
    help="The port of the embedded Magic Hour API; 0 picks a free one.",
)
@click.option("--engine", type=ENGINES, default="model", show_default=True)
@click.option("--log", type=FILE, help=LOG_HELP)
def up(*, port: int, api_port: int, engine: str, log: Path | None) -> None:
    """Run the stack on this machine until Ctrl-C, and print how to drop images into it."""
    with ended_by_signals("The contents of the buckets are gone.", _AGAIN):
        parameters = {"SettleSeconds": _SETTLE_SECONDS, **embedded_parameters()}
        with ExitStack() as started:
            with progress_on(Terminal(to_stderr=True), "Starting the stack"):
                chosen = engine_named(engine)
                api = started.enter_context(embedded_api(EmbeddedApi(engine=chosen, port=api_port)))
                cloud = started.enter_context(local_cloud(api, parameters, log=log, port=port))
            environment = [f"{name.upper()}={value}" for name, value in cloud.credentials.items()]
            environment.append(f"AWS_DEFAULT_REGION={cloud.region}")
            aws = f"{' '.join(environment)} aws --endpoint-url {cloud.endpoint_url}"
            inputs, results = (cloud.outputs[f"{name}BucketName"] for name in ("Input", "Results"))
            say(
                f"Nothing is charged. Engine: {chosen.description}",
                f"S3 endpoint:     {cloud.endpoint_url}",
                f"Input bucket:    {inputs}",
                f"Results bucket:  {results}",
                f"Magic Hour API:  {api.base_url}",
                "Drop an image:",
                f"  {aws} s3 cp photo.jpg s3://{inputs}/",
                "Follow the images:",
                f"  {' '.join(environment)} AWS_ENDPOINT_URL={cloud.endpoint_url} "
                "dropscale status --stack dropscale --watch",
                "Download the results:",
                f"  {aws} s3 sync s3://{results}/ out/",
                "Press Ctrl-C to stop.",
            )
            Event().wait()


@click.command("api")
@click.option("--port", type=_PORT, default=0, help="The port; 0 picks a free one.")
@click.option("--engine", type=ENGINES, default="model", show_default=True)
@click.option(
    "--stub-seconds",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="How long a job takes on the stub engine.",
)
@click.option(
    "--faults",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Simulate the faults in this plan (docs/embedded-api.md).",
)
@click.option(
    "--tier",
    type=click.Choice(["free", "creator", "pro", "business"]),
    default="business",
    show_default=True,
    help="The account's plan; free does not include 4x.",
)
@click.option(
    "--credits",
    "credits_granted",
    type=click.IntRange(min=0),
    default=1_000_000,
    show_default=True,
    help="The account's credits.",
)
@click.option(
    "--concurrent-jobs",
    type=click.IntRange(min=1),
    help="Jobs that may run at once; further creates are answered 429.  [default: the tier's: free "
    "1, creator 3, pro 5, business unlimited]",
)
def api(
    *,
    port: int,
    engine: str,
    stub_seconds: float,
    faults: Path | None,
    tier: str,
    credits_granted: int,
    concurrent_jobs: int | None,
) -> None:
    """Run only the embedded Magic Hour API, until Ctrl-C, and print how to call it."""
    with ended_by_signals("Nothing runs here any more.", _AGAIN):
        chosen = engine_named(engine, stub_seconds)
        server = EmbeddedApi(
            engine=chosen,
            port=port,
            faults=_fault_plan(faults) if faults else None,
            tier=Tier(tier),
            credits_granted=credits_granted,
            concurrent_jobs=concurrent_jobs,
        )
        with embedded_api(server) as served:
            say(
                f"Nothing is charged. Engine: {chosen.description}",
                f"Base URL:  {served.base_url}",
                f"Token:     {served.api_key}",
                f"Faults:    {served.base_url}/_control/faults",
                f"Book:      {served.base_url}/_control/book",
                "Use it with the vendor's SDK (pip install magic-hour):",
                f"  {_API_KEY}={served.api_key} python -c {shlex.quote(_sdk_example(served))}",
                "Press Ctrl-C to stop.",
            )
            Event().wait()
