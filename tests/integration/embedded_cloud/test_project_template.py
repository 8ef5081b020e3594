"""The project's template on the embedded cloud, with handlers that only report their input."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from dropscale_embedded.cloud import EmbeddedCloud, UnsupportedTemplateError
from dropscale_embedded.cloud.names import StackContext
from dropscale_embedded.cloud.template import read_template, resolve_template

REPOSITORY = Path(__file__).parents[3]
FUNCTIONS = ("submit", "check", "deliver", "fail", "sweep")

HANDLER = """
import json, os, boto3

def handler(event, context):
    boto3.client("s3").put_object(
        Bucket=os.environ["RESULTS_BUCKET"],
        Key=context.function_name,
        Body=json.dumps({"event": event, "environment": dict(os.environ)}).encode(),
    )
    return {**event, "status": "complete"}
"""


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A copy of the template and its state machine, with handlers of the test's own."""
    (tmp_path / "shared").mkdir()
    for name in FUNCTIONS:
        folder = tmp_path / "functions" / name
        folder.mkdir(parents=True)
        (folder / "app.py").write_text(HANDLER)
    for name in ("template.yaml", "functions/upscale.asl.yaml"):
        (tmp_path / name).write_bytes((REPOSITORY / name).read_bytes())
    return tmp_path / "template.yaml"


def test_a_drop_reaches_submit_and_an_execution_its_end(
    template: Path, eventually: Callable[..., Any]
) -> None:
    parameters = {"SettleSeconds": "0", "ApiBaseUrl": "http://127.0.0.1:9"}
    with EmbeddedCloud(
        template=template, parameters=parameters, secrets={"ApiKeySecret": "hush"}
    ) as cloud:
        s3, states = cloud.client("s3"), cloud.client("stepfunctions")
        results = cloud.outputs["ResultsBucketName"]

        def seen(function: str) -> Any:
            objects = s3.list_objects_v2(Bucket=results).get("Contents", [])
            if f"dropscale-{function}" not in {item["Key"] for item in objects}:
                return None
            return json.load(s3.get_object(Bucket=results, Key=f"dropscale-{function}")["Body"])

        s3.put_object(Bucket=cloud.outputs["InputBucketName"], Key="photos/cat.jpg", Body=b"x")
        sight = eventually(lambda: seen("SubmitFunction"))
        (record,) = sight["event"]["Records"]
        assert json.loads(record["body"])["detail"]["object"]["key"] == "photos/cat.jpg"
        assert sight["environment"]["API_BASE_URL"] == "http://127.0.0.1:9"
        assert sight["environment"]["LEDGER_TABLE"] == cloud.outputs["LedgerTableName"]
        assert sight["environment"]["STATE_MACHINE_ARN"] == cloud.outputs["StateMachineArn"]
        assert eventually(lambda: seen("SweepFunction"))["event"]["source"] == "aws.scheduler"

        execution = states.start_execution(
            stateMachineArn=cloud.outputs["StateMachineArn"],
            name="one",
            input=json.dumps({"drop_id": "d", "wait_seconds": 1}),
        )["executionArn"]
        eventually(
            lambda: states.describe_execution(executionArn=execution)["status"] == "SUCCEEDED"
        )
        assert seen("DeliverFunction")["event"]["drop_id"] == "d"
        secret = cloud.client("secretsmanager").get_secret_value(
            SecretId=cloud.outputs["ApiKeySecretArn"]
        )
        assert secret["SecretString"] == "hush"


@pytest.mark.parametrize("logical_id", ["InputBucket", "DropQueue", "Ledger", "SubmitFunction"])
def test_an_unknown_property_is_refused(template: Path, logical_id: str) -> None:
    read = read_template(template)
    read["Resources"][logical_id]["Properties"]["Novelty"] = True
    template.write_text(yaml.safe_dump(read))
    context = StackContext("dropscale", "us-east-1", "123456789012", "http://127.0.0.1:1")
    with pytest.raises(
        UnsupportedTemplateError, match=rf"Resources\.{logical_id}: property Novelty"
    ):
        resolve_template(read_template(template), {}, context)
