"""Signed events of the embedded API reach the webhook function of the embedded stack."""

import time
from pathlib import Path

from dropscale_embedded.api import EmbeddedApi, StubEngine
from dropscale_embedded.cloud import EmbeddedCloud
from tests.fakes import png
from tests.policies import TEMPLATE


def test_an_event_reaches_the_function(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with (
        EmbeddedApi(engine=StubEngine(seconds=0)) as api,
        EmbeddedCloud(
            template=TEMPLATE,
            parameters={"SettleSeconds": "0", "ApiBaseUrl": api.base_url, "Webhooks": "enabled"},
            secrets={"ApiKeySecret": api.token},
            log=log,
        ) as cloud,
    ):
        secret = api.create_webhook(cloud.outputs["WebhookUrl"])
        cloud.client("secretsmanager").put_secret_value(
            SecretId=cloud.outputs["WebhookSecretArn"], SecretString=secret
        )
        cloud.client("s3").put_object(
            Bucket=cloud.outputs["InputBucketName"], Key="cat.png", Body=png()
        )
        deadline = time.monotonic() + 60
        while '"kind":"image.completed"' not in log.read_text():
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
