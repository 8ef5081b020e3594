"""How much more memory submit and deliver take for a large image than for a small one.

Both run in their worker processes on the embedded cloud; its servers and a vendor that hands the
image back unchanged run in this one. What a worker starts counts, at the most that both ever had.
Exits with 1 if one of them takes more than the limit.

    python -m tests.bench.memory
"""

import json
import os
import struct
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

from dropscale.results.manifest import manifest_key
from dropscale_embedded.cloud import EmbeddedCloud
from tests.fakes import png
from tests.integration.scripted_vendor import ScriptedVendor
from tests.unit.magichour.scripted_server import ScriptedServer

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
FUNCTIONS = ("dropscale-SubmitFunction", "dropscale-DeliverFunction")
SIDE = 4096
LARGE_BYTES = 100 * 1024 * 1024
LIMIT_MB = 64.0
DEADLINE_SECONDS = 60.0
LOOK_SECONDS = 0.02
KEY = "image.png"


def main() -> int:
    """Measure, print a table, and return the exit code."""
    small, large = png(), padded(png(SIDE, SIDE), LARGE_BYTES)
    with_small, with_large = peaks(small), peaks(large)
    more = {function: with_large[function] - with_small[function] for function in FUNCTIONS}
    lines = [
        f"Peak memory in MB, with an image of {len(small):,} and one of {len(large):,} bytes:",
        f"{'':26}{'small':>8}{'large':>8}{'more':>8}  (limit {LIMIT_MB:.0f})",
        *(
            f"{name:26}{with_small[name]:8.1f}{with_large[name]:8.1f}{more[name]:8.1f}"
            for name in FUNCTIONS
        ),
    ]
    print("\n".join(lines))  # noqa: T201 # this is its output
    return int(max(more.values()) > LIMIT_MB)


def padded(image: bytes, size: int) -> bytes:
    """Return a PNG with a private chunk before its end that brings it to `size` bytes.

    Readers skip chunks that they do not know: https://www.w3.org/TR/png-3/#14Ordering.
    """
    ihdr_end, chunk_overhead = 33, 12
    body = b"paDd" + bytes(size - len(image) - chunk_overhead)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return image[:ihdr_end] + chunk + image[ihdr_end:]


def peaks(image: bytes) -> dict[str, float]:
    """Return each function's peak resident memory, in MB, for one drop on a stack of its own."""
    parameters = {"SettleSeconds": "0", "FirstCheckSeconds": "1"}
    with ScriptedServer() as server:
        ScriptedVendor(server, image)
        with (
            Watch() as watch,
            EmbeddedCloud(
                template=TEMPLATE,
                parameters={**parameters, "ApiBaseUrl": server.base_url},
                secrets={"ApiKeySecret": "key"},
            ) as cloud,
        ):
            cloud.client("s3").put_object(
                Bucket=cloud.outputs["InputBucketName"], Key=KEY, Body=image
            )
            await_delivery(cloud)
            return watch.peaks()


def await_delivery(cloud: EmbeddedCloud) -> None:
    """Wait for the execution's end: deliver, its last state, is done then."""
    states, arn = cloud.client("stepfunctions"), cloud.outputs["StateMachineArn"]
    deadline = time.monotonic() + DEADLINE_SECONDS
    ended = False
    while not ended:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the image was not delivered within {DEADLINE_SECONDS:.0f} s")
        time.sleep(0.1)
        executions = states.list_executions(stateMachineArn=arn)["executions"]
        ended = any(execution["status"] != "RUNNING" for execution in executions)
    manifest = cloud.client("s3").get_object(
        Bucket=cloud.outputs["ResultsBucketName"], Key=manifest_key(KEY)
    )
    state = json.load(manifest["Body"])["state"]
    if state != "delivered":
        raise RuntimeError(f"the image ended {state}")


class Watch:
    """Reads from /proc (Linux) the most that the workers of each function ever had resident.

    Not from `ru_maxrss`: a new process inherits there what its parent, the servers, had. What a
    worker starts is gone when it is done, so it is looked at again and again.
    """

    def __init__(self) -> None:
        self._workers: dict[str, float] = {}
        self._children: dict[str, float] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_on)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def peaks(self) -> dict[str, float]:
        """Return each function's peak, in MB: that of its worker and of what that started."""
        return {name: peak + self._children.get(name, 0) for name, peak in self._workers.items()}

    def _look_on(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            self._look()

    def _look(self) -> None:
        statuses = dict(_statuses())
        functions = {
            pid: function_of(Path(f"/proc/{pid}"))
            for pid, (parent, _) in statuses.items()
            if parent == os.getpid()
        }
        for pid, (parent, peak) in statuses.items():
            if pid in functions:
                found, function = self._workers, functions[pid]
            elif parent in functions:
                found, function = self._children, functions[parent]
            else:
                continue
            found[function] = max(peak, found.get(function, 0.0))


def _statuses() -> Iterator[tuple[int, tuple[int, float]]]:
    """Yield each process's id with its parent's and its peak memory in MB."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, KeyError):  # it has ended, or is somebody else's
            lines = (process / "status").read_text().splitlines()
            status = dict(line.split(":", 1) for line in lines)
            peak = int(status["VmHWM"].split()[0]) / 1024
            yield int(process.name), (int(status["PPid"]), peak)


def function_of(process: Path) -> str:
    try:
        variables = (process / "environ").read_text().split("\0")
    except OSError:
        return ""
    environment = dict(variable.split("=", 1) for variable in variables if "=" in variable)
    return environment.get("AWS_LAMBDA_FUNCTION_NAME", "")


if __name__ == "__main__":
    sys.exit(main())
