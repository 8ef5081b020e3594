"""An execution of the embedded stack, from its start through its wait to the result."""

import json
import time
from typing import Any

from dropscale_embedded.api import EmbeddedApi, StubEngine
from dropscale_embedded.cloud import EmbeddedCloud
from tests.fakes import png
from tests.policies import TEMPLATE

_SECONDS = 120.0


def test_an_event_ends_the_wait_and_its_execution_takes_four_transitions() -> None:
    with (
        EmbeddedApi(engine=StubEngine(seconds=3)) as api,
        EmbeddedCloud(
            template=TEMPLATE,
            parameters={"SettleSeconds": "0", "ApiBaseUrl": api.base_url, "Webhooks": "enabled"},
            secrets={"ApiKeySecret": api.token},
        ) as cloud,
    ):
        secret = api.create_webhook(cloud.outputs["WebhookUrl"])
        cloud.client("secretsmanager").put_secret_value(
            SecretId=cloud.outputs["WebhookSecretArn"], SecretString=secret
        )
        cloud.client("s3").put_object(
            Bucket=cloud.outputs["InputBucketName"], Key="cat.png", Body=png()
        )
        arn, status = ended(cloud)
        history = cloud.client("stepfunctions").get_execution_history(executionArn=arn)["events"]
        rows = cloud.client("dynamodb").scan(TableName=cloud.outputs["LedgerTableName"])["Items"]

    entered = [
        e["stateEnteredEventDetails"]["name"] for e in history if "stateEnteredEventDetails" in e
    ]
    started = json.loads(history[0]["executionStartedEventDetails"]["input"])
    assert (status, entered) == ("SUCCEEDED", ["ChooseByStatus", "AwaitEvent", "Deliver"])
    assert started["wait_seconds"] > 16, "by polling, it would have looked by then"
    assert [row for row in rows if row["sk"]["S"].startswith("waiter#")] == []


def ended(cloud: EmbeddedCloud) -> tuple[str, str]:
    """Return the one execution's ARN and status when it has ended."""
    states, deadline = cloud.client("stepfunctions"), time.monotonic() + _SECONDS
    machine, found = cloud.outputs["StateMachineArn"], list[Any]()
    while not found or found[0]["status"] == "RUNNING":
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
        found = states.list_executions(stateMachineArn=machine)["executions"]
    return found[0]["executionArn"], found[0]["status"]
