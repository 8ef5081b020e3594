"""One run of one client, in a separate process; prints its cost as JSON.

python -m tests.bench.client_run ours|theirs import|one-by-one|together BASE_URL COUNT IMAGE OUT
"""

import asyncio
import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MODULES = {"ours": "dropscale.magichour", "theirs": "magic_hour"}


def main(whose: str, what: str, base_url: str, count: str, image: str, out: str) -> None:
    """Do it and print it."""
    started, cpu_before = time.perf_counter(), time.process_time()
    done = 0
    library = importlib.import_module(MODULES[whose])
    _ = library.Client, library.AsyncClient  # ours are imported when they are asked for
    if what != "import":
        started, cpu_before = time.perf_counter(), time.process_time()
        done = RUNS[what](library, base_url, int(count), image, out)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu_before
    sizes = [file.stat().st_size for file in Path(out).iterdir()]
    took = {"seconds": seconds, "cpu": cpu, "peak_mb": peak_mb(), "done": done}
    print(json.dumps({**took, "files": len(sizes), "bytes": sum(sizes)}))  # noqa: T201 # its output


def one_by_one(library: Any, base_url: str, count: int, image: str, out: str) -> int:
    client = library.Client(token="key", base_url=base_url)
    return sum(
        client.v1.ai_image_upscaler.generate(**arguments(image, out)).status == "complete"
        for _ in range(count)
    )


def together(library: Any, base_url: str, count: int, image: str, out: str) -> int:
    async def run() -> int:
        client = library.AsyncClient(token="key", base_url=base_url)
        results = await asyncio.gather(
            *(client.v1.ai_image_upscaler.generate(**arguments(image, out)) for _ in range(count)),
            return_exceptions=True,
        )
        return sum(getattr(result, "status", None) == "complete" for result in results)

    return asyncio.run(run())


def arguments(image: str, out: str) -> dict[str, Any]:
    # The vendor's SDK changes the dict of assets: each call has one of its own.
    assets = {"image_file_path": image}
    return {"assets": assets, "scale_factor": 2, "download_directory": out}


def peak_mb() -> float:
    """Read this process's peak resident memory (`ru_maxrss` begins with its parent's)."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


RUNS: dict[str, Callable[[Any, str, int, str, str], int]] = {
    "one-by-one": one_by_one,
    "together": together,
}

if __name__ == "__main__":
    main(*sys.argv[1:])
