"""What doctor says of a table that is given as a ledger."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from dropscale_cli.stacks.aws_target import AwsTarget
from dropscale_cli.stacks.ledger import table_faults

KEY = "arn:aws:kms:eu-west-1:123456789012:key/one"


def keys(partition: str, sort: str) -> list[dict[str, str]]:
    return [
        {"KeyType": "HASH", "AttributeName": partition},
        {"KeyType": "RANGE", "AttributeName": sort},
    ]


def index(**facts: Any) -> dict[str, Any]:
    sweep = {"IndexName": "sweep", "KeySchema": keys("sweep", "sweep_at"), "IndexStatus": "ACTIVE"}
    return sweep | facts


def faults(kms_key_arn: str = "", **facts: Any) -> list[str]:
    table = {
        "KeySchema": keys("pk", "sk"),
        "TableStatus": "ACTIVE",
        "GlobalSecondaryIndexes": [index()],
        **facts,
    }
    dynamodb = SimpleNamespace(describe_table=lambda **_: {"Table": table})
    settings = SimpleNamespace(ledger_table="ledger", kms_key_arn=kms_key_arn)
    target = SimpleNamespace(client=lambda _: dynamodb, settings=settings)
    return list(table_faults(cast(AwsTarget, target)))


def test_a_ledger_has_no_faults() -> None:
    assert faults() == []
    assert faults(KEY, SSEDescription={"KMSMasterKeyArn": KEY}) == []


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"KeySchema": keys("id", "sk")}, "keys"),
        ({"GlobalSecondaryIndexes": []}, "no index named sweep"),
        ({"GlobalSecondaryIndexes": [index(KeySchema=keys("sweep", "due"))]}, "index sweep has"),
        ({"GlobalSecondaryIndexes": [index(IndexStatus="CREATING")]}, "CREATING"),
        ({"TableStatus": "ARCHIVED"}, "ARCHIVED"),
        ({"SSEDescription": {"InaccessibleEncryptionDateTime": 1}}, "cannot be used"),
        ({"SSEDescription": {"KMSMasterKeyArn": f"{KEY}-before"}}, "KmsKeyArn is another"),
    ],
    ids=str,
)
def test_what_keeps_a_table_from_being_one_is_named(facts: dict[str, Any], words: str) -> None:
    (fault,) = faults(KEY, **facts)
    assert words in fault
