"""Look at the layer that `sam build` made, and try one that is made for this machine.

On that one, and nothing else, handlers are composed and each AWS service is called; then a drop
is delivered by it.

Run from the top folder, after `sam build`. Exits with 77 (a step's "skipped") if it was skipped.
"""

import io
import os
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.util import cache_from_source
from pathlib import Path
from tempfile import TemporaryDirectory

from dropscale_embedded.cloud import EmbeddedCloud
from tests.bench.imports import COMPOSED, cpu_milliseconds, measured
from tests.bench.memory import await_delivery
from tests.fakes import png
from tests.host_layer import built_for_this_machine
from tests.integration.scripted_vendor import ScriptedVendor
from tests.unit.magichour.scripted_server import ScriptedServer

LAYER = Path(".aws-sam/build/RuntimeLayer")
CALLS = Path(__file__).with_name("call_each_service.py")
MOST_BYTES = 10_000_000
UNCHECKED_HASH = 1  # https://peps.python.org/pep-0552/
AARCH64 = 183  # e_machine: https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html
PYTHON_TAG = "cpython-313"


def faults(site: Path) -> Iterator[str]:
    """Yield a line for each thing that is wrong with a layer's folder for Python's path."""
    size = zipped_bytes(site)
    if size > MOST_BYTES:
        yield f"the layer has {size:,} bytes zipped; at most {MOST_BYTES:,} are wanted"
    for source in site.rglob("*.py"):
        if not compiled(source).is_file():
            yield f"{source} is not compiled for {PYTHON_TAG}"
    for path in site.rglob("*.pyc"):
        (flags,) = struct.unpack("<4xI", path.read_bytes()[:8])
        if flags != UNCHECKED_HASH:
            yield f"{path} would be compared with its source"
    for path in site.rglob("*.so"):
        (machine,) = struct.unpack("<18xH", path.read_bytes()[:20])
        if machine != AARCH64:
            yield f"{path} is not for arm64"


def compiled(source: Path) -> Path:
    here = Path(cache_from_source(str(source)))
    return here.with_name(f"{source.stem}.{PYTHON_TAG}.pyc")


def zipped_bytes(folder: Path) -> int:
    """Return the size of a folder's zip, made as `sam package` makes it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in folder.rglob("*"):
            archive.write(path, path.relative_to(folder.parent))
    return file.tell()


def compose_and_call(layer: Path) -> None:
    """Compose each handler, and call each AWS service that the layer knows.

    Raises:
        subprocess.CalledProcessError: something that this takes is not in the layer.
    """
    for name, program in measured(layer):
        if name.endswith(COMPOSED):
            cpu_milliseconds(program)
    environment = {**os.environ, "PYTHONPATH": str(layer)}
    subprocess.run([sys.executable, "-S", CALLS], env=environment, check=True)


def run_a_drop(layer: Path) -> None:
    """Have one image delivered on an embedded stack with this layer."""
    with ScriptedServer() as server:
        ScriptedVendor(server, png())
        with EmbeddedCloud(
            template=Path("template.yaml"),
            parameters={
                "SettleSeconds": "0",
                "FirstCheckSeconds": "1",
                "ApiBaseUrl": server.base_url,
            },
            secrets={"ApiKeySecret": "key"},
            layer=layer,
        ) as cloud:
            bucket = cloud.outputs["InputBucketName"]
            cloud.client("s3").put_object(Bucket=bucket, Key="image.png", Body=png())
            await_delivery(cloud)


if __name__ == "__main__":
    if not LAYER.is_dir():
        sys.exit(77)
    with TemporaryDirectory() as folder:
        layer = built_for_this_machine(Path(folder))
        compose_and_call(layer)
        run_a_drop(layer)
    print(f"{zipped_bytes(LAYER / 'python') / 1e6:.2f} MB zipped")  # noqa: T201 # this is its output
    sys.exit("\n".join(faults(LAYER / "python")) or None)
