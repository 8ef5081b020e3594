"""Tables that outlive their cloud."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dropscale_embedded.cloud import EmbeddedCloud, InvalidJournalError
from dropscale_embedded.journal import Journal, JournalFailed, RowChange

TABLE = "dropscale-Ledger"


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "template.yaml"
    attributes = ("pk", "sk", "due")
    keys = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]
    index = {
        "IndexName": "due",
        "KeySchema": [{"AttributeName": "due", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "KEYS_ONLY"},
    }
    properties = {
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": name, "AttributeType": "S"} for name in attributes
        ],
        "KeySchema": keys,
        "GlobalSecondaryIndexes": [index],
    }
    table = {"Type": "AWS::DynamoDB::Table", "Properties": properties}
    path.write_text(json.dumps({"Resources": {"Ledger": table}}))
    return path


@pytest.fixture
def opened(template: Path, tmp_path: Path) -> Callable[..., Any]:
    @contextmanager
    def opened(**options: Any) -> Iterator[Any]:
        """The DynamoDB client of a cloud on the one journal."""
        with (
            Journal.opened(tmp_path / "journal.sqlite") as journal,
            EmbeddedCloud(template=template, journal=journal, **options) as cloud,
        ):
            yield cloud.client("dynamodb")

    return opened


def key(name: str) -> dict[str, Any]:
    return {"pk": {"S": name}, "sk": {"S": "row"}}


def rows(dynamodb: Any) -> list[Any]:
    return sorted(dynamodb.scan(TableName=TABLE)["Items"], key=lambda row: row["pk"]["S"])


def write_all_ways(dynamodb: Any, name: str) -> None:
    nested = {"M": {"list": {"L": [{"N": "1"}, {"M": {"none": {"NULL": True}}}]}}}
    dynamodb.put_item(TableName=TABLE, Item={**key(name), "due": {"S": "now"}, "nested": nested})
    dynamodb.put_item(TableName=TABLE, Item=key(f"{name} gone"))
    dynamodb.delete_item(TableName=TABLE, Key=key(f"{name} gone"))
    count = {
        "TableName": TABLE,
        "Key": key("count"),
        "UpdateExpression": "ADD taken :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }
    dynamodb.update_item(**count)
    there = {"TableName": TABLE, "Key": key(name), "ConditionExpression": "attribute_exists(pk)"}
    put = {"TableName": TABLE, "Item": key(f"{name} too")}
    dynamodb.transact_write_items(
        TransactItems=[{"ConditionCheck": there}, {"Put": put}, {"Update": count}]
    )


def test_a_cloud_on_the_same_journal_has_the_same_rows(opened: Callable[..., Any]) -> None:
    with opened() as dynamodb:
        names = [str(number) for number in range(12)]
        with ThreadPoolExecutor(6) as writers:
            list(writers.map(lambda name: write_all_ways(dynamodb, name), names))
        before = rows(dynamodb)
        assert len(before) == 25
        assert before[-1] == {**key("count"), "taken": {"N": "24"}}
    with opened() as dynamodb:
        assert rows(dynamodb) == before
        due = dynamodb.query(
            TableName=TABLE,
            IndexName="due",
            KeyConditionExpression="due = :now",
            ExpressionAttributeValues={":now": {"S": "now"}},
        )
        assert due["Count"] == 12


def test_a_transaction_that_fails_late_changes_nothing_now_or_later(
    opened: Callable[..., Any],
) -> None:
    count = {
        "UpdateExpression": "ADD taken :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }
    there = {"ConditionExpression": "attribute_exists(pk)"}
    with opened() as dynamodb:
        dynamodb.put_item(TableName=TABLE, Item={**key("a"), "taken": {"N": "1"}})
        dynamodb.put_item(TableName=TABLE, Item=key("b"))
        before = rows(dynamodb)
        with pytest.raises(ClientError, match="TransactionCanceled"):
            dynamodb.transact_write_items(
                TransactItems=[
                    {"Update": {"TableName": TABLE, "Key": key("a"), **count}},
                    {"Update": {"TableName": TABLE, "Key": key("new"), **count}},
                    {"Put": {"TableName": TABLE, "Item": {**key("c"), "new": {"S": "c"}}}},
                    {"Delete": {"TableName": TABLE, "Key": key("b")}},
                    {"ConditionCheck": {"TableName": TABLE, "Key": key("d"), **there}},
                ]
            )
        assert rows(dynamodb) == before
    with opened() as dynamodb:
        assert rows(dynamodb) == before


def test_a_write_that_the_journal_does_not_know_is_not_made(opened: Callable[..., Any]) -> None:
    with opened() as dynamodb:
        put = {"PutRequest": {"Item": key("a")}}
        with pytest.raises(ClientError):
            dynamodb.batch_write_item(RequestItems={TABLE: [put]})
        assert rows(dynamodb) == []


def test_nothing_is_answered_once_the_journal_has_failed(template: Path, tmp_path: Path) -> None:
    with (
        Journal.opened(tmp_path / "journal.sqlite") as journal,
        EmbeddedCloud(template=template, journal=journal) as cloud,
    ):
        broken = RowChange("Ledger", {}, {"never": object()})
        with pytest.raises(JournalFailed):
            journal.write([broken])
        dynamodb = cloud.client("dynamodb")
        with pytest.raises(ClientError):
            dynamodb.put_item(TableName=TABLE, Item=key("a"))
        with pytest.raises(ClientError):
            dynamodb.get_item(TableName=TABLE, Key=key("a"))


def test_the_journal_of_another_stack_is_refused(opened: Callable[..., Any]) -> None:
    with opened() as dynamodb:
        dynamodb.put_item(TableName=TABLE, Item=key("a"))
    with pytest.raises(InvalidJournalError, match=TABLE), opened(stack_name="other"):
        pass


def test_all_rows_are_there_before_anything_runs(opened: Callable[..., Any]) -> None:
    with opened() as dynamodb:
        dynamodb.put_item(TableName=TABLE, Item=key("a"))
    seen: list[Any] = []
    with opened(before_events=lambda cloud: seen.extend(rows(cloud.client("dynamodb")))):
        pass
    assert seen == [key("a")]
