"""The arguments of the commands about a stack that runs elsewhere; see `main`."""

import os
import shlex
import sys
from pathlib import Path
from urllib.parse import urlsplit

import click

from dropscale_cli.interrupt import ended_by_signals
from dropscale_cli.options import (
    FILE,
    examples,
    format_option,
    out_option,
    sidecar_suffixes_option,
)

_S3 = "s3://"

stack_option = click.option(
    "--stack",
    default="dropscale",
    show_default=True,
    help="The stack's name; account and region are those that the AWS CLI uses.",
)


@click.command(epilog=examples("dropscale doctor --stack dropscale"))
@stack_option
@format_option()
def doctor(*, stack: str, output_format: str) -> None:
    """Look at a stack: account, key, events, budget and what else must be right.

    Each part is ok, or comes with how to mend it. Nothing is changed, and nothing is charged.

    Exits with 0 if all is well, 1 if not, 2 if there is no such stack.
    """
    with ended_by_signals("Interrupted."):
        from dropscale_cli import doctor as command  # noqa: PLC0415 # see main
        from dropscale_cli.deployed_stack import deployed_target  # noqa: PLC0415 # see main

        findings = command.examine(deployed_target(stack), stack)
        sys.exit(command.report(findings, as_json=output_format == "json"))


@click.group()
def secret() -> None:
    """Keep the Magic Hour API key of a stack."""


@secret.command(
    "set",
    epilog=examples("dropscale secret set", "pass show magic-hour | dropscale secret set"),
)
@stack_option
def set_secret(*, stack: str) -> None:
    """Put a key where the stack reads it, after a free call that shows that it is right.

    The key is asked for, or read from standard input; it is never an argument, which others on this
    machine could see.
    """
    with ended_by_signals("Interrupted; nothing was changed."):
        from dropscale_cli import secret as command  # noqa: PLC0415 # see main

        command.set_key(stack)


@click.command(
    epilog=examples(
        "dropscale apply s3://my-input-bucket/photos/",
        "dropscale apply photos --out out",
    )
)
@click.argument("place", metavar="PATH|s3://BUCKET/PREFIX")
@stack_option
@out_option("Where earlier runs of PATH have put their results.")
@click.option("--yes", is_flag=True, help="Agree to the plan without being asked.")
@format_option("With json, the plan goes to standard error.")
@click.option("--log", type=FILE, help="Append the stack's log to this file; for PATH.")
@sidecar_suffixes_option
def apply(  # all by name
    *,
    place: str,
    stack: str,
    out: Path,
    yes: bool,
    output_format: str,
    log: Path | None,
    suffixes: tuple[str, ...],
) -> None:
    """Look again at all images below a place, after a folder spec has changed, for instance.

    A folder spec's own upload starts nothing, and images that were in the bucket before the stack
    are not known to it. This shows what a new look changes and costs, page by page, asks, and has
    the stack do it.

    Exits with 0 if all that changes was applied, 1 if not, 2 if there is nobody to ask.
    """
    with ended_by_signals("Interrupted; what was agreed to goes on."):
        from dropscale_cli import apply as command  # noqa: PLC0415 # see main
        from dropscale_cli.run import RunOptions  # noqa: PLC0415 # see main

        agreement = command.Agreement(yes, sys.stdin.isatty(), output_format == "json")
        if place.startswith(_S3):
            url = urlsplit(place)
            prefix = place.removeprefix(f"{_S3}{url.netloc}").removeprefix("/")
            sys.exit(command.apply_to_stack(url.netloc, prefix, stack, agreement))
        path = Path(place)
        if not path.exists():
            raise click.UsageError(f"{place} does not exist.")
        options = RunOptions(path, out, yes, None, agreement.as_json, log, suffixes=suffixes)
        sys.exit(command.apply_to_files(options, agreement, os.environ))


@click.group()
def stack() -> None:
    """Have the stack that this version deploys."""


@stack.command(epilog=examples("dropscale stack eject my-stack"))
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
def eject(*, folder: Path) -> None:
    """Write template, functions and layer into the new folder DIR, to deploy with SAM CLI."""
    from dropscale_cli import stack_source  # noqa: PLC0415 # see main
    from dropscale_cli.terminal import say  # noqa: PLC0415 # see main

    stack_source.eject(folder)
    say(f"To deploy: cd {shlex.quote(str(folder))} && sam build && sam deploy --guided")


COMMANDS = (apply, doctor, secret, stack)
