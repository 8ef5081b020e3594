"""The `dropscale` command's arguments.

Each command imports its own module when it runs: the local stack takes more than a second to
import, and help should not.
"""

import os
import sys
from pathlib import Path

import click

from dropscale_cli.interrupt import ended_by_signals

_PORT = click.IntRange(0, 65535)
_FILE = click.Path(dir_okay=False, path_type=Path)
_ENGINES = click.Choice(["model", "stub"])
_LOG_HELP = "Append the stack's log to this file."


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dropscale")
def main() -> None:
    """Drop images into an S3 bucket; upscaled images and manifests come out."""


@main.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("out"),
    show_default=True,
    help="Where results go.",
)
@click.option("--yes", is_flag=True, help="Agree to the price without being asked.")
@click.option(
    "--engine",
    type=_ENGINES,
    help="What upscales, unless MAGIC_HOUR_API_KEY is set.  [default: model]",
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="With json, progress goes to standard error.",
)
@click.option("--log", type=_FILE, help=_LOG_HELP)
def run(
    *, path: Path, out: Path, yes: bool, engine: str | None, output_format: str, log: Path | None
) -> None:
    """Upscale the image at PATH, or all images in the folder PATH, on a stack of their own.

    Specs that lie with the images are dropped before them. The stack runs on this machine and
    ends with the command. Its Magic Hour API is embedded and free, unless MAGIC_HOUR_API_KEY is
    set: then it is the real one (or that at MAGIC_HOUR_BASE_URL), and you are asked first.

    Exits with 0 if all images came to what was asked, 1 if not, 2 on wrong usage or a price not
    agreed to, 130 if interrupted.
    """
    with ended_by_signals(f"Interrupted; nothing runs on here. What came out lies in {out}."):
        from dropscale_cli import run as command  # noqa: PLC0415 # see above

        options = command.RunOptions(path, out, yes, engine, output_format == "json", log)
        sys.exit(command.run(options, os.environ))


@main.command()
@click.option("--port", type=_PORT, default=0, help="Of the S3 endpoint; 0 takes a free one.")
@click.option("--api-port", type=_PORT, default=0, help="Of the embedded Magic Hour API.")
@click.option("--engine", type=_ENGINES, default="model", show_default=True)
@click.option("--log", type=_FILE, help=_LOG_HELP)
def up(*, port: int, api_port: int, engine: str, log: Path | None) -> None:
    """Run the stack on this machine until Ctrl-C, and print how to drop images into it."""
    with ended_by_signals("Stopped; what was in the buckets is gone."):
        from dropscale_cli import serve  # noqa: PLC0415 # see above

        serve.up(port=port, api_port=api_port, engine=engine, log=log)


@main.command()
@click.option("--port", type=_PORT, default=0, help="0 takes a free one.")
@click.option("--engine", type=_ENGINES, default="model", show_default=True)
@click.option(
    "--stub-seconds",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="What a job takes on the stub engine.",
)
@click.option(
    "--faults",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Misbehave as this plan says (docs/embedded-api.md).",
)
def api(*, port: int, engine: str, stub_seconds: float, faults: Path | None) -> None:
    """Run only the embedded Magic Hour API, until Ctrl-C, and print how to call it."""
    with ended_by_signals("Stopped."):
        from dropscale_cli import serve  # noqa: PLC0415 # see above

        serve.api(port=port, engine=engine, stub_seconds=stub_seconds, faults=faults)
