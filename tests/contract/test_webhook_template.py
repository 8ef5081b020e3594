"""The public URL exists only if it is wanted, and its function may do little."""

from typing import Any

import pytest

from dropscale_embedded.cloud.names import StackContext
from dropscale_embedded.cloud.template import Stack, read_template, resolve_template
from tests.aws_calls.call_log import Permission
from tests.contract.test_template import RESOURCES
from tests.policies import TEMPLATE, Policies, transformed

CONTEXT = StackContext("dropscale", "us-east-1", "123456789012", "http://127.0.0.1:1")
FUNCTION = {"Ref": "WebhookFunction"}
TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/dropscale-Ledger"


def resolved(**parameters: str) -> Stack:
    return resolve_template(read_template(TEMPLATE), parameters, CONTEXT)


def of_the_url(resource_type: str) -> list[dict[str, Any]]:
    found = [one for one in transformed()["Resources"].values() if one["Type"] == resource_type]
    assert {one["Condition"] for one in found} == {"HasWebhooks"}
    return [one["Properties"] for one in found]


def test_without_webhooks_there_is_none_of_it() -> None:
    enabled, disabled = resolved(Webhooks="enabled"), resolved()
    conditional = {name for name, one in RESOURCES.items() if one.get("Condition") == "HasWebhooks"}

    assert enabled.resources.keys() - disabled.resources.keys() == conditional
    assert not [name for name in {*disabled.resources, *disabled.outputs} if "Webhook" in name]
    assert not [one for one in Policies().of_function("CheckFunction") if one.sid == "Wake"]


def test_a_url_for_anybody_without_cors_and_with_both_permissions() -> None:
    """Both are needed since October 2025: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html."""
    assert of_the_url("AWS::Lambda::Url") == [{"TargetFunctionArn": FUNCTION, "AuthType": "NONE"}]
    permissions = {one.pop("Action"): one for one in of_the_url("AWS::Lambda::Permission")}
    for_anybody = {"FunctionName": FUNCTION, "Principal": "*"}
    assert permissions == {
        "lambda:InvokeFunctionUrl": {**for_anybody, "FunctionUrlAuthType": "NONE"},
        "lambda:InvokeFunction": {**for_anybody, "InvokedViaFunctionUrl": True},
    }


@pytest.mark.parametrize(("given", "reserved"), [("0", None), ("7", "7")])
def test_concurrency_is_reserved_only_if_asked_for(given: str, reserved: str | None) -> None:
    stack = resolved(Webhooks="enabled", WebhookConcurrency=given, ReservedConcurrency="9")
    functions = {one.logical_id: one.properties for one in stack.resources.values()}

    assert functions["WebhookFunction"].get("ReservedConcurrentExecutions") == reserved
    assert functions["CheckFunction"]["ReservedConcurrentExecutions"] == "9"


def test_its_role_reads_one_secret_and_can_neither_start_nor_settle_a_job() -> None:
    statements = Policies({"Webhooks": "enabled"}).of_function("WebhookFunction")
    secrets = [
        one.resources for one in statements if "secretsmanager:GetSecretValue" in one.actions
    ]
    assert [len(one) for one in secrets] == [1]
    assert secrets[0][0].endswith(":secret:dropscale-WebhookSecret")

    def may(action: str, row: str, *attributes: str) -> bool:
        needed = Permission(f"dynamodb:{action}", TABLE, row, attributes)
        return any(one.allows(needed) for one in statements)

    assert may("UpdateItem", "job#", "seq", "hints", "due")
    assert may("GetItem", "attempt#")
    for name in ("state", "attempt_id", "project_id", "orphans", "credits_charged"):
        assert not may("UpdateItem", "job#", "seq", name), name
    for row in ("slots", "budget#", "gate", "drop#", "owner", "project#", ""):
        assert not may("UpdateItem", row), row
    for action in ("PutItem", "DeleteItem", "ConditionCheckItem", "Scan"):
        assert not may(action, "job#"), action
    services = {action.partition(":")[0] for one in statements for action in one.actions}
    assert services == {"dynamodb", "secretsmanager", "logs", "states"}
