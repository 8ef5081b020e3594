"""Decodes HEIC in a separate process: pi-heif 1.4.0 crashes on some damaged files."""

import subprocess
import sys
from io import BytesIO
from pathlib import Path

from PIL import Image

from dropscale_embedded.heic_worker import TOO_LARGE

_WORKER = Path(__file__).with_name("heic_worker.py")
_SECONDS = 60.0


class HeicUnreadable(Exception):
    """The bytes are not a decodable HEIC file."""


class HeicTooLarge(Exception):
    """A side is longer than allowed; the message contains both sides."""


def decode_heic(data: bytes, max_side: int) -> Image.Image:
    """Return the picture in a HEIC file: upright, 8 bits a channel, with its profile in `info`.

    Raises:
        HeicUnreadable: it cannot be decoded. HeicTooLarge: a side is longer than allowed.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-P", _WORKER, str(max_side)],
            input=data,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise HeicUnreadable(f"it took longer than {_SECONDS:.0f} s") from error
    said = done.stderr.decode(errors="replace").strip()
    if done.returncode == TOO_LARGE:
        raise HeicTooLarge(said)
    if done.returncode:
        raise HeicUnreadable(said.splitlines()[-1] if said else f"exit code {done.returncode}")
    return Image.open(BytesIO(done.stdout), formats=["PNG"])
