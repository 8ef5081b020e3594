"""The arguments of the commands about specs, none of which needs a stack; see `main`."""

import sys
from pathlib import Path

import click

from dropscale_cli.interrupt import ended_by_signals
from dropscale_cli.options import examples, format_option

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
def validate(*, paths: tuple[Path, ...], root: Path | None, output_format: str) -> None:
    """Say everything that is wrong with specs: files, or folders with all below them.

    In folders, specs are found by their names: sidecars, folder specs (dropscale.yaml), and specs
    that stand alone. A file that is named is taken for a spec in any case.

    Exits with 0 if nothing is worse than a warning, else 1.
    """
    with ended_by_signals(_INTERRUPTED):
        from dropscale_cli import validate as command  # noqa: PLC0415 # see main

        sys.exit(command.validate(paths, root, output_format))
