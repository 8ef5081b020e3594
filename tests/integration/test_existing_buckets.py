"""The stack on buckets that exist already, with prefixes, beside what others keep there."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from dropscale_embedded.api import EmbeddedApi, EntryKind, StubEngine
from dropscale_embedded.cloud import EmbeddedCloud, InvalidParameterError
from tests.aws_calls.call_log import Permission
from tests.fakes import png
from tests.policies import Policies

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
BUCKETS = {"ExistingInputBucket": "their-photos", "ExistingResultsBucket": "their-results"}
PREFIXES = {"InputPrefix": "team/drops/", "ResultsPrefix": "up/scaled/"}
MANIFEST = "up/scaled/team/drops/a.png.dropscale.json"
DEADLINE_SECONDS = 240.0


def make_buckets(cloud: EmbeddedCloud) -> None:
    s3 = cloud.client("s3")
    for bucket in BUCKETS.values():
        s3.create_bucket(Bucket=bucket)
    s3.put_bucket_notification_configuration(
        Bucket="their-photos", NotificationConfiguration={"EventBridgeConfiguration": {}}
    )


def keys(cloud: EmbeddedCloud) -> set[str]:
    found = cloud.client("s3").list_objects_v2(Bucket="their-results")
    return {item["Key"] for item in found.get("Contents", [])}


def test_drops_below_the_prefix_come_out_below_the_other() -> None:
    with (
        EmbeddedApi(engine=StubEngine(0)) as api,
        EmbeddedCloud(
            template=TEMPLATE,
            parameters={
                **BUCKETS,
                **PREFIXES,
                "SettleSeconds": "0",
                "FirstCheckSeconds": "1",
                "ApiBaseUrl": api.base_url,
            },
            secrets={"ApiKeySecret": api.token},
            before_events=make_buckets,
        ) as cloud,
    ):
        s3 = cloud.client("s3")
        assert cloud.outputs["DropCommand"] == "aws s3 cp photo.jpg s3://their-photos/team/drops/"
        for key in ("team/holiday.png", "other.png", "team/drops/a.png"):
            s3.put_object(Bucket="their-photos", Key=key, Body=png())
        deadline = time.monotonic() + DEADLINE_SECONDS
        manifest: dict[str, Any] = {}
        while manifest.get("state") != "delivered":
            assert time.monotonic() < deadline, (keys(cloud), manifest)
            cloud.wait_for_object(1)
            if MANIFEST in keys(cloud):
                found = s3.get_object(Bucket="their-results", Key=MANIFEST)
                manifest = json.load(found["Body"])
        assert keys(cloud) == {MANIFEST, "up/scaled/team/drops/a.png@2x.png"}
        (job,) = manifest["jobs"]
        assert job["output"]["key"] == "team/drops/a.png@2x.png"
        assert len(api.book.entries(EntryKind.CREATE)) == 1


@pytest.mark.parametrize(
    ("action", "resource", "is_allowed"),
    [
        ("s3:GetObject", "their-photos/team/drops/a.png", True),
        ("s3:GetObject", "their-photos/team/holiday.png", False),
        ("s3:PutObject", "their-photos/team/drops/a.png", False),
        ("s3:PutObject", "their-results/up/scaled/a.png", True),
        ("s3:PutObject", "their-results/a.png", False),
    ],
)
def test_nothing_else_in_them_is_allowed(action: str, resource: str, is_allowed: bool) -> None:
    statements = Policies(BUCKETS | PREFIXES).of_function("SubmitFunction")
    needed = Permission(action, f"arn:aws:s3:::{resource}")

    assert any(statement.allows(needed) for statement in statements) is is_allowed


def test_one_bucket_for_both_is_refused() -> None:
    one = {"ExistingInputBucket": "theirs", "ExistingResultsBucket": "theirs"}
    with (
        pytest.raises(InvalidParameterError, match="must be different buckets"),
        EmbeddedCloud(template=TEMPLATE, parameters=one),
    ):
        pass
