"""A burst of images through the whole embedded stack, in real time: all paid once, all delivered.

python -m tests.chaos.burst_on_the_stack [--images N]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.fakes import png


def main() -> int:
    """Run it, say what came of it; return 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.burst_on_the_stack")
    parser.add_argument("--images", type=int, default=300)
    images = parser.parse_args().images
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder, "photos")
        photos.mkdir()
        for number in range(images):
            photo = png(8 + number // 250, 6, number % 250)
            (photos / f"{number:04}.png").write_bytes(photo)
        command = [str(Path(sys.executable).with_name("dropscale")), "run", str(photos)]
        options = ["--out", str(Path(folder, "out")), "--engine", "stub", "--format", "json"]
        begin = time.monotonic()
        ran = subprocess.run([*command, *options], stdout=subprocess.PIPE, check=False)
        seconds = time.monotonic() - begin
    outcome = json.loads(ran.stdout)
    delivered = sum(drop["manifest"]["state"] == "delivered" for drop in outcome["drops"])
    print(  # noqa: T201 - a command
        f"{delivered} of {images} delivered in {seconds:.0f} s, {outcome['credits']} credits"
    )
    return 0 if delivered == images and outcome["credits"] == 50 * images else 1


if __name__ == "__main__":
    sys.exit(main())
