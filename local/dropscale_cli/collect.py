"""Puts results into a folder on this machine."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from dropscale.ledger.drops import Output
from dropscale_cli import state_folder


def collect(out: Path, key: str, chunks: Iterable[bytes]) -> Path:
    """Write a result below `out`, at its key: whole, or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    target = out / key
    target.parent.mkdir(parents=True, exist_ok=True)
    # A folder of its own, so that nothing is left among the results by a process that is killed.
    partial = out / state_folder.NAME / "collecting.part"
    partial.parent.mkdir(exist_ok=True)
    try:
        with partial.open("wb") as file:
            file.writelines(chunks)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return target


def is_collected(out: Path, output: Output) -> bool:
    """Tell whether a result lies below `out`, with the very bytes that were delivered."""
    file = out / output.key
    if not file.is_file() or file.stat().st_size != output.bytes:
        return False
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest() == output.sha256
