"""Bad and odd drops, all at once on the whole embedded stack: each gets its own outcome.

What happens between submit's look at an object and its read cannot be forced on the stack; it is
tested on the fakes' World; tests/contract/ports/ tests the read itself.
"""

import hashlib
import io
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dropscale.ledger.states import DropState
from dropscale.results.manifest import Manifest, manifest_key
from dropscale.upscaler import MAX_SIDE
from dropscale_embedded.api import Book, EmbeddedApi, EntryKind, StubEngine
from dropscale_embedded.cloud import EmbeddedCloud
from tests import heic, originals
from tests.fakes import FakeInputBucket, png
from tests.world import World

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
PARAMETERS = {
    "SettleSeconds": "0",
    "FirstCheckSeconds": "1",
    "PollIntervalCapSeconds": "1",
    "MaxConcurrentJobs": "100",
    "SubmitConcurrency": "2",
}
DEADLINE_SECONDS = 240.0
SIZE = (12, 8)
ORIENTATION_TAG, ROTATED = 0x0112, 6


def picture(image_format: str, mode: str = "RGB", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new(mode, SIZE).save(file, image_format, **options)
    return file.getvalue()


def rotated() -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = ROTATED
    return picture("JPEG", exif=exif)


FRAMES: dict[str, Any] = {"save_all": True, "append_images": [Image.new("RGB", SIZE, "red")]}
ODD_PICTURES = {
    "cmyk.jpg": picture("JPEG", "CMYK"),
    "16-bit.png": picture("PNG", "I;16"),
    "animated.png": picture("PNG", **FRAMES),
    "animated.webp": picture("WEBP", **FRAMES),
    "rotated.jpg": rotated(),
    "rotated.heic": heic.photo(originals.pixels(SIZE), heic.irot(1)),
    "a-bmp-by-content.png": originals.encoded(originals.pixels(SIZE), "BMP"),
}

LONGEST_KEY = "é" * 510 + ".png"
ODD_KEYS = (
    "with space.png",
    "one+one.png",
    "100%.png",
    "a%2Fb.png",
    "\"double\" 'single'.png",
    "🐈/été.png",
    "/leading.png",
    "a/../b.png",
    "../up.png",
    "back\\slash.png",
    "question?#hash&=.png",
    LONGEST_KEY,
)
ODD_KEY_PICTURES = {key: png(*SIZE, shade) for shade, key in enumerate(ODD_KEYS)}

EMPTY_SIDECAR = "empty-sidecar.png"
OVERWRITTEN, DELETED, TWIN = "overwritten.png", "deleted.png", "twin.png"
GOOD = {
    **ODD_PICTURES,
    **ODD_KEY_PICTURES,
    EMPTY_SIDECAR: png(*SIZE, 101),
    OVERWRITTEN: png(*SIZE, 102),
    TWIN: ODD_KEY_PICTURES[ODD_KEYS[0]],
}
BAD_IMAGES = {
    "not-an-image.jpg": (b"<html>not an image</html>", "NotAnImage"),
    "empty.png": (b"", "EmptyImage"),
    "a-gif-by-content.jpg": (b"GIF89a....", "UnsupportedImage"),
    "raw.NEF": (b"II*\0\x08\0\0\0", "UnsupportedImage"),
    "cut-off-header.png": (png()[:20], "DamagedImage"),
    "too-wide.png": (png(MAX_SIDE + 1, 1), "ImageTooLarge"),
    "too-high.png": (png(1, MAX_SIDE + 1), "ImageTooLarge"),
}
DAMAGED_BODY = "cut-off-body.png"
BAD_SIDECARS = {
    "no-yaml.png.yaml": (b"a: [", "the [ that opens here is never closed"),
    "a-list.png.json": (b"[2]", "must be a mapping"),
    "too-long.png.yml": (b"#" * (64 * 1024 + 1), "larger than a spec can be"),
    "no-text.png.yaml": (b"\xff\xfe\x00", "is UTF-16"),
}
SIDECARS = {f"{EMPTY_SIDECAR}.yaml": b""} | {key: text for key, (text, _) in BAD_SIDECARS.items()}
IGNORED = ("notes.txt", "no-extension", "folder/", "folder.png/")

DROPPED = {
    # Before the images, so that each of these finds its sidecar.
    **SIDECARS,
    **dict.fromkeys(IGNORED, b""),
    **GOOD,
    **{key: body for key, (body, _) in BAD_IMAGES.items()},
    **{key.rpartition(".")[0]: png(*SIZE, 103) for key in BAD_SIDECARS},
    DAMAGED_BODY: png(*SIZE, 104)[:50],
}
EXPECTED = DROPPED.keys() - SIDECARS.keys() - set(IGNORED) | {DELETED}


@dataclass(frozen=True)
class Aftermath:
    """What the stack holds once nothing moves any more; manifests by the drops' keys."""

    manifests: dict[str, Manifest]
    result_keys: set[str]
    messages: dict[str, int]
    log: str
    book: Book

    def said_of(self, key: str) -> list[dict[str, Any]]:
        """Return what the functions' log says of one object."""
        lines = [line for line in self.log.splitlines() if line.startswith("{")]
        return [entry for entry in map(json.loads, lines) if entry.get("key") == key]


@pytest.fixture(scope="module")
def log_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "cloud.log"


@pytest.fixture(scope="module")
def api() -> Iterator[EmbeddedApi]:
    with EmbeddedApi(engine=StubEngine(0)) as running:
        yield running


@pytest.fixture(scope="module")
def cloud(api: EmbeddedApi, log_path: Path) -> Iterator[EmbeddedCloud]:
    with EmbeddedCloud(
        template=TEMPLATE,
        parameters={**PARAMETERS, "ApiBaseUrl": api.base_url},
        secrets={"ApiKeySecret": api.token},
        log=log_path,
    ) as running:
        yield running


@pytest.fixture(scope="module")
def aftermath(api: EmbeddedApi, cloud: EmbeddedCloud, log_path: Path) -> Aftermath:
    s3, bucket = cloud.client("s3"), cloud.outputs["InputBucketName"]
    with events_withheld(cloud):
        for key in (OVERWRITTEN, DELETED):
            s3.put_object(Bucket=bucket, Key=key, Body=png(*SIZE, 105))
        s3.delete_object(Bucket=bucket, Key=DELETED)
    for key, body in DROPPED.items():
        s3.put_object(Bucket=bucket, Key=key, Body=body)
    for key in (OVERWRITTEN, DELETED):
        send_event(cloud, bucket, key)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while is_moving(cloud):
        assert time.monotonic() < deadline, f"still moving: {messages(cloud)}"
        time.sleep(0.3)
    objects = results(cloud)
    return Aftermath(
        manifests={
            key: Manifest.model_validate_json(objects[manifest_key(key)])
            for key in EXPECTED
            if manifest_key(key) in objects
        },
        result_keys=set(objects),
        messages=messages(cloud),
        log=log_path.read_text(),
        book=api.book,
    )


@contextmanager
def events_withheld(cloud: EmbeddedCloud) -> Iterator[None]:
    events = cloud.client("events")
    (rule,) = events.list_rules()["Rules"]
    events.disable_rule(Name=rule["Name"])
    yield
    events.enable_rule(Name=rule["Name"])


def send_event(cloud: EmbeddedCloud, bucket: str, key: str) -> None:
    """Send submit, late, the event of the first object at the key."""
    event = {"detail": {"bucket": {"name": bucket}, "object": {"key": key}}}
    cloud.client("sqs").send_message(
        QueueUrl=cloud.outputs["DropQueueUrl"], MessageBody=json.dumps(event)
    )


def is_moving(cloud: EmbeddedCloud) -> bool:
    """Return whether a message or an execution is under way; messages first: they start executions.

    What failed in submit hides in the queue for minutes, and so counts as under way.
    """
    if waiting(cloud, cloud.outputs["DropQueueUrl"]):
        return True
    running = cloud.client("stepfunctions").list_executions(
        stateMachineArn=cloud.outputs["StateMachineArn"], statusFilter="RUNNING"
    )
    return bool(running["executions"])


def messages(cloud: EmbeddedCloud) -> dict[str, int]:
    """Return how many messages each queue holds, hidden ones included."""
    return {url: waiting(cloud, url) for url in cloud.client("sqs").list_queues()["QueueUrls"]}


def waiting(cloud: EmbeddedCloud, url: str) -> int:
    """Return how many messages a queue holds, hidden ones included."""
    found = cloud.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    attributes = found["Attributes"].items()
    return sum(int(n) for name, n in attributes if name.startswith("ApproximateNumber"))


def results(cloud: EmbeddedCloud) -> dict[str, bytes]:
    s3, bucket = cloud.client("s3"), cloud.outputs["ResultsBucketName"]
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
    return {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


@pytest.mark.parametrize("key", sorted(GOOD))
def test_what_can_be_upscaled_is_delivered_at_its_size(aftermath: Aftermath, key: str) -> None:
    manifest = aftermath.manifests[key]
    assert (manifest.state, manifest.reason) == (DropState.DELIVERED, None)
    told = ["AnimationLost"] if key.startswith("animated.") else []
    assert [warning.code for warning in manifest.warnings] == told
    assert manifest.source.key == key
    (job,) = manifest.jobs
    assert job.output is not None
    assert job.output.key in aftermath.result_keys
    upright = SIZE[::-1] if key.startswith("rotated.") else SIZE
    assert (job.output.width, job.output.height) == tuple(2 * side for side in upright)


def test_no_two_drops_share_an_output(aftermath: Aftermath) -> None:
    manifests = aftermath.manifests.values()
    outputs = [job.output.key for manifest in manifests for job in manifest.jobs if job.output]
    assert len(set(outputs)) == len(outputs) == len(GOOD)


@pytest.mark.parametrize("key", sorted(BAD_IMAGES))
def test_a_bad_image_is_rejected_with_a_way_out(aftermath: Aftermath, key: str) -> None:
    manifest = aftermath.manifests[key]
    assert (manifest.state, manifest.jobs) == (DropState.REJECTED, ())
    assert manifest.reason is not None
    assert manifest.reason.code == BAD_IMAGES[key][1]
    assert key in manifest.reason.message
    assert manifest.reason.fix


def test_damage_that_only_the_vendor_sees_costs_nothing(aftermath: Aftermath) -> None:
    manifest = aftermath.manifests[DAMAGED_BODY]
    assert manifest.state is DropState.FAILED
    assert manifest.reason is not None
    assert manifest.reason.code == "invalid_file_format"
    assert "export it again" in manifest.reason.fix
    (job,) = manifest.jobs
    assert job.credits_charged == 0
    refunded = [entry.project_id for entry in aftermath.book.entries(EntryKind.REFUND)]
    assert refunded == [job.project_id]


@pytest.mark.parametrize("sidecar", sorted(BAD_SIDECARS))
def test_a_bad_sidecar_rejects_its_image_by_name(aftermath: Aftermath, sidecar: str) -> None:
    manifest = aftermath.manifests[sidecar.rpartition(".")[0]]
    assert (manifest.state, manifest.jobs) == (DropState.REJECTED, ())
    assert manifest.reason is not None
    assert manifest.reason.code == "SpecInvalid"
    assert manifest.reason.message.startswith(f"{sidecar}:")
    assert BAD_SIDECARS[sidecar][1] in manifest.reason.message


@pytest.mark.parametrize("key", IGNORED)
def test_a_key_that_is_not_an_image_is_ignored_and_logged(aftermath: Aftermath, key: str) -> None:
    assert [entry["outcome"] for entry in aftermath.said_of(key)] == ["ignored"]
    assert manifest_key(key) not in aftermath.result_keys


def test_an_object_overwritten_before_its_event_is_paid_as_it_is_now(aftermath: Aftermath) -> None:
    manifest = aftermath.manifests[OVERWRITTEN]
    assert manifest.source.sha256 == hashlib.sha256(GOOD[OVERWRITTEN]).hexdigest()
    assert len(manifest.jobs) == 1


def test_an_object_deleted_before_its_event_ends_canceled(aftermath: Aftermath) -> None:
    manifest = aftermath.manifests[DELETED]
    assert (manifest.state, manifest.jobs) == (DropState.CANCELED, ())
    assert manifest.reason is not None
    assert manifest.reason.code == "SourceGone"


def test_each_distinct_job_is_charged_once(aftermath: Aftermath) -> None:
    manifests = aftermath.manifests
    fingerprints = {job.fingerprint for manifest in manifests.values() for job in manifest.jobs}
    assert manifests[TWIN].jobs[0].fingerprint == manifests[ODD_KEYS[0]].jobs[0].fingerprint
    assert len(fingerprints) == len(GOOD) - 1 + len([DAMAGED_BODY])
    assert len(aftermath.book.entries(EntryKind.CREATE)) == len(fingerprints)
    assert len(aftermath.book.entries(EntryKind.CHARGE)) == len(fingerprints)


def test_every_drop_has_a_manifest_and_nothing_else_is_in_the_results(
    aftermath: Aftermath,
) -> None:
    manifest_keys = {manifest_key(key) for key in EXPECTED}
    assert manifest_keys <= aftermath.result_keys
    assert len(aftermath.result_keys) == len(EXPECTED) + len(GOOD)
    assert all(len(key.encode()) <= 1024 for key in aftermath.result_keys)


def test_nothing_is_left_in_a_queue(aftermath: Aftermath) -> None:
    assert set(aftermath.messages.values()) == {0}
    assert len(aftermath.messages) == 3


def test_no_function_failed(aftermath: Aftermath) -> None:
    assert '"level":"INFO"' in aftermath.log
    for trouble in ('"level":"ERROR"', '"level":"CRITICAL"', "Traceback", "dropscale_embedded"):
        assert trouble not in aftermath.log


def test_an_image_deleted_between_look_and_read_ends_canceled() -> None:
    world = World()
    world.put("cat.png", png())
    world.bucket.before_open = world.bucket.objects.clear
    world.submit("cat.png")

    manifest = world.manifest("cat.png")
    assert (manifest["state"], manifest["reason"]["code"]) == ("canceled", "SourceGone")
    assert world.upscaler.uploads == []


class LimitedBucket(FakeInputBucket):
    """Refuses keys as S3 does, where moto answers that there is no such object."""

    def read(self, bucket: str, key: str, limit: int) -> bytes | None:
        assert len(key.encode()) <= 1024, "KeyTooLongError"
        return super().read(bucket, key, limit)


def test_no_sidecar_is_looked_for_at_a_key_that_s3_refuses() -> None:
    world = World(bucket=LimitedBucket())
    world.drop(LONGEST_KEY, png())

    assert world.row(LONGEST_KEY).state is DropState.SUBMITTED
