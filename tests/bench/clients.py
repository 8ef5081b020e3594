"""Our client library beside the vendor's SDK, in one run.

Both run in separate processes, in turn, against the same stand-in server. Exits with 1 if a bound
is exceeded.

    python -m tests.bench.clients
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import certifi

from tests.certificate import write_certificate

LARGE_BYTES = 100 * 1024 * 1024
DEADLINE_SECONDS = 120.0


@dataclass(frozen=True)
class Workload:
    """What both have to do.

    Attributes:
        what: a run of `tests.bench.client_run`.
        tls: over HTTPS, as in earnest. Not with hundreds at a time: most of the SDK's downloads
            give up then, because connecting takes longer than the 5 s that they wait.
        rounds: how often; the least of each figure counts, as the least disturbed.
        bounds: a measured figure and how much of theirs ours may be.
    """

    title: str
    what: str
    count: int
    rounds: int
    bounds: dict[str, float]
    job_seconds: float = 0.0
    image_bytes: int = 50_000
    tls: bool = False


WORKLOADS = (
    Workload("import", "import", 0, 9, {"cpu": 1 / 2}),
    Workload(
        "5 jobs of 0.2 s one by one, sync", "one-by-one", 5, 3, {"seconds": 1.0}, 0.2, tls=True
    ),
    Workload(
        "200 jobs of 0.5 s at once", "together", 200, 2, {"seconds": 1 / 4, "cpu": 1 / 4}, 0.5
    ),
    Workload(
        "5 images of 100 MB at once", "together", 5, 1, {"peak_mb": 1 / 8}, image_bytes=LARGE_BYTES
    ),
)
UNITS = {"seconds": "wall s", "cpu": "CPU s", "peak_mb": "peak MB"}
COUNTS = {"done": "complete", "files": "files left"}
Took = dict[str, float]


def main() -> int:
    """Measure, print a table, and return the exit code."""
    kept = True
    show(f"{'':34}{'':12}{'ours':>9}{'theirs':>9}{'ratio':>8}{'at most':>9}")
    for workload in WORKLOADS:
        ours, theirs = measured(workload)
        for figure, bound in workload.bounds.items():
            ratio = ours[figure] / theirs[figure]
            kept &= ratio <= bound
            row = f"{workload.title:34}{UNITS[figure]:12}{ours[figure]:9.3f}{theirs[figure]:9.3f}"
            show(f"{row}{ratio:8.2f}{bound:9.3f}{'' if ratio <= bound else '  NOT KEPT'}")
        for figure, unit in COUNTS.items() if workload.count else ():
            all_there = ours[figure] == workload.count
            kept &= all_there
            row = f"{workload.title:34}{unit:12}{ours[figure]:9.0f}{theirs[figure]:9.0f}"
            show(row + ("" if all_there else "  NOT KEPT"))
    return int(not kept)


def show(row: str) -> None:
    print(row, flush=True)  # noqa: T201 # this is its output


def measured(workload: Workload) -> tuple[Took, Took]:
    """Run the workload with both, in turn; return the least that each took."""
    took: dict[str, list[Took]] = {"ours": [], "theirs": []}
    with TemporaryDirectory() as folder:
        image = Path(folder, "image.png")
        with image.open("wb") as file:
            file.truncate(workload.image_bytes)
        with stand_in(workload, Path(folder)) as (base_url, environment):
            for _ in range(workload.rounds):
                for whose, runs in took.items():
                    runs.append(one_run(workload, whose, base_url, environment, image))
    ours, theirs = (
        {figure: min(run[figure] for run in runs) for figure in UNITS | COUNTS}
        for runs in took.values()
    )
    return ours, theirs


def one_run(
    workload: Workload, whose: str, base_url: str, environment: dict[str, str], image: Path
) -> Took:
    with TemporaryDirectory() as out:
        arguments = [whose, workload.what, base_url, str(workload.count), str(image), out]
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.client_run", *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            timeout=DEADLINE_SECONDS,
            check=True,
        )
    took: dict[str, Any] = json.loads(done.stdout)
    if workload.count and took["bytes"] != took["files"] * workload.image_bytes:
        raise RuntimeError(f"{whose} left files that are not whole")
    return took


@contextmanager
def stand_in(workload: Workload, folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Run the stand-in server; give its base URL, and the environment that trusts it."""
    certificate = write_certificate(folder)
    bundle = folder / "bundle.pem"
    # Beside the usual certificates, whose number is what makes a TLS context costly.
    bundle.write_bytes(Path(certifi.where()).read_bytes() + certificate.read_bytes())
    environment = {
        **os.environ,
        "SSL_CERT_FILE": str(bundle),
        "REQUESTS_CA_BUNDLE": str(bundle),
        "NO_PROXY": "127.0.0.1",
        "MAGIC_HOUR_POLL_INTERVAL": "0.25",
    }
    arguments = [str(workload.job_seconds), str(workload.image_bytes)]
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.bench.stand_in_vendor", *arguments),
            *([str(certificate)] if workload.tls else []),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        yield server.stdout.readline().strip(), environment
    finally:
        server.communicate(timeout=DEADLINE_SECONDS)  # closes its input, which ends it


if __name__ == "__main__":
    sys.exit(main())
