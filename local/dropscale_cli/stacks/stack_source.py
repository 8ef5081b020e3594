"""`dropscale stack eject`, and where the files of this version's stack are."""

import shlex
import shutil
import tempfile
from pathlib import Path

import click

import dropscale
from dropscale_cli.errors import UnusablePath
from dropscale_cli.options import examples
from dropscale_cli.terminal import Commands, Terminal, say
from dropscale_cli.tracking.progress import progress_on

_PACKAGES = Path(__file__).parents[2]
_BUNDLED = _PACKAGES / "dropscale_stack"
"""The files included in the wheel: see `force-include` in pyproject.toml."""

_PARTS = (
    "constraints.txt",
    "functions",
    "samconfig.toml",
    "shared/Makefile",
    "shared/requirements.txt",
    "template.yaml",
)
_LAYER = "shared/dropscale"
"""The layer's package, which is not bundled but installed."""


def stack_source() -> Path:
    """Return the folder of the template and its files, in a wheel or in a checkout.

    In a wheel, the layer's package is not in it: a local function uses the installed one.
    """
    return _BUNDLED if _BUNDLED.is_dir() else _PACKAGES.parent


def eject(folder: Path) -> None:
    """Write the whole stack into a folder, for `sam build` there, or nothing.

    Raises:
        UnusablePath: the folder is not empty.
        OSError: it cannot be written.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UnusablePath(f"{folder} is not empty. Name a new folder, or empty it.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
        whole = Path(temporary) / "stack"
        for part in _PARTS:
            _copy(stack_source() / part, whole / part)
        _copy(Path(dropscale.__file__).parent, whole / _LAYER)
        whole.rename(folder)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)


@click.group(cls=Commands)
def stack() -> None:
    """Write the files of this version's stack."""


@stack.command("eject", epilog=examples("dropscale stack eject my-stack"))
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
def eject_command(*, folder: Path) -> None:
    """Write the stack into the new folder DIR, to deploy with SAM CLI."""
    with progress_on(Terminal(to_stderr=True), f"Writing the stack into {folder}"):
        eject(folder)
    say(f"To deploy: cd {shlex.quote(str(folder))} && sam build && sam deploy --guided")
