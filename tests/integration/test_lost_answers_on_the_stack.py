"""A paid create whose answer is lost, on the embedded stack: an event settles it by itself."""

import json
import time
from typing import Any

from dropscale.results.manifest import manifest_key
from dropscale_embedded.api import EmbeddedApi, EntryKind, StubEngine, parse_fault_plan
from dropscale_embedded.cloud import EmbeddedCloud
from tests.fakes import png
from tests.integration.sweeps import sweeps_every
from tests.policies import TEMPLATE

_SECONDS = 150.0

_PLAN = b"""
rules:
  - {call: create, fault: {kind: reset, moment: after}}
  - {call: webhook, match: image.started, fault: {kind: repeated, times: 4, signed: once}}
  - {call: webhook, match: image.completed, fault: {kind: forged}}
"""


def test_a_lost_create_is_delivered_and_paid_once() -> None:
    plan = parse_fault_plan(_PLAN, "test")
    with (
        sweeps_every(5),
        EmbeddedApi(engine=StubEngine(seconds=2), faults=plan) as api,
        EmbeddedCloud(
            template=TEMPLATE,
            parameters={"SettleSeconds": "0", "ApiBaseUrl": api.base_url, "Webhooks": "enabled"},
            secrets={"ApiKeySecret": api.token},
        ) as cloud,
    ):
        cloud.client("secretsmanager").put_secret_value(
            SecretId=cloud.outputs["WebhookSecretArn"],
            SecretString=api.create_webhook(cloud.outputs["WebhookUrl"]),
        )
        cloud.client("s3").put_object(
            Bucket=cloud.outputs["InputBucketName"], Key="cat.png", Body=png()
        )
        manifest = settled(cloud)
        creates = api.book.entries(EntryKind.CREATE)

    assert manifest["state"] == "delivered", manifest["reason"]
    assert len(creates) == 1


def settled(cloud: EmbeddedCloud) -> dict[str, Any]:
    """Return the manifest of the one drop once it is delivered, or as it is after all the time."""
    s3, deadline = cloud.client("s3"), time.monotonic() + _SECONDS
    where = {"Bucket": cloud.outputs["ResultsBucketName"], "Key": manifest_key("cat.png")}
    manifest: dict[str, Any] = {"state": None}
    while manifest["state"] != "delivered" and time.monotonic() < deadline:
        cloud.wait_for_object(1)
        if s3.list_objects_v2(Bucket=where["Bucket"], Prefix=where["Key"])["KeyCount"]:
            manifest = json.loads(s3.get_object(**where)["Body"].read())
    return manifest
