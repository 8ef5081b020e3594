"""The listing of the input bucket, as S3 gives it."""

from datetime import UTC, datetime

import boto3
import pytest
from moto import mock_aws

from dropscale.aws.buckets import S3InputBucket
from dropscale.pipeline.parts.ports import ListedObject


def test_pages_come_in_order_after_a_key_and_below_the_prefix(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="input")
        for key in ("drops/b.png", "drops/a.png", "drops/é t.png", "other.png"):
            client.put_object(Bucket="input", Key=key, Body=key.encode())
        bucket = S3InputBucket(client, "drops/")

        def keys(page: list[ListedObject]) -> list[str]:
            return [item.key for item in page]

        first = bucket.page("input", "", 2)
        assert keys(first) == ["drops/a.png", "drops/b.png"]
        assert keys(bucket.page("input", first[-1].key, 2)) == ["drops/é t.png"]
        assert bucket.page("input", "drops/é t.png", 2) == []
        head = bucket.head("input", "drops/a.png")
        assert head is not None
        assert first[0].version == head
        assert abs((datetime.now(UTC) - first[0].modified).total_seconds()) < 60
