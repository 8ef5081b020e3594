"""Writes the outputs of a project to disk."""

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from dropscale.magichour.models import Project

_NAME_LENGTH = 150
_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")


def output_names(project: Project) -> list[str]:
    """Return one file name per download: the project's id and the last part of the URL's path.

    The id distinguishes projects whose URLs end in the same name; a number, outputs of one project.
    """
    names = []
    for number, download in enumerate(project.downloads, start=1):
        prefix = project.id if len(project.downloads) == 1 else f"{project.id}-{number}"
        last_part = urlsplit(download.url).path.rpartition("/")[2]
        names.append(_UNFIT.sub("_", f"{prefix}-{last_part}")[-_NAME_LENGTH:])
    return names


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a file that appears under its name, replacing an older one, only when complete."""
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with partial.open("xb") as file:
            yield file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
