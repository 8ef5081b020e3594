"""What `dropscale plan` takes for 10,000 and for 100,000 images.

The images are hard links to a few files, 1,000 in a folder, or all in one. Exits with 1 if ten
times as many in such folders take more memory. Silence is in seconds of the clock.

    python -m tests.bench.plans
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.fakes import png

KINDS = 64
IN_A_FOLDER = 1000
MORE_MB = 16.0


class Taken(NamedTuple):
    """What a plan took: CPU seconds, peak memory in MB, and seconds until something was said."""

    cpu: float
    memory: float
    first: float
    longest: float


def main() -> int:
    """Measure, print a table, and return the exit code."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kinds = [folder / f"{shade}.png" for shade in range(KINDS)]
        for shade, file in enumerate(kinds):
            file.write_bytes(png(shade=shade))
        lines = [
            f"{'Images':>8}{'a folder':>10}{'CPU s':>8}{'MB':>8}{'first s':>9}{'silent s':>10}"
        ]
        taken = []
        for count, each in ((10_000, IN_A_FOLDER), (100_000, IN_A_FOLDER), (100_000, 100_000)):
            photos = folder / f"{count}-{each}"
            link(kinds, photos, count, each)
            taken.append(one := planned(photos, folder / "out"))
            lines.append(
                f"{count:8,}{each:10,}{one.cpu:8.1f}{one.memory:8.1f}{one.first:9.1f}"
                f"{one.longest:10.1f}"
            )
    print("\n".join(lines))  # noqa: T201 # this is its output
    return int(taken[1].memory - taken[0].memory > MORE_MB)


def link(kinds: list[Path], photos: Path, count: int, each: int) -> None:
    """Make images, so many in each folder."""
    for number in range(count):
        folder = photos / f"{number // each:04}"
        if number % each == 0:
            folder.mkdir(parents=True)
        os.link(kinds[number % len(kinds)], folder / f"{number:06}.png")


def planned(photos: Path, out: Path) -> Taken:
    """Plan the images of a folder."""
    program = "from dropscale_cli.main import main; main()"
    command = [sys.executable, "-c", program, "plan", str(photos), "--out", str(out)]
    began = said = time.monotonic()
    first, longest = None, 0.0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        while os.read(process.stdout.fileno(), 1 << 16):
            now = time.monotonic()
            first = first if first is not None else now - began
            longest, said = max(longest, now - said), now
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return Taken(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, first or 0.0, longest)


if __name__ == "__main__":
    sys.exit(main())
