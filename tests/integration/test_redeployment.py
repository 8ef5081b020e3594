"""The stack is deleted and deployed again, with its buckets and with or without its ledger."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dropscale_cli.errors import LedgerUnchanged
from dropscale_cli.stacks.aws_target import AwsTarget
from dropscale_cli.stacks.ledger import rebuild_ledger, take_over
from dropscale_embedded.api import EmbeddedApi, EntryKind, StubEngine
from dropscale_embedded.cloud import EmbeddedCloud
from tests.fakes import png

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
BUCKETS = {"ExistingInputBucket": "their-photos", "ExistingResultsBucket": "their-results"}
TABLE = "old-ledger"
DEADLINE_SECONDS = 240.0


@dataclass(frozen=True)
class Kept:
    """What outlives a stack: the objects of its results bucket, and its table."""

    objects: dict[str, tuple[bytes, dict[str, str]]]
    table: dict[str, Any]
    rows: list[dict[str, Any]]


def kept(cloud: EmbeddedCloud) -> Kept:
    s3, dynamodb = cloud.client("s3"), cloud.client("dynamodb")
    objects = {}
    for item in s3.list_objects_v2(Bucket="their-results").get("Contents", []):
        found = s3.get_object(Bucket="their-results", Key=item["Key"])
        objects[item["Key"]] = (found["Body"].read(), found["Metadata"])
    name = cloud.outputs["LedgerTableName"]
    told = dynamodb.describe_table(TableName=name)["Table"]
    index = told["GlobalSecondaryIndexes"][0]
    table = {
        "BillingMode": "PAY_PER_REQUEST",
        **{name: told[name] for name in ("AttributeDefinitions", "KeySchema")},
        "GlobalSecondaryIndexes": [
            {name: index[name] for name in ("IndexName", "KeySchema", "Projection")}
        ],
    }
    return Kept(objects, table, dynamodb.scan(TableName=name)["Items"])


@contextmanager
def deployed(
    api: EmbeddedApi, stack: str, before: Kept | None = None, **parameters: str
) -> Iterator[EmbeddedCloud]:
    def make(cloud: EmbeddedCloud) -> None:
        s3, dynamodb = cloud.client("s3"), cloud.client("dynamodb")
        for bucket in BUCKETS.values():
            s3.create_bucket(Bucket=bucket)
        s3.put_bucket_notification_configuration(
            Bucket="their-photos", NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
        if before is None:
            return
        for key, (body, metadata) in before.objects.items():
            s3.put_object(Bucket="their-results", Key=key, Body=body, Metadata=metadata)
        if "ExistingLedger" in parameters:
            dynamodb.create_table(TableName=TABLE, **before.table)
            for row in before.rows:
                dynamodb.put_item(TableName=TABLE, Item=row)

    quick = {"SettleSeconds": "0", "FirstCheckSeconds": "1", "ApiBaseUrl": api.base_url}
    with EmbeddedCloud(
        template=TEMPLATE,
        parameters=BUCKETS | quick | parameters,
        secrets={"ApiKeySecret": api.token},
        stack_name=stack,
        before_events=make,
    ) as cloud:
        yield cloud


def drop(cloud: EmbeddedCloud, key: str, body: bytes) -> None:
    cloud.client("s3").put_object(Bucket="their-photos", Key=key, Body=body)


def awaited(
    cloud: EmbeddedCloud, key: str, is_there: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """Return the manifest of an image, once it says something."""
    s3, name = cloud.client("s3"), f"{key}.dropscale.json"
    deadline = time.monotonic() + DEADLINE_SECONDS
    manifest: dict[str, Any] = {}
    while not (manifest and is_there(manifest)):
        assert time.monotonic() < deadline, manifest
        cloud.wait_for_object(1)
        listed = s3.list_objects_v2(Bucket="their-results", Prefix=name).get("Contents", [])
        if listed:
            manifest = json.load(s3.get_object(Bucket="their-results", Key=name)["Body"])
    return manifest


def is_delivered(manifest: dict[str, Any]) -> bool:
    return bool(manifest["state"] == "delivered")


def target_of(cloud: EmbeddedCloud) -> AwsTarget:
    return AwsTarget.of_stack(cloud.client, cloud.outputs, cloud.parameters)


def creates(api: EmbeddedApi) -> int:
    return len(api.book.entries(EntryKind.CREATE))


@pytest.fixture(scope="module")
def api() -> Iterator[EmbeddedApi]:
    with EmbeddedApi(engine=StubEngine(0)) as running:
        yield running


@pytest.fixture(scope="module")
def before(api: EmbeddedApi) -> Kept:
    """What a first stack leaves, which has delivered one image."""
    with deployed(api, "first") as cloud:
        drop(cloud, "cat.png", png())
        awaited(cloud, "cat.png", is_delivered)
        assert creates(api) == 1
        return kept(cloud)


@pytest.mark.parametrize("keeps_ledger", [True, False], ids=["ExistingLedger", "rebuilt"])
def test_nothing_is_paid_twice(api: EmbeddedApi, before: Kept, keeps_ledger: bool) -> None:
    given = {"ExistingLedger": TABLE} if keeps_ledger else {}
    paid = creates(api)
    with deployed(api, "second", before, **given) as cloud:
        drop(cloud, "dog.png", png(shade=9))
        drop(cloud, "cat.png", png())
        waiting = awaited(cloud, "dog.png", lambda told: bool(told["waiting_for"]))
        code = "LedgerOwnedByAnother" if keeps_ledger else "LedgerNotRebuilt"
        assert (waiting["waiting_for"], waiting["reason"]["code"]) == ("ledger", code)
        assert creates(api) == paid

        target = target_of(cloud)
        if keeps_ledger:
            with pytest.raises(LedgerUnchanged, match="--yes"):
                take_over(target, "second", is_agreed=False)
            with pytest.raises(LedgerUnchanged, match="take-over"):
                rebuild_ledger(target, declines=False, is_agreed=True)
            take_over(target, "second", is_agreed=True)
        else:
            assert rebuild_ledger(target, declines=False, is_agreed=False) == 0
        for key, body in (("copy.png", png()), ("cat.png", png()), ("dog.png", png(shade=9))):
            drop(cloud, key, body)
            awaited(cloud, key, is_delivered)
        after = kept(cloud).objects
        assert after["copy.png@2x.png"][0] == before.objects["cat.png@2x.png"][0]
    assert creates(api) == paid + 1


def test_declining_pays_again(api: EmbeddedApi, before: Kept) -> None:
    old = json.loads(before.objects["cat.png.dropscale.json"][0])
    paid = creates(api)
    with deployed(api, "second", before) as cloud:
        with pytest.raises(LedgerUnchanged, match="paid for again"):
            rebuild_ledger(target_of(cloud), declines=True, is_agreed=False)
        assert rebuild_ledger(target_of(cloud), declines=True, is_agreed=True) == 0
        drop(cloud, "cat.png", png())
        new = awaited(cloud, "cat.png", lambda told: told != old and is_delivered(told))
        assert new["jobs"][0]["project_id"] != old["jobs"][0]["project_id"]
    assert creates(api) == paid + 1
