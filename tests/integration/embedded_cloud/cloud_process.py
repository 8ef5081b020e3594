"""Runs an embedded cloud until Ctrl-C: what the tests kill."""

import signal
import sys
from pathlib import Path

from dropscale_embedded.cloud import EmbeddedCloud

template, log = map(Path, sys.argv[1:])
try:
    with EmbeddedCloud(template=template, log=log):
        print("started", flush=True)  # noqa: T201
        try:
            signal.pause()
        except KeyboardInterrupt:
            print("stopping", flush=True)  # noqa: T201
            raise
except KeyboardInterrupt:
    print("stopped", flush=True)  # noqa: T201
    sys.exit(130)
