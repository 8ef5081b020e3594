"""How much more memory submit and deliver take for a large image than for a small one.

Both run in their worker processes on the embedded cloud; its servers, and a vendor whose result is
four times as wide and high, run in this one. What a worker starts counts, at the most that both
ever had. Exits with 1 if one of them takes more than the limit.

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
from typing import NamedTuple, Self

from dropscale.results.manifest import manifest_key
from dropscale_embedded.cloud import EmbeddedCloud
from dropscale_embedded.workers.processes import spawn
from tests.integration.scripted_vendor import ScriptedVendor
from tests.unit.magichour.scripted_server import ScriptedServer

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
FUNCTIONS = ("dropscale-SubmitFunction", "dropscale-DeliverFunction")
SIDE, FACTOR = 4096, 4
GREY, COLOUR, GREY_WITH_ALPHA = 0, 2, 4
CHANNELS = {GREY: 1, COLOUR: 3, GREY_WITH_ALPHA: 2}
WAYS = {
    "as it came": (GREY, "output: {metadata: strip}"),
    "as jpeg": (GREY, "output: {format: jpeg}"),
    "with its alpha": (GREY_WITH_ALPHA, ""),
}
"""Ways to finish a result: the original's colour type in PNG, and the rest of the spec."""

LARGE_BYTES = 100 * 1024 * 1024
LIMIT_MB = 64.0
DEADLINE_SECONDS = 180.0
LOOK_SECONDS = 0.02
KEY = "image.png"


def main() -> int:
    """Measure, print a table, and return the exit code."""
    lines = [f"{'Peak memory in MB':42}{'small':>8}{'large':>8}{'more':>8}  (limit {LIMIT_MB:.0f})"]
    most = 0.0
    for way, (colour_type, spec) in WAYS.items():
        small = peaks(png(8, colour_type), png(8 * FACTOR, COLOUR), spec)
        original = padded(png(SIDE, colour_type), LARGE_BYTES)
        large = peaks(original, padded(png(SIDE * FACTOR, COLOUR), LARGE_BYTES), spec)
        for name in FUNCTIONS:
            more = large[name] - small[name]
            most = max(most, more)
            lines.append(f"{name:27}{way:15}{small[name]:8.1f}{large[name]:8.1f}{more:8.1f}")
    print("\n".join(lines))  # noqa: T201 # this is its output
    return int(most > LIMIT_MB)


def png(side: int, colour_type: int) -> bytes:
    """Return a square PNG of a colour type, half of it darker (and transparent)."""
    channels = CHANNELS[colour_type]
    deflate = zlib.compressobj(1)
    row = b"\0" + bytes(side // 2 * channels) + b"\xff" * (side // 2 * channels)
    rows = b"".join(deflate.compress(row) for _ in range(side)) + deflate.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, colour_type, 0, 0, 0)
    chunks = chunk(b"IHDR", header), chunk(b"IDAT", rows), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def chunk(name: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG."""
    checksum = struct.pack(">I", zlib.crc32(name + data))
    return struct.pack(">I", len(data)) + name + data + checksum


def padded(image: bytes, size: int) -> bytes:
    """Return a PNG with a private chunk before its end that brings it to `size` bytes.

    Readers skip chunks that they do not know: https://www.w3.org/TR/png-3/#14Ordering.
    """
    ihdr_end, chunk_overhead = 33, 12
    padding = chunk(b"paDd", bytes(size - len(image) - chunk_overhead))
    return image[:ihdr_end] + padding + image[ihdr_end:]


def peaks(image: bytes, result: bytes, spec: str) -> dict[str, float]:
    """Return each function's peak resident memory, in MB, for one drop on a stack of its own."""
    parameters = {"SettleSeconds": "0", "FirstCheckSeconds": "1"}
    with ScriptedServer() as server:
        ScriptedVendor(server, result)
        with (
            Watch() as watch,
            EmbeddedCloud(
                template=TEMPLATE,
                parameters={**parameters, "ApiBaseUrl": server.base_url},
                secrets={"ApiKeySecret": "key"},
                # Of a worker that was forked, /proc shows the zygote's environment and memory.
                start_worker=spawn,
            ) as cloud,
        ):
            s3, inputs = cloud.client("s3"), cloud.outputs["InputBucketName"]
            s3.put_object(
                Bucket=inputs, Key=f"{KEY}.yaml", Body=f"scale_factor: 4\n{spec}".encode()
            )
            s3.put_object(Bucket=inputs, Key=KEY, Body=image)
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
        processes = {found.pid: found for found in _processes()}
        for found in processes.values():
            starter = processes.get(found.parent)
            if found.parent == os.getpid() and found.function:
                peaks, function = self._workers, found.function
            elif starter and starter.parent == os.getpid() and found.is_program_of_its_own:
                peaks, function = self._children, starter.function
            else:
                continue
            peaks[function] = max(found.peak, peaks.get(function, 0.0))


class _Process(NamedTuple):
    """A process; `peak` is in MB."""

    pid: int
    parent: int
    function: str
    is_program_of_its_own: bool
    peak: float


def _processes() -> Iterator[_Process]:
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, KeyError):  # it has ended, or is somebody else's
            # Before the memory: until it has become another program, that is its parent's.
            environment = dict(
                variable.split("=", 1)
                for variable in (folder / "environ").read_text().split("\0")
                if "=" in variable
            )
            function = environment.get("AWS_LAMBDA_FUNCTION_NAME", "")
            lines = (folder / "status").read_text().splitlines()
            status = dict(line.split(":", 1) for line in lines)
            peak = int(status["VmHWM"].split()[0]) / 1024
            yield _Process(int(folder.name), int(status["PPid"]), function, not function, peak)


if __name__ == "__main__":
    sys.exit(main())
