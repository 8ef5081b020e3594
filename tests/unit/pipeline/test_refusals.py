"""Permanent refusals by S3 are reported immediately, with the right fix; others are tried again."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dropscale.aws.buckets import S3InputBucket
from dropscale.errors import DropscaleError
from dropscale.pipeline.parts.refusals import AccessDenied, ObjectArchived
from tests.fakes import png
from tests.world import World

KEY = "a b.png"
_USER = "User: arn:aws:sts::111122223333:assumed-role/stack-SubmitRole/stack-Submit"
_STORED = "The object was stored using a form of Server Side Encryption. The correct parameters ..."
REFUSALS = {
    "policy": (
        ("AccessDenied", f'{_USER} is not authorized to perform: s3:GetObject on resource: "x"'),
        "AccessDenied",
        "stack-SubmitRole may not s3:GetObject",
    ),
    "policy without words": (("AccessDenied", "Access Denied"), "AccessDenied", "s3:GetObject"),
    "kms": (
        ("AccessDenied", f"{_USER} is not authorized to perform: kms:Decrypt on resource: y"),
        "AccessDenied",
        "may not kms:Decrypt",
    ),
    "disabled key": (("KMS.DisabledException", "the key is disabled"), "AccessDenied", "disabled"),
    "glacier": (("InvalidObjectState", "not valid"), "ObjectArchived", "in Glacier"),
    "SSE-C": (("InvalidRequest", _STORED), "ObjectEncrypted", "SSE-C"),
    "requester pays": (
        ("AccessDenied", "Bucket is requester pays bucket but no requester pays header present."),
        "RequesterPays",
        "requester-pays",
    ),
}


class RefusingS3:
    """Answers as S3 does: a HEAD without words, a GET with them."""

    def __init__(self, code: str, message: str = "") -> None:
        self.code, self.message = code, message

    def head_object(self, **_: Any) -> dict[str, Any]:
        status = "400" if self.code == "InvalidRequest" else "403"
        status = self.code if self.code in {"500", "503"} else status
        raise ClientError({"Error": {"Code": status, "Message": "Forbidden"}}, "HeadObject")

    def get_object(self, **_: Any) -> dict[str, Any]:
        raise ClientError({"Error": {"Code": self.code, "Message": self.message}}, "GetObject")


@pytest.mark.parametrize("name", REFUSALS)
def test_each_refusal_is_known_by_a_head_and_by_a_get(name: str) -> None:
    answer, error_name, words = REFUSALS[name]
    client: Any = RefusingS3(*answer)
    bucket = S3InputBucket(client)

    def open_object() -> object:
        with bucket.open("in", KEY, "etag") as opened:
            return opened

    looks: list[Callable[[], object]] = [
        lambda: bucket.head("in", KEY),
        lambda: bucket.read("in", KEY, 1),
        open_object,
    ]
    for look in looks:
        with pytest.raises(DropscaleError) as caught:
            look()
        assert type(caught.value).__name__ == error_name
        assert words in caught.value.message
        assert caught.value.fix


@pytest.mark.parametrize("code", ["SlowDown", "500", "503", "InternalError"])
def test_what_s3_says_for_now_only_stays_what_it_is(code: str) -> None:
    client: Any = RefusingS3(code)
    with pytest.raises(ClientError):
        S3InputBucket(client).read("in", KEY, 1)
    with pytest.raises(ClientError):
        S3InputBucket(client).head("in", KEY)


CHANGED = datetime(2026, 11, 29, tzinfo=UTC)


@pytest.mark.parametrize(
    ("head", "is_archived"),
    [
        ({"StorageClass": "GLACIER"}, True),
        ({"StorageClass": "DEEP_ARCHIVE", "Restore": 'ongoing-request="true"'}, True),
        ({"StorageClass": "GLACIER", "Restore": 'ongoing-request="false", expiry="x"'}, False),
        ({"StorageClass": "GLACIER_IR"}, False),
        ({"StorageClass": "INTELLIGENT_TIERING"}, False),
        ({"StorageClass": "INTELLIGENT_TIERING", "ArchiveStatus": "ARCHIVE_ACCESS"}, True),
    ],
)
def test_an_archive_is_known_by_a_head(head: dict[str, str], is_archived: bool) -> None:
    class Storage:
        def head_object(self, **_: Any) -> dict[str, Any]:
            return {"ETag": '"e"', "ContentLength": 1, "LastModified": CHANGED, **head}

    client: Any = Storage()
    refused = None
    try:
        S3InputBucket(client).head("in", KEY)
    except ObjectArchived as error:
        refused = error
    assert (refused is not None) is is_archived
    if refused is not None:
        assert "--key 'a b.png'" in refused.fix


DENIED = AccessDenied("denied", fix="Allow it.")


@pytest.mark.parametrize("denied", ["cat.png", "cat.png.yaml"])
def test_a_denied_drop_waits_and_is_looked_at_each_hour(world: World, denied: str) -> None:
    world.put("cat.png.yaml", "scale_factor: 4")
    world.bucket.refusals[denied] = DENIED
    world.drop("cat.png", png())
    manifest = world.manifest("cat.png")
    assert (manifest["state"], manifest["waiting_for"]) == ("waiting", "access")
    assert manifest["reason"]["fix"] == "Allow it."

    for _ in range(2):
        world.sweep(minutes=30)
        assert world.queue.keys == []
        world.sweep(minutes=31)
        assert world.queue.keys == ["cat.png"]
        world.queue.keys.clear()
        world.submit("cat.png")
        world.sweep(minutes=2)  # the manifest that tells until when it waits

    world.bucket.refusals.clear()
    world.submit("cat.png")
    assert world.manifest("cat.png")["state"] == "submitted"
    world.pass_hours(3)
    assert world.queue.keys == []
    assert len(world.upscaler.creates) == 1


def test_a_drop_that_waits_for_access_keeps_its_share_of_a_job(world: World) -> None:
    world.set_slots(0)
    world.drop("cat.png", png())
    world.bucket.refusals["cat.png"] = DENIED
    world.submit("cat.png")
    assert world.manifest("cat.png")["waiting_for"] == "access"

    world.set_slots(3)
    world.sweep(minutes=2)

    assert len(world.upscaler.creates) == 1


@pytest.mark.parametrize("error", [DENIED, ObjectArchived("archived", fix="Restore it.")])
def test_what_is_paid_goes_on_whatever_s3_says_later(world: World, error: DropscaleError) -> None:
    world.drop("cat.png", png())
    world.bucket.refusals["cat.png"] = error
    before = world.row("cat.png")
    world.submit("cat.png")
    assert world.row("cat.png") == before


def test_an_archived_drop_is_rejected_and_can_be_retried(world: World) -> None:
    world.bucket.refusals["cat.png"] = ObjectArchived("archived", fix="Restore it.")
    world.drop("cat.png", png())
    assert world.manifest("cat.png")["state"] == "rejected"

    world.bucket.refusals.clear()
    assert world.retry("cat.png")
    world.submit("cat.png")
    assert world.manifest("cat.png")["state"] == "submitted"


def test_a_job_that_needs_its_image_again_does_not_stop_the_sweep(world: World) -> None:
    world.set_slots(0)
    world.drop("cat.png", png())
    world.bucket.refusals["cat.png"] = DENIED
    world.sweep(days=7)
    assert world.queue.keys == ["cat.png"]
