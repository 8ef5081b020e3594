"""Puts results into a folder on this machine."""

import os
from collections.abc import Iterable
from pathlib import Path


def collect(out: Path, key: str, chunks: Iterable[bytes]) -> Path:
    """Write a result below `out`, at its key: whole, or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    target = out / key
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.parent / f".dropscale-{os.getpid()}.part"
    try:
        with partial.open("wb") as file:
            file.writelines(chunks)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return target
