"""Folder specs, renditions, named outputs and specs that stand alone, on the embedded stack."""

import io
import time
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from dropscale.ledger.states import DropState
from dropscale.magichour import Client
from dropscale.results.manifest import Manifest, manifest_key
from dropscale_embedded.api import EmbeddedApi, EntryKind, StubEngine
from dropscale_embedded.cloud import EmbeddedCloud
from tests.fakes import png
from tests.originals import encoded, pixels

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
SETTLE_SECONDS = 3
PARAMETERS = {
    "SettleSeconds": str(SETTLE_SECONDS),
    "FirstCheckSeconds": "1",
    "PollIntervalCapSeconds": "1",
    "MaxConcurrentJobs": "100",
}
DEADLINE_SECONDS = 240.0

FOLDER_SPEC = b"""
skip_if: {min_width: 500, min_megapixels: 0.0005}
renditions: [{style: {mode: preserve}}, {scale_factor: 4}]
"""
NAMES = b"""
renditions:
- output: {format: png, name: "{stem}-master{ext}"}
- output: {format: jpeg, name: "{stem}{ext}"}
"""
SIDECAR = b"name: Cat\nrenditions: [{style: {mode: creative}}]"
OF_ONE_IMAGE: dict[str, Any] = {
    "timeline": True,
    "seq": True,
    "source": {"etag", "sha256", "version_id", "modified", "bytes"},
    "jobs": {"__all__": {"fingerprint": True, "project_id": True, "output": {"sha256", "bytes"}}},
}
"""What tells one image's manifest from another's that is made alike."""

ORDERS = {f"order-{number}": order for number, order in enumerate(permutations(range(3)))}


def objects(folder: str, shade: int) -> list[tuple[str, bytes]]:
    """An image, its sidecar and its folder's spec."""
    return [
        (f"{folder}/cat.png", png(shade=shade)),
        (f"{folder}/cat.png.yaml", SIDECAR),
        (f"{folder}/dropscale.yaml", FOLDER_SPEC),
    ]


@pytest.fixture(scope="module")
def api() -> Iterator[EmbeddedApi]:
    with EmbeddedApi(engine=StubEngine(0)) as running:
        yield running


@pytest.fixture(scope="module")
def manifests(api: EmbeddedApi) -> Iterator[dict[str, Manifest]]:
    with EmbeddedCloud(
        template=TEMPLATE,
        parameters={**PARAMETERS, "ApiBaseUrl": api.base_url},
        secrets={"ApiKeySecret": api.token},
    ) as cloud:
        s3, inputs = cloud.client("s3"), cloud.outputs["InputBucketName"]
        files = Client(token=api.token, base_url=api.base_url).v1.files
        uploaded = files.upload_file(io.BytesIO(png(shade=200)), "png")
        dropped = {
            "twice/dropscale.yaml": FOLDER_SPEC,
            "twice/below/cat.png": png(shade=100),
            "twice/large.png": png(500, 2, shade=101),
            "named/dropscale.yaml": NAMES,
            "named/cat.jpg": encoded(pixels((8, 6)), "JPEG"),
            "named/cat.png": png(shade=103),
            "job.yaml": f"assets: {{image_file_path: {uploaded}}}".encode(),
            "package.json": b'{"name": "another tool\'s"}',
        }
        for shade, (folder, order) in enumerate(ORDERS.items()):
            laid = objects(folder, shade)
            dropped |= dict(laid[index] for index in order)
        for key, body in dropped.items():
            s3.put_object(Bucket=inputs, Key=key, Body=body)
        expected = {"twice/below/cat.png", "twice/large.png", "job.yaml"}
        expected |= {"named/cat.jpg", "named/cat.png"}
        expected |= {f"{folder}/cat.png" for folder in ORDERS}
        yield awaited(cloud, expected)


def awaited(cloud: EmbeddedCloud, keys: set[str]) -> dict[str, Manifest]:
    """Return the manifests of drops once all of them are settled."""
    s3, results = cloud.client("s3"), cloud.outputs["ResultsBucketName"]
    deadline = time.monotonic() + DEADLINE_SECONDS
    found: dict[str, Manifest] = {}
    while keys != found.keys():
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
        there = {item["Key"] for item in s3.list_objects_v2(Bucket=results).get("Contents", [])}
        for key in keys - found.keys():
            if manifest_key(key) in there:
                body = s3.get_object(Bucket=results, Key=manifest_key(key))["Body"].read()
                manifest = Manifest.model_validate_json(body)
                if manifest.is_settled:
                    found[key] = manifest
    return found


def test_an_image_has_as_many_results_as_its_folder_says(manifests: dict[str, Manifest]) -> None:
    manifest = manifests["twice/below/cat.png"]
    assert manifest.state is DropState.DELIVERED
    assert [job.output and job.output.key for job in manifest.jobs] == [
        "twice/below/cat.png@2x-preserve.png",
        "twice/below/cat.png@4x.png",
    ]


def test_one_upscale_gives_two_files_and_an_image_that_would_have_their_names_is_rejected(
    manifests: dict[str, Manifest],
) -> None:
    both = [manifests["named/cat.jpg"], manifests["named/cat.png"]]
    (won,) = (one for one in both if one.state is DropState.DELIVERED)
    (lost,) = (one for one in both if one.state is DropState.REJECTED)

    keys = ["named/cat-master.png", "named/cat.jpg"]
    assert [job.output and job.output.key for job in won.jobs] == keys
    assert [job.credits_charged for job in won.jobs] == [50, None]
    assert lost.reason is not None
    assert (lost.reason.code, lost.jobs) == ("OutputNameTaken", ())
    assert {"named/cat.jpg", "named/cat.png"} <= set(lost.reason.message.split())


def test_a_large_image_is_skipped(manifests: dict[str, Manifest]) -> None:
    manifest = manifests["twice/large.png"]
    assert (manifest.state, manifest.jobs) == (DropState.SKIPPED, ())


def test_a_spec_that_stands_alone_is_delivered(manifests: dict[str, Manifest]) -> None:
    manifest = manifests["job.yaml"]
    assert manifest.state is DropState.DELIVERED
    assert manifest.source.image_path is not None
    assert manifest.source.image_path.startswith("api-assets/")
    (job,) = manifest.jobs
    assert job.output is not None
    assert (job.output.key, job.output.width) == ("job.yaml@2x.png", 16)


@pytest.mark.parametrize("folder", ORDERS)
def test_every_order_within_the_settle_time_gives_the_same(
    folder: str, manifests: dict[str, Manifest]
) -> None:
    def told(name: str) -> str:
        manifest = manifests[f"{name}/cat.png"]
        return manifest.model_dump_json(exclude=OF_ONE_IMAGE).replace(name, "")

    assert manifests[f"{folder}/cat.png"].state is DropState.DELIVERED
    assert told(folder) == told("order-0")


def test_each_job_is_charged_once(api: EmbeddedApi, manifests: dict[str, Manifest]) -> None:
    jobs = {job.fingerprint for manifest in manifests.values() for job in manifest.jobs}
    assert len(api.book.entries(EntryKind.CHARGE)) == len(jobs) == 2 + 1 + 1 + len(ORDERS)
