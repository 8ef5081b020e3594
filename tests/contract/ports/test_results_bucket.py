"""The results bucket's contract; what only S3 can do to its adapter is at the end."""

import hashlib
import io
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dropscale.aws import buckets
from dropscale.aws.buckets import S3ResultsBucket
from dropscale.ledger.drops import STEPS_OF_ROW
from dropscale.pipeline.parts.ports import ObjectGone, OutputLabels, ResultsBucket
from tests.contract.ports.keys import KEYS
from tests.fakes import FakeResults

NewBucket = Callable[[str, bool], Any]
LABELS = OutputLabels(fingerprint="f" * 64, drop_id="d" * 64, sha256="5" * 64)
OTHER = OutputLabels(fingerprint="0" * 64, drop_id="d" * 64, sha256="6" * 64)
FOREIGN = OutputLabels(None, None, None)


@dataclass(frozen=True)
class Results:
    """A results bucket, and what others do to it."""

    bucket: ResultsBucket
    put: Callable[[str, bytes], object]
    delete: Callable[[str], object]

    def write(
        self, body: bytes, over: str | None, key: str = "cat@2x.png", labels: OutputLabels = LABELS
    ) -> bool:
        return self.bucket.put_output(key, io.BytesIO(body), "png", labels, over)

    def etag(self, key: str = "cat@2x.png") -> str | None:
        found = self.bucket.describe_output(key)
        return found.etag if found else None

    def body(self, key: str = "cat@2x.png") -> bytes:
        file = io.BytesIO()
        assert self.bucket.read_output(key, file) == len(file.getvalue())
        return file.getvalue()


@pytest.fixture
def results(where: str, is_versioned: bool, request: pytest.FixtureRequest) -> Results:
    if where == "memory":
        fake = FakeResults()
        return Results(fake, fake.put, fake.delete)
    client = request.getfixturevalue("new_bucket")("results", is_versioned)
    return Results(
        S3ResultsBucket(client, "results", "up/scaled/"),
        lambda key, body: client.put_object(Bucket="results", Key=f"up/scaled/{key}", Body=body),
        lambda key: client.delete_object(Bucket="results", Key=f"up/scaled/{key}"),
    )


def test_outputs_are_what_was_written_with_their_labels(results: Results) -> None:
    for key in KEYS:
        assert results.write(key.encode(), None, key, replace(LABELS, sha256=key[::-1][:4]))

    for key in KEYS:
        found = results.bucket.describe_output(key)
        assert found is not None
        assert found.labels == replace(LABELS, sha256=key[::-1][:4])
        assert results.body(key) == key.encode()


def test_all_objects_under_the_prefix_are_listed(results: Results) -> None:
    assert results.write(b"output", None)
    assert list(results.bucket.all_keys()) == ["cat@2x.png"]
    assert not results.bucket.may_hold_manifests()
    key = "cat.png.dropscale.json"
    assert results.bucket.put_manifest(key, b"{}", 1, None)
    assert list(results.bucket.all_keys()) == [key, "cat@2x.png"]
    assert results.bucket.may_hold_manifests()
    assert results.body(key) == b"{}"


def test_an_output_tells_its_project_and_the_bucket_its_checksum(results: Results) -> None:
    labels = replace(LABELS, project_id="project-1")
    assert results.write(b"output", None, labels=labels)

    found = results.bucket.describe_output("cat@2x.png")
    assert found is not None
    assert found.labels.project_id == "project-1"
    assert found.sha256 == hashlib.sha256(b"output").hexdigest()


def test_an_output_may_say_less_of_itself(results: Results) -> None:
    labels = OutputLabels(fingerprint="f" * 64, drop_id=None, sha256=None)
    assert results.write(b"output", None, labels=labels)

    found = results.bucket.describe_output("cat@2x.png")
    assert found is not None
    assert found.labels == labels


def test_what_is_not_there_cannot_be_described_read_or_replaced(results: Results) -> None:
    assert results.write(b"output", None, "other.png")
    over = results.etag("other.png")
    for key in KEYS:
        with pytest.raises(ObjectGone):
            results.body(key)
        assert not results.write(b"output", over, key)
        assert not results.bucket.put_manifest(key, b"{}", 2, over)
        assert results.bucket.describe_output(key) is None
        assert results.bucket.manifest(key) is None


def test_an_output_is_written_over_nothing_but_what_was_seen(results: Results) -> None:
    assert results.write(b"first", None)
    first = results.etag()
    assert not results.write(b"late", None)
    assert results.body() == b"first"
    assert results.write(b"second", first, labels=OTHER)
    for over in (first, None):
        assert not results.write(b"late", over)

    found = results.bucket.describe_output("cat@2x.png")
    assert found is not None
    assert (results.body(), found.labels) == (b"second", OTHER)


def test_a_deleted_output_makes_room_for_a_new_one_only(results: Results) -> None:
    assert results.write(b"first", None)
    first = results.etag()
    results.delete("cat@2x.png")

    assert results.etag() is None
    with pytest.raises(ObjectGone):
        results.body()
    assert not results.write(b"late", first)
    assert results.write(b"second", None)
    assert results.body() == b"second"


def test_a_foreign_object_has_no_labels_and_is_replaced_only_on_purpose(results: Results) -> None:
    results.put("cat@2x.png", b"theirs")

    found = results.bucket.describe_output("cat@2x.png")
    assert found is not None
    assert found.labels == FOREIGN
    assert not results.write(b"ours", None)
    assert results.body() == b"theirs"
    assert results.write(b"ours", found.etag)


def test_a_manifest_is_written_over_nothing_but_what_was_seen(results: Results) -> None:
    for key in KEYS:
        put = partial(results.bucket.put_manifest, key)
        assert put(b'{"seq": 1}', 1, None)
        seq, first = results.bucket.manifest(key) or (0, None)
        assert seq == 1
        assert not put(b'{"late": 1}', 2, None)
        assert put(b'{"seq": 3}', 3, first)
        for over in (first, None):
            assert not put(b'{"late": 2}', 2, over)

        seq, second = results.bucket.manifest(key) or (0, None)
        assert (seq, second != first) == (3, True)
        results.delete(key)
        assert results.bucket.manifest(key) is None
        assert not put(b"{}", 4, second)
        assert put(b"{}", 4, None)


def test_a_manifest_is_of_one_row_and_step(results: Results) -> None:
    rank = 1_800_000_000 * STEPS_OF_ROW + 7
    assert results.bucket.put_manifest("a.json", b"{}", rank, None)
    assert (results.bucket.manifest("a.json") or (0, ""))[0] == rank


def test_a_foreign_object_at_a_manifests_key_is_older_than_every_manifest(results: Results) -> None:
    results.put("a.json", b"theirs")

    seq, etag = results.bucket.manifest("a.json") or (None, None)

    assert seq == 0
    assert results.bucket.put_manifest("a.json", b"{}", 1, etag)


@pytest.mark.parametrize(("conflicts", "is_written"), [(2, True), (3, False)])
def test_a_write_that_meets_another_one_is_tried_again_whole(
    new_bucket: NewBucket, monkeypatch: pytest.MonkeyPatch, conflicts: int, is_written: bool
) -> None:
    client = new_bucket("results", True)
    put_object, refusals = client.put_object, ["ConditionalRequestConflict"] * conflicts

    def contended(*, Body: io.BytesIO, **options: Any) -> Any:  # noqa: N803 # S3's name
        if refusals:
            Body.read()
            raise ClientError({"Error": {"Code": refusals.pop()}}, "PutObject")
        return put_object(Body=Body, **options)

    monkeypatch.setattr(client, "put_object", contended)
    results = Results(S3ResultsBucket(client, "results"), lambda *_: None, lambda _: None)

    outcome = nullcontext() if is_written else pytest.raises(ClientError, match="RequestConflict")
    with outcome:
        assert results.write(b"output", None)
    assert (results.etag() is not None) is is_written
    if is_written:
        assert results.body() == b"output"


def test_more_keys_than_are_looked_through_may_hold_a_manifest(
    new_bucket: NewBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = new_bucket("results", False)
    for number in range(3):
        client.put_object(Bucket="results", Key=f"theirs-{number}", Body=b"")
    bucket = S3ResultsBucket(client, "results")
    assert not bucket.may_hold_manifests()

    list_objects = client.list_objects_v2
    monkeypatch.setattr(buckets, "_PAGES_LOOKED_THROUGH", 2)
    monkeypatch.setattr(client, "list_objects_v2", lambda **o: list_objects(**o, MaxKeys=1))
    assert bucket.may_hold_manifests()
