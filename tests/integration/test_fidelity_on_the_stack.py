"""A photo on the whole embedded stack is delivered as its spec says, with its metadata."""

import io
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from dropscale.coded_warning import CodedWarning, WarningCode
from dropscale.ledger.states import DropState
from dropscale.results.manifest import Manifest, manifest_key
from dropscale_embedded.api import EmbeddedApi, EntryKind, StubEngine
from dropscale_embedded.cloud import EmbeddedCloud
from tests import originals

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
PARAMETERS = {"SettleSeconds": "0", "FirstCheckSeconds": "1", "PollIntervalCapSeconds": "1"}
DEADLINE_SECONDS = 240.0
P3 = originals.profile("Display P3")
KEY, FIRST, SECOND = "photo.jpg", "photo.jpg@2x.webp", "photo.jpg@2x.jpg"
FIRST_SPEC = b"output: {format: webp}\nskip_if: {min_megapixels: 6.5}"
SECOND_SPEC = b"output: {format: jpeg, quality: 80, metadata: strip}"


@dataclass
class Delivery:
    """What one version of a spec brought."""

    manifest: Manifest
    image: Image.Image


@pytest.fixture(scope="module")
def api() -> Iterator[EmbeddedApi]:
    with EmbeddedApi(engine=StubEngine(0.0)) as running:
        yield running


@pytest.fixture(scope="module")
def deliveries(api: EmbeddedApi) -> dict[str, Delivery]:
    stored = originals.as_stored(originals.in_space(originals.pixels((96, 64)), P3), 6)
    with EmbeddedCloud(
        template=TEMPLATE,
        parameters={**PARAMETERS, "ApiBaseUrl": api.base_url},
        secrets={"ApiKeySecret": api.token},
    ) as cloud:
        s3, inputs = cloud.client("s3"), cloud.outputs["InputBucketName"]
        found = {}
        s3.put_object(Bucket=inputs, Key=f"{KEY}.yaml", Body=FIRST_SPEC)
        s3.put_object(Bucket=inputs, Key=KEY, Body=originals.photo("JPEG", 6, P3, stored))
        found[FIRST] = awaited(cloud, FIRST)
        s3.put_object(Bucket=inputs, Key=f"{KEY}.yaml", Body=SECOND_SPEC)
        found[SECOND] = awaited(cloud, SECOND)
        return found


def awaited(cloud: EmbeddedCloud, output: str) -> Delivery:
    """Return the delivery of an output once its manifest names it."""
    s3, results = cloud.client("s3"), cloud.outputs["ResultsBucketName"]
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        assert time.monotonic() < deadline
        cloud.wait_for_object(1)
        listed = s3.list_objects_v2(Bucket=results).get("Contents", [])
        if not {manifest_key(KEY), output} <= {item["Key"] for item in listed}:
            continue
        body = s3.get_object(Bucket=results, Key=manifest_key(KEY))["Body"].read()
        manifest = Manifest.model_validate_json(body)
        if any(job.output and job.output.key == output for job in manifest.jobs):
            body = s3.get_object(Bucket=results, Key=output)["Body"].read()
            return Delivery(manifest, Image.open(io.BytesIO(body)))


def test_a_photo_is_written_as_its_spec_says_and_keeps_its_metadata(
    deliveries: dict[str, Delivery],
) -> None:
    done = deliveries[FIRST]
    (job,) = done.manifest.jobs
    assert done.manifest.state is DropState.DELIVERED
    message = "webp cannot hold the original's IPTC"
    assert done.manifest.warnings == (CodedWarning(WarningCode.NO_ROOM, message),)
    assert job.output is not None
    assert job.output.delta_e is not None
    assert job.output.delta_e < 1
    assert (done.image.format, done.image.size) == ("WEBP", (192, 128))
    exif = done.image.getexif()
    assert (exif[originals.MAKE], exif[originals.ORIENTATION]) == ("Camera Works", 1)
    assert done.image.info["icc_profile"] == P3


def test_another_form_is_delivered_again_and_nothing_is_paid(
    api: EmbeddedApi, deliveries: dict[str, Delivery]
) -> None:
    done = deliveries[SECOND]
    assert done.manifest.warnings == ()
    assert (done.image.format, done.image.size) == ("JPEG", (192, 128))
    assert not done.image.getexif()
    assert done.image.info["icc_profile"] == P3
    assert len(api.book.entries(EntryKind.CHARGE)) == 1
