"""How much more memory submit and deliver take for a large image than for a small one.

Both run in their worker processes on the embedded cloud; its servers and a vendor that hands the
image back unchanged run in this one. Exits with 1 if one of them takes more than the limit.

    python -m tests.bench.memory
"""

import json
import os
import struct
import sys
import time
import zlib
from contextlib import suppress
from pathlib import Path

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
        with EmbeddedCloud(
            template=TEMPLATE,
            parameters={**parameters, "ApiBaseUrl": server.base_url},
            secrets={"ApiKeySecret": "key"},
        ) as cloud:
            cloud.client("s3").put_object(
                Bucket=cloud.outputs["InputBucketName"], Key=KEY, Body=image
            )
            await_delivery(cloud)
            return workers_peaks()


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


def workers_peaks() -> dict[str, float]:
    """Read from /proc (Linux) the most that a worker of each function ever had resident.

    Not from `ru_maxrss`: a new process inherits there what its parent, the servers, had.
    """
    found: dict[str, float] = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is somebody else's
            status = dict(
                line.split(":", 1) for line in (process / "status").read_text().splitlines()
            )
            if int(status["PPid"]) == os.getpid():
                function = function_of(process)
                peak = int(status["VmHWM"].split()[0]) / 1024
                found[function] = max(peak, found.get(function, 0.0))
    return found


def function_of(process: Path) -> str:
    variables = (process / "environ").read_text().split("\0")
    environment = dict(variable.split("=", 1) for variable in variables if "=" in variable)
    return environment.get("AWS_LAMBDA_FUNCTION_NAME", "")


if __name__ == "__main__":
    sys.exit(main())
