"""The input bucket's contract; what only S3 can do to its adapter is at the end."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pytest

from dropscale.aws.buckets import S3InputBucket
from dropscale.ledger.drops import Source
from dropscale.pipeline.parts import ports
from dropscale.pipeline.parts.ports import (
    TAG,
    ObjectGone,
    ObjectOverwritten,
    ObjectVersion,
    TooManyTags,
)
from dropscale.pipeline.reconcile import PAGE
from tests.contract.ports.keys import KEYS
from tests.fakes import FakeInputBucket

IN = "input"
NewBucket = Callable[[str, bool], Any]
versioned_only = pytest.mark.parametrize("is_versioned", [True], ids=["versioned"])


class AnyInputBucket(
    ports.InputBucket, ports.InputListing, ports.Originals, ports.DropTags, Protocol
):
    """All that is asked of an input bucket."""


@dataclass(frozen=True)
class Input:
    """An input bucket, and what people do to it."""

    bucket: AnyInputBucket
    put: Callable[[str, bytes], object]
    delete: Callable[[str], object]
    tag: Callable[[Source, dict[str, str]], object]
    """What the owner does: these tags and no others."""
    tags: Callable[[Source], dict[str, str]]

    def seen(self, key: str) -> ObjectVersion:
        found = self.bucket.head(IN, key)
        assert found is not None
        return found

    def source(self, key: str) -> Source:
        """Return what a drop remembers of the object that it was dropped as."""
        seen = self.seen(key)
        return Source(bucket=IN, key=key, etag=seen.etag, version_id=seen.version_id)

    def original(self, source: Source) -> bytes:
        with self.bucket.open_original(source) as file:
            os.fstat(file.fileno())  # libvips reads by descriptor
            return file.read()


@pytest.fixture
def dropped(where: str, is_versioned: bool, request: pytest.FixtureRequest) -> Input:
    if where == "memory":
        fake = FakeInputBucket(is_versioned=is_versioned)
        return Input(
            fake,
            lambda key, body: fake.put(key, body, datetime.now(UTC)),
            fake.delete,
            lambda source, tags: fake.tags.update({str(source.version_id): tags}),
            lambda source: fake.tags_of(str(source.version_id)),
        )
    client = request.getfixturevalue("new_bucket")(IN, is_versioned)
    return Input(
        S3InputBucket(client),
        lambda key, body: client.put_object(Bucket=IN, Key=key, Body=body),
        lambda key: client.delete_object(Bucket=IN, Key=key),
        lambda source, tags: client.put_object_tagging(
            **version_of(source), Tagging={"TagSet": [{"Key": k, "Value": tags[k]} for k in tags]}
        ),
        lambda source: {
            tag["Key"]: tag["Value"]
            for tag in client.get_object_tagging(**version_of(source))["TagSet"]
        },
    )


def version_of(source: Source) -> dict[str, str]:
    return {"Bucket": IN, "Key": source.key, "VersionId": str(source.version_id)}


def test_objects_are_found_read_and_listed_by_their_keys(
    dropped: Input, is_versioned: bool
) -> None:
    for key in KEYS:
        dropped.put(key, f"is {key}".encode())

    for key in KEYS:
        seen, whole = dropped.seen(key), f"is {key}".encode()
        with dropped.bucket.open(IN, key, seen.etag) as opened:
            assert opened.version == seen
            assert opened.sha256 == hashlib.sha256(whole).hexdigest()
            assert opened.file.read() == whole
            opened.file.seek(3)
            assert opened.file.read() == key.encode()
        assert (seen.size, seen.version_id is not None) == (len(whole), is_versioned)
        assert dropped.bucket.read(IN, key, 100) == whole
        assert dropped.bucket.read(IN, key, 2) == b"is"
        assert dropped.original(dropped.source(key)) == whole
    listed = dropped.bucket.page(IN, "", PAGE)
    assert {item.key: (item.version.etag, item.version.size) for item in listed} == {
        key: (dropped.seen(key).etag, dropped.seen(key).size) for key in KEYS
    }
    for item in listed:
        assert abs((datetime.now(UTC) - item.modified).total_seconds()) < 60
        told = dropped.seen(item.key).modified
        assert told is not None
        assert abs(item.modified - told) < timedelta(seconds=1)  # else each walk finds it new


def test_an_empty_object_is_an_object(dropped: Input) -> None:
    dropped.put("empty.yaml", b"")

    seen = dropped.seen("empty.yaml")
    with dropped.bucket.open(IN, "empty.yaml", seen.etag) as opened:
        assert (opened.file.read(), opened.version.size) == (b"", 0)
    assert dropped.bucket.read(IN, "empty.yaml", 10) == b""


@pytest.mark.parametrize("is_deleted", [True, False], ids=["deleted", "never there"])
def test_a_missing_object_is_none_or_gone(dropped: Input, is_deleted: bool) -> None:
    dropped.put("other.png", b"body")
    for key in KEYS:
        if is_deleted:
            dropped.put(key, b"body")
            dropped.delete(key)
        gone = Source(bucket=IN, key=key, etag=dropped.seen("other.png").etag)

        assert dropped.bucket.head(IN, key) is None
        assert dropped.bucket.read(IN, key, 10) is None
        with pytest.raises(ObjectGone), dropped.bucket.open(IN, key, gone.etag):
            pass
        with pytest.raises(ObjectGone):
            dropped.original(gone)
    assert [item.key for item in dropped.bucket.page(IN, "", 10)] == ["other.png"]


def test_a_read_notices_that_the_object_is_not_the_one_that_was_looked_at(dropped: Input) -> None:
    dropped.put("cat.png", b"first")
    first = dropped.seen("cat.png")
    latest = Source(bucket=IN, key="cat.png", etag=first.etag)
    dropped.put("cat.png", b"second")

    assert dropped.seen("cat.png").etag != first.etag
    with pytest.raises(ObjectOverwritten), dropped.bucket.open(IN, "cat.png", first.etag):
        pass
    with pytest.raises(ObjectOverwritten):
        dropped.original(latest)


def test_the_same_bytes_again_differ_only_by_version(dropped: Input, is_versioned: bool) -> None:
    dropped.put("cat.png", b"same")
    first = dropped.seen("cat.png")
    dropped.put("cat.png", b"same")
    second = dropped.seen("cat.png")

    assert second.etag == first.etag
    assert (second.version_id != first.version_id) is is_versioned
    with dropped.bucket.open(IN, "cat.png", first.etag) as opened:
        assert opened.version == second


@versioned_only
def test_an_original_is_read_by_its_version_whatever_became_of_its_key(dropped: Input) -> None:
    for key in KEYS:
        dropped.put(key, b"first")
        first = dropped.source(key)
        dropped.put(key, b"second")
        second = dropped.source(key)
        dropped.delete(key)

        assert (dropped.original(first), dropped.original(second)) == (b"first", b"second")
        with pytest.raises(ObjectOverwritten):
            dropped.original(first.model_copy(update={"etag": second.etag}))


@versioned_only
def test_a_version_gets_one_tag_and_keeps_its_owners(dropped: Input) -> None:
    owners = {"project": "Ünï 1+1=2", "empty": ""}
    for key in KEYS:
        dropped.put(key, b"first")
        first = dropped.source(key)
        dropped.put(key, b"second")
        second = dropped.source(key)
        dropped.tag(first, owners)

        for value, adds, expected in (
            ("open", False, None),
            ("delivered", True, "delivered"),
            ("delivered", True, "delivered"),
            ("open", False, "open"),
            ("failed", True, "failed"),
        ):
            dropped.bucket.set_tag(first, str(first.version_id), value, adds=adds)
            assert dropped.tags(first) == owners | ({TAG: expected} if expected else {})
        assert dropped.tags(second) == {}
        dropped.delete(key)
        dropped.bucket.set_tag(second, str(second.version_id), "delivered", adds=True)
        assert dropped.tags(second) == {TAG: "delivered"}
        assert dropped.bucket.head(IN, key) is None


@versioned_only
def test_there_is_no_eleventh_tag(dropped: Input) -> None:
    dropped.put("cat.png", b"body")
    source = dropped.source("cat.png")
    nine = {f"t{number}": str(number) for number in range(9)}
    dropped.tag(source, nine)
    version_id = str(source.version_id)
    dropped.bucket.set_tag(source, version_id, "delivered", adds=True)
    dropped.bucket.set_tag(source, version_id, "failed", adds=True)
    assert dropped.tags(source) == nine | {TAG: "failed"}

    ten = nine | {"t9": "9"}
    dropped.tag(source, ten)
    with pytest.raises(TooManyTags):
        dropped.bucket.set_tag(source, version_id, "delivered", adds=True)
    dropped.bucket.set_tag(source, version_id, "open", adds=False)
    assert dropped.tags(source) == ten


@versioned_only
def test_a_version_that_is_not_there_has_no_tags(dropped: Input) -> None:
    dropped.put("cat.png", b"body")
    with pytest.raises(ObjectGone):
        dropped.bucket.set_tag(dropped.source("cat.png"), "none-such", "delivered", adds=True)


def test_a_listing_is_in_key_order_and_continues_after_any_key(dropped: Input) -> None:
    keys = ["B.png", "a.png", "a/b.png", "é.png", "ﬁ.png", "🐈.png"]
    for key in reversed(keys):
        dropped.put(key, b"body")

    def listed(after: str, limit: int) -> list[str]:
        return [item.key for item in dropped.bucket.page(IN, after, limit)]

    assert listed("", PAGE) == keys
    assert listed("", 2) == keys[:2]
    assert listed(keys[1], 2) == keys[2:4]
    assert listed("a.zzz", 2) == keys[2:4]
    assert listed(keys[-1], 2) == []


def test_an_input_bucket_sees_nothing_that_is_not_below_its_prefix(
    new_bucket: NewBucket,
) -> None:
    client = new_bucket(IN, False)
    for key in ("drops/a.png", "drops/b.png", "other.png", "zebra.png"):
        client.put_object(Bucket=IN, Key=key, Body=b"body")
    bucket = S3InputBucket(client, "drops/")
    seen = bucket.head(IN, "drops/a.png")
    assert seen is not None

    assert [item.key for item in bucket.page(IN, "", 10)] == ["drops/a.png", "drops/b.png"]
    assert bucket.head(IN, "other.png") is None
    assert bucket.read(IN, "other.png", 10) is None
    with pytest.raises(ObjectGone), bucket.open(IN, "other.png", seen.etag):
        pass


def test_an_original_whose_version_was_deleted_for_good_is_gone(new_bucket: NewBucket) -> None:
    client = new_bucket(IN, True)
    put = client.put_object(Bucket=IN, Key="cat.png", Body=b"first")
    source = Source(
        bucket=IN, key="cat.png", etag=put["ETag"].strip('"'), version_id=put["VersionId"]
    )
    client.delete_object(Bucket=IN, Key="cat.png", VersionId=put["VersionId"])

    with pytest.raises(ObjectGone), S3InputBucket(client).open_original(source):
        pass


def test_a_listing_is_asked_for_no_more_than_s3_gives_at_once() -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html: up to 1,000."""
    assert PAGE <= 1000
