"""The arguments of the commands about specs, none of which needs a stack; see `main`."""

import os
import sys
from pathlib import Path

import click

from dropscale_cli.options import (
    ended_by_signals,
    examples,
    format_option,
    out_option,
    sidecar_suffixes_option,
)

_PATH = click.Path(exists=True, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_INTERRUPTED = "Interrupted."

_root_option = click.option(
    "--root",
    type=_FOLDER,
    help="Where the cascade of specs begins.  [default: the working directory, for what lies "
    "below it; else the folder itself, or the file's]",
)


@click.command(
    epilog=examples(
        "dropscale validate photos",
        "dropscale validate photos/dropscale.yaml photos/cat.jpg.yaml --format json",
    )
)
@click.argument("paths", nargs=-1, required=True, type=_PATH, metavar="PATH...")
@_root_option
@format_option("github makes annotations of a workflow's run.", "github")
@sidecar_suffixes_option
def validate(
    *, paths: tuple[Path, ...], root: Path | None, output_format: str, suffixes: tuple[str, ...]
) -> None:
    """Say everything that is wrong with specs: files, or folders with all below them.

    In folders, specs are found by their names: sidecars, folder specs (dropscale.yaml), and specs
    that stand alone. A file that is named is taken for a spec in any case.

    Exits with 0 if nothing is worse than a warning, else 1.
    """
    with ended_by_signals(_INTERRUPTED):
        from dropscale_cli.specs import validate as command  # noqa: PLC0415 # see main

        sys.exit(command.validate(paths, root, output_format, suffixes))


@click.command(epilog=examples("dropscale plan photos", "dropscale plan photos --format json"))
@click.argument("path", type=_PATH)
@out_option("Where earlier runs have put their results: what they paid is not paid again.")
@format_option()
@sidecar_suffixes_option
def plan(*, path: Path, out: Path, output_format: str, suffixes: tuple[str, ...]) -> None:
    """Show what `dropscale run` would do with PATH, and what it would charge.

    With MAGIC_HOUR_API_KEY set, it also asks for the account's tier and credits, which is free, and
    says whether they will do. Without it, nothing leaves this machine.

    Exits with 0 if every image would be upscaled or skipped, 1 if any would be refused.
    """
    with ended_by_signals(_INTERRUPTED):
        from dropscale_cli.specs import plan as plan_report  # noqa: PLC0415 # see main

        as_json = output_format == "json"
        sys.exit(plan_report.plan(path, out, os.environ, as_json=as_json, suffixes=suffixes))


@click.command(
    epilog=examples("dropscale explain photos/cat.jpg", "dropscale explain job.yaml --format json")
)
@click.argument("image", type=_PATH)
@_root_option
@format_option()
@sidecar_suffixes_option
def explain(
    *, image: Path, root: Path | None, output_format: str, suffixes: tuple[str, ...]
) -> None:
    """Show what specs come to for IMAGE: each field, whose value it is, and what it overrides.

    IMAGE may also be a spec that stands alone, or a sidecar.

    Exits with 0, or 1 if its specs are faulty.
    """
    with ended_by_signals(_INTERRUPTED):
        from dropscale_cli.specs import explain as command  # noqa: PLC0415 # see main

        as_json = output_format == "json"
        sys.exit(command.explain(image, root, as_json=as_json, suffixes=suffixes))


@click.command(epilog=examples("dropscale schema --write", "dropscale schema > spec.schema.json"))
@click.option("--write", is_flag=True, help="Write it to dropscale.schema.json in this folder.")
@click.option("--force", is_flag=True, help="Overwrite another file of that name.")
def schema(*, write: bool, force: bool) -> None:
    """Print the JSON Schema (2020-12) of spec files, for editors and other tools."""
    if force and not write:
        raise click.UsageError("--force goes with --write.")
    with ended_by_signals(_INTERRUPTED):
        from dropscale_cli.specs import starter  # noqa: PLC0415 # see main

        if write:
            starter.write_schema(Path(), force=force)
        else:
            starter.print_schema()


@click.command(epilog=examples("dropscale init photos"))
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), metavar="DIR")
def init(*, folder: Path) -> None:
    """Write a dropscale.yaml to begin with into the folder DIR: every field, commented out.

    It says what happens to the images in DIR and below it. One that is there is never overwritten.
    """
    with ended_by_signals(_INTERRUPTED):
        from dropscale_cli.specs import starter  # noqa: PLC0415 # see main

        starter.init(folder)


COMMANDS = (validate, plan, explain, schema, init)
