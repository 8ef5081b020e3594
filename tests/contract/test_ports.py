"""Buckets, executions and queue keep one contract, in memory for tests and on AWS.

What only AWS can do to an adapter is at the end.
"""

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any, Protocol

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from dropscale.aws.buckets import S3InputBucket, S3ResultsBucket
from dropscale.aws.drop_queue import SqsDropQueue
from dropscale.aws.executions import StepFunctionsExecutions
from dropscale.ledger.records import Source
from dropscale.pipeline import ports
from dropscale.pipeline.ports import (
    DropQueue,
    Executions,
    ExecutionStatus,
    ObjectGone,
    ObjectOverwritten,
    ObjectVersion,
    OutputLabels,
    ResultsBucket,
)
from dropscale.pipeline.reconcile import PAGE
from functions.submit.app import _created
from tests.fakes import FakeExecutions, FakeInputBucket, FakeQueue, FakeResults

IN = "input"
KEYS = (
    "photos/cat.png",
    "é t/Ünï 🐈.png",
    "one + one.png",
    "100%.png",
    "a%2Fb%20c.png",
    "\"double\" 'single'.png",
    "question?#hash&=.png",
    "/leading//twice.png",
    "a/../b.png",
)
versioned_only = pytest.mark.parametrize("is_versioned", [True], ids=["versioned"])

LABELS = OutputLabels(fingerprint="f" * 64, drop_id="d" * 64, sha256="5" * 64)
OTHER = OutputLabels(fingerprint="0" * 64, drop_id="d" * 64, sha256="6" * 64)
FOREIGN = OutputLabels(None, None, None)


@pytest.fixture(params=["memory", "aws"])
def where(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture(params=[False, True], ids=["unversioned", "versioned"])
def is_versioned(request: pytest.FixtureRequest) -> bool:
    found: bool = request.param
    return found


@cache  # to make one takes longer than most tests
def client_of(service: str) -> Any:
    secret = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    return boto3.client(service, region_name="us-east-1", **secret)  # type: ignore[call-overload]


@pytest.fixture
def aws() -> Iterator[Callable[[str], Any]]:
    with mock_aws():
        yield client_of


def new_bucket(aws: Callable[[str], Any], name: str, is_versioned: bool) -> Any:
    """Make a bucket; return a client of S3."""
    client = aws("s3")
    client.create_bucket(Bucket=name)
    if is_versioned:
        versioning = {"Status": "Enabled"}
        client.put_bucket_versioning(Bucket=name, VersioningConfiguration=versioning)
    return client


class AnyInputBucket(ports.InputBucket, ports.InputListing, ports.Originals, Protocol):
    """All that is asked of an input bucket."""


@dataclass(frozen=True)
class Input:
    """An input bucket, and what people do to it."""

    bucket: AnyInputBucket
    put: Callable[[str, bytes], object]
    delete: Callable[[str], object]

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
        return Input(fake, lambda key, body: fake.put(key, body, datetime.now(UTC)), fake.delete)
    client = new_bucket(request.getfixturevalue("aws"), IN, is_versioned)
    return Input(
        S3InputBucket(client),
        lambda key, body: client.put_object(Bucket=IN, Key=key, Body=body),
        lambda key: client.delete_object(Bucket=IN, Key=key),
    )


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


def test_an_empty_object_is_an_object(dropped: Input) -> None:
    dropped.put("empty.yaml", b"")

    seen = dropped.seen("empty.yaml")
    with dropped.bucket.open(IN, "empty.yaml", seen.etag) as opened:
        assert (opened.file.read(), opened.version.size) == (b"", 0)
    assert dropped.bucket.read(IN, "empty.yaml", 10) == b""


@pytest.mark.parametrize("is_deleted", [True, False], ids=["deleted", "never there"])
def test_an_object_that_is_not_there_is_none_or_gone(dropped: Input, is_deleted: bool) -> None:
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


def test_the_same_bytes_again_can_be_told_apart_by_their_version_only(
    dropped: Input, is_versioned: bool
) -> None:
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


def test_a_listing_is_in_the_order_of_keys_and_goes_on_after_any_key(dropped: Input) -> None:
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
    client = new_bucket(request.getfixturevalue("aws"), "results", is_versioned)
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


def test_a_foreign_object_at_a_manifests_key_is_older_than_every_manifest(results: Results) -> None:
    results.put("a.json", b"theirs")

    seq, etag = results.bucket.manifest("a.json") or (None, None)

    assert seq == 0
    assert results.bucket.put_manifest("a.json", b"{}", 1, etag)


@dataclass(frozen=True)
class Machine:
    """The executions, and what becomes of them."""

    executions: Executions
    end: Callable[[str], object]
    input_of: Callable[[str], Any]


@pytest.fixture
def machine(where: str, request: pytest.FixtureRequest) -> Machine:
    if where == "memory":
        fake = FakeExecutions()
        return Machine(fake, fake.ended.add, fake.started.get)
    client = request.getfixturevalue("aws")("stepfunctions")
    made = client.create_state_machine(
        name="dropscale-upscale",
        definition=json.dumps({"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}),
        roleArn="arn:aws:iam::123456789012:role/machine",
    )
    arn: str = made["stateMachineArn"]
    execution = arn.replace(":stateMachine:", ":execution:")
    return Machine(
        StepFunctionsExecutions(client, arn),
        lambda name: client.stop_execution(executionArn=f"{execution}:{name}"),
        lambda name: json.loads(
            client.describe_execution(executionArn=f"{execution}:{name}")["input"]
        ),
    )


STATE = {"key": "é t/cat + 1.png", "wait_seconds": 20, "error": None}


def test_an_execution_never_was_then_runs_then_has_ended(machine: Machine) -> None:
    executions = machine.executions
    assert executions.status("one") is ExecutionStatus.NONE

    executions.start("one", STATE)
    executions.start("other", STATE)
    assert executions.status("one") is ExecutionStatus.RUNNING
    assert machine.input_of("one") == STATE
    machine.end("one")

    assert executions.status("one") is ExecutionStatus.ENDED
    assert executions.status("other") is ExecutionStatus.RUNNING
    assert executions.status("third") is ExecutionStatus.NONE


@pytest.mark.parametrize("again", [STATE, {**STATE, "wait_seconds": 30}], ids=["same", "other"])
@pytest.mark.parametrize("has_ended", [False, True], ids=["running", "ended"])
def test_an_execution_that_was_started_before_is_left_alone(
    machine: Machine, again: dict[str, Any], has_ended: bool
) -> None:
    machine.executions.start("one", STATE)
    if has_ended:
        machine.end("one")
    before = machine.executions.status("one")

    machine.executions.start("one", again)

    assert machine.executions.status("one") is before
    assert machine.input_of("one") == STATE


def test_a_started_execution_keeps_what_it_was_started_with(machine: Machine) -> None:
    state = {"nested": {"wait_seconds": 20}}
    machine.executions.start("one", state)
    state["nested"]["wait_seconds"] = 30

    assert machine.input_of("one") == {"nested": {"wait_seconds": 20}}
    with pytest.raises(TypeError):
        machine.executions.start("two", {"at": datetime.now(UTC)})
    assert machine.executions.status("two") is ExecutionStatus.NONE


@dataclass(frozen=True)
class Queue:
    """The queue, and the objects that submit finds in what it holds."""

    queue: DropQueue
    received: Callable[[], list[tuple[str, str]]]


@pytest.fixture
def queue(where: str, request: pytest.FixtureRequest) -> Queue:
    if where == "memory":
        fake = FakeQueue()
        return Queue(fake, lambda: [(IN, key) for key in fake.keys])
    client = request.getfixturevalue("aws")("sqs")
    url = client.create_queue(QueueName="drops")["QueueUrl"]

    def received() -> list[tuple[str, str]]:
        found = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        bodies = [json.loads(message["Body"]) for message in found.get("Messages", [])]
        return [created for body in bodies for created in _created(body)]

    return Queue(SqsDropQueue(client, url), received)


def test_submit_is_told_of_every_object_that_was_sent(queue: Queue) -> None:
    for key in (*KEYS, KEYS[0]):
        queue.queue.send(IN, key, ObjectVersion("etag", "version", 5))

    assert sorted(queue.received()) == sorted((IN, key) for key in (*KEYS, KEYS[0]))


# ---- What only AWS can do to an adapter.


def test_an_input_bucket_sees_nothing_that_is_not_below_its_prefix(
    aws: Callable[[str], Any],
) -> None:
    client = new_bucket(aws, IN, is_versioned=False)
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


def test_an_original_whose_version_was_deleted_for_good_is_gone(aws: Callable[[str], Any]) -> None:
    client = new_bucket(aws, IN, is_versioned=True)
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


@pytest.mark.parametrize(("conflicts", "is_written"), [(2, True), (3, False)])
def test_a_write_that_meets_another_one_is_tried_again_whole(
    aws: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, conflicts: int, is_written: bool
) -> None:
    client = new_bucket(aws, "results", is_versioned=True)
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
