"""The Lambda layer as shared/Makefile builds it, but for this machine and a Python of it."""

import subprocess
import sys
from pathlib import Path

_MAKEFILE = Path(__file__).parents[1] / "shared" / "Makefile"


def built_for_this_machine(folder: Path, python: str = sys.executable) -> Path:
    """Build the layer into a folder; return the folder below it that belongs on Python's path."""
    variables = [f"ARTIFACTS_DIR={folder}", f"PYTHON={python}", "WHEELS="]
    subprocess.run(
        ["make", "--silent", "--makefile", _MAKEFILE, "build-RuntimeLayer", *variables], check=True
    )
    return folder / "python"
