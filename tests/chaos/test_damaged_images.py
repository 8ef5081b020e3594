"""Damaged images cost no result, and what comes out can be read."""

import subprocess
import sys


def test_damaged_images_come_to_a_good_end() -> None:
    # A process of its own: who has used libvips cannot be forked.
    command = [sys.executable, "-W", "ignore", "-m", "tests.chaos.damaged_images"]
    done = subprocess.run(
        [*command, "--seed", "1", "--images", "80"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "80 damaged images" in done.stdout
