"""Where the deployable stack of this version is, and how to have a copy of it."""

import shutil
import tempfile
from pathlib import Path

import dropscale
from dropscale_cli.errors import UnusablePath

_PACKAGES = Path(__file__).parents[1]
_BUNDLED = _PACKAGES / "dropscale_stack"
"""What the wheel brings along: see `force-include` in pyproject.toml."""

_PARTS = (
    "constraints.txt",
    "functions",
    "samconfig.toml",
    "shared/Makefile",
    "shared/requirements.txt",
    "template.yaml",
)
_LAYER = "shared/dropscale"
"""The layer's own package, which is not bundled: it is installed."""


def stack_source() -> Path:
    """Return the folder of the template and all that it names, in a wheel or in a checkout.

    In a wheel the layer's package is not below it: a local function finds the one installed.
    """
    return _BUNDLED if _BUNDLED.is_dir() else _PACKAGES.parent


def eject(folder: Path) -> None:
    """Write the stack into a folder, for `sam build` there; all of it, or nothing.

    Raises:
        UnusablePath: there is something in the folder.
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
