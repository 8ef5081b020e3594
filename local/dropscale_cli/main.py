"""The `dropscale` command's arguments.

Each command imports its own module when it runs: the local stack takes more than a second to
import, and help should not.
"""

import atexit
import gc
import os
import sys
from pathlib import Path

import click

from dropscale import __version__
from dropscale_cli import spec_commands, stack_commands
from dropscale_cli.interrupt import ended_by_signals
from dropscale_cli.options import (
    FILE,
    Command,
    as_seconds,
    format_option,
    out_option,
    place_options,
    sidecar_suffixes_option,
)
from dropscale_cli.terminal import Commands

_COLLECT_AFTER = 200_000
"""New objects, less those gone again, until the collector looks for garbage among them."""

_PORT = click.IntRange(0, 65535)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_ENGINES = click.Choice(["model", "stub"])
_LOG_HELP = "Append the stack's log to this file."
_YES_HELP = "Agree without being asked."
_GO_ON = "Interrupted; nothing runs on here. `dropscale status` tells what is left."
_PROGRESS_HELP = "With json, progress goes to standard error."


def _by_hand(command: Command) -> Command:
    """Add what `retry` and `resolve` have in common."""
    for option in (
        click.option("--log", type=FILE, help=_LOG_HELP),
        format_option(_PROGRESS_HELP),
        click.option("--yes", is_flag=True, help=_YES_HELP),
        place_options,
    ):
        command = option(command)
    return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="dropscale")
def main() -> None:
    """Drop images into an S3 bucket; upscaled images and manifests come out."""
    # Most of what there is are modules, which live to the end: looking through them for garbage
    # again and again, and once more at the end, takes a third of a short command's time.
    gc.set_threshold(_COLLECT_AFTER)
    atexit.register(gc.freeze)


@main.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@out_option("Where results go, and where the next run goes on.")
@click.option(
    "--stack",
    metavar="NAME",
    help="Drop into this stack on AWS, in the account and region that the AWS CLI uses.",
)
@click.option("--yes", is_flag=True, help=_YES_HELP)
@click.option(
    "--engine",
    type=_ENGINES,
    help="What upscales, unless MAGIC_HOUR_API_KEY is set.  [default: model]",
)
@click.option(
    "--watch", is_flag=True, help="Go on with what comes into the folder later, until Ctrl-C."
)
@click.option(
    "--patience",
    callback=as_seconds,
    metavar="SECONDS|MINUTES",
    help="How long to wait for an image while Magic Hour's answers say nothing (an error page, a "
    "status not known): 90, 90s, 10m.  [default: 10m]",
)
@format_option(_PROGRESS_HELP)
@click.option("--log", type=FILE, help=_LOG_HELP)
@sidecar_suffixes_option
def run(  # noqa: PLR0913 # all by name
    *,
    path: Path,
    out: Path,
    stack: str | None,
    yes: bool,
    engine: str | None,
    watch: bool,
    patience: float | None,
    output_format: str,
    log: Path | None,
    suffixes: tuple[str, ...],
) -> None:
    """Upscale the image at PATH, or all images in the folder PATH, on a stack of their own.

    Specs that lie with the images are dropped before them. The stack runs on this machine and
    ends with the command. Its Magic Hour API is embedded and free, unless MAGIC_HOUR_API_KEY is
    set: then it is the real one (or that at MAGIC_HOUR_BASE_URL), and you are asked first. With
    --stack, the images go through a stack that you have deployed.

    What earlier runs with the same --out have brought is not paid again, even if they were killed.
    What a run has not waited for to its end goes on with the next one, too.

    The last line printed is the page that shows it all; it is there from the start, and keeps up.

    Exits with 0 if all images came to what was asked, 1 if not, 2 on wrong usage or a price not
    agreed to, 130 if interrupted.
    """
    with ended_by_signals(f"Interrupted; nothing runs on here. What came out lies in {out}."):
        from dropscale_cli import run as command  # noqa: PLC0415 # see above

        options = command.RunOptions(
            path, out, yes, engine, output_format == "json", log, watch, patience, suffixes
        )
        if stack is None:
            sys.exit(command.run(options, os.environ))
        if engine or log or patience is not None:
            raise click.UsageError(
                "--engine, --log and --patience are for the stack on this machine."
            )
        from dropscale_cli.run_on_stack import run_on_stack  # noqa: PLC0415 # see above

        sys.exit(run_on_stack(stack, options))


@main.command()
@place_options
@format_option()
@click.option("--failed", is_flag=True, help="Show only images that did not come out.")
@click.option("--watch", is_flag=True, help="Keep showing it, until Ctrl-C.")
def status(*, out: Path, stack: str | None, output_format: str, failed: bool, watch: bool) -> None:
    """Show where the images of earlier runs stand, or those of a stack.

    Exits with 0 if all came to what was asked, 1 if not.
    """
    with ended_by_signals("Interrupted."):
        from dropscale_cli import status as command  # noqa: PLC0415 # see above
        from dropscale_cli.places import place_of  # noqa: PLC0415 # see above

        place = place_of(stack, out, os.environ)
        if watch:
            command.watch(place, only_failed=failed)
        sys.exit(command.status(place, as_json=output_format == "json", only_failed=failed))


@main.command()
@click.argument("folder", metavar="DIR", type=_FOLDER)
@click.option(
    "--originals",
    type=_FOLDER,
    multiple=True,
    help="Where the images lie that were dropped, at their keys; may be given again.",
)
def gallery(*, folder: Path, originals: tuple[Path, ...]) -> None:
    """Write DIR/index.html, which shows all results in DIR beside their originals.

    DIR is where `dropscale run` has put its results, or what was synced from a results bucket. A
    browser opens the page from the disk, without a network.
    """
    from dropscale_cli import gallery as command  # noqa: PLC0415 # see above

    sys.exit(command.gallery(folder, originals))


@main.command()
@click.argument("key", required=False)
@click.option("--all", "retry_all", is_flag=True, help="Every image that did not come out.")
@_by_hand
def retry(
    *,
    key: str | None,
    retry_all: bool,
    out: Path,
    stack: str | None,
    yes: bool,
    output_format: str,
    log: Path | None,
) -> None:
    """Try the image KEY again, which did not come out or is no longer in the output folder.

    What is paid is collected, free; what the vendor gave the credits back for is paid anew. What
    may have been charged is never repeated: see `dropscale resolve`.

    Exits with 0 if what was tried came to what was asked, 1 if not.
    """
    if retry_all == (key is not None):
        raise click.UsageError("Name an image, or say --all.")
    with ended_by_signals(_GO_ON):
        from dropscale_cli import by_hand  # noqa: PLC0415 # see above
        from dropscale_cli.places import place_of  # noqa: PLC0415 # see above

        place = place_of(stack, out, os.environ, log)
        options = by_hand.ByHandOptions(yes, output_format == "json")
        sys.exit(by_hand.retry(key, place, options))


@main.command()
@click.argument("key")
@click.option("--adopt", "project_id", metavar="ID", help="This project is the one: collect it.")
@click.option("--anyway", is_flag=True, help="Adopt it whatever its name says.")
@click.option("--pay-again", is_flag=True, help="There is none: pay again for all that is unknown.")
@click.option("--abandon", is_flag=True, help="Give the image up.")
@_by_hand
def resolve(  # noqa: PLR0913 # all by name
    *,
    key: str,
    project_id: str | None,
    anyway: bool,
    pay_again: bool,
    abandon: bool,
    out: Path,
    stack: str | None,
    yes: bool,
    output_format: str,
    log: Path | None,
) -> None:
    """Settle the image KEY, whose upscale may have been charged: nobody but you can know.

    Exits with 0 if it was abandoned as asked, or came to what was asked; 1 if not.
    """
    if (project_id is not None) + pay_again + abandon != 1:
        raise click.UsageError("Say one of --adopt ID, --pay-again and --abandon.")
    if anyway and project_id is None:
        raise click.UsageError("--anyway goes with --adopt ID.")
    with ended_by_signals(_GO_ON):
        from dropscale.pipeline.resolve import Decision  # noqa: PLC0415 # see above
        from dropscale_cli import by_hand  # noqa: PLC0415 # see above
        from dropscale_cli.places import place_of  # noqa: PLC0415 # see above

        place = place_of(stack, out, os.environ, log)
        options = by_hand.ByHandOptions(yes, output_format == "json")
        decided = Decision.PAY_AGAIN if pay_again else Decision.ABANDON
        adoption = None if project_id is None else by_hand.Adoption(project_id, anyway)
        sys.exit(by_hand.resolve(key, adoption or decided, place, options))


@main.command()
@click.option("--port", type=_PORT, default=0, help="Of the S3 endpoint; 0 takes a free one.")
@click.option("--api-port", type=_PORT, default=0, help="Of the embedded Magic Hour API.")
@click.option("--engine", type=_ENGINES, default="model", show_default=True)
@click.option("--log", type=FILE, help=_LOG_HELP)
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
@click.option(
    "--tier",
    type=click.Choice(["free", "creator", "pro", "business"]),
    default="business",
    show_default=True,
    help="The account's plan; free has no 4x.",
)
@click.option(
    "--credits",
    "credits_granted",
    type=click.IntRange(min=0),
    default=1_000_000,
    show_default=True,
    help="What the account may spend in all.",
)
@click.option(
    "--concurrent-jobs",
    type=click.IntRange(min=1),
    help="Jobs at once, beyond which creates are answered 429.  [default: as the tier's: free 1, "
    "creator 3, pro 5, business any number]",
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
    with ended_by_signals("Stopped."):
        from dropscale_cli import serve  # noqa: PLC0415 # see above

        serve.api(
            port=port,
            engine=engine,
            stub_seconds=stub_seconds,
            faults=faults,
            tier=tier,
            credits_granted=credits_granted,
            concurrent_jobs=concurrent_jobs,
        )


for command in (*spec_commands.COMMANDS, *stack_commands.COMMANDS):
    main.add_command(command)
