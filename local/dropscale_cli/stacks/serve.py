"""`dropscale up` and `dropscale api`: what keeps running until it is stopped."""

import shlex
from pathlib import Path
from threading import Event

import click

from dropscale_cli.stacks.local_stack import (
    MagicHour,
    embedded_api,
    embedded_parameters,
    engine_named,
    local_cloud,
)
from dropscale_cli.terminal import say
from dropscale_embedded.api import EmbeddedApi, FaultPlan, FaultPlanInvalid, Tier, parse_fault_plan

_SETTLE_SECONDS = "2"
"""Long enough for the sidecar of an `aws s3 sync` to come after its image."""

_API_KEY = "MAGIC_HOUR_API_KEY"


def up(*, port: int, api_port: int, engine: str, log: Path | None) -> None:
    """Run the stack on the embedded API and print how to use it, until a signal comes."""
    chosen = engine_named(engine)
    parameters = {"SettleSeconds": _SETTLE_SECONDS, **embedded_parameters()}
    with (
        embedded_api(EmbeddedApi(engine=chosen, port=api_port)) as api,
        local_cloud(api, parameters, log=log, port=port) as cloud,
    ):
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
            "Fetch what has come out:",
            f"  {aws} s3 sync s3://{results}/ out/",
            "Ctrl-C stops it.",
        )
        Event().wait()


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
    """Run the embedded API and print how to use it, until a signal comes."""
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
            "Ctrl-C stops it.",
        )
        Event().wait()


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
