"""The template and what ships know no partition by name: China's and GovCloud's are as good."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dropscale_embedded.cloud.names import StackContext
from tests.policies import Policies, transformed

ROOT = Path(__file__).parents[2]
ACCOUNT = "123456789012"
CHINA = StackContext("photos", "cn-north-1", ACCOUNT, "http://127.0.0.1:9", "aws-cn")
GOVERNMENT = StackContext("photos", "us-gov-west-1", ACCOUNT, "http://127.0.0.1:9", "aws-us-gov")
ELSEWHERE = StackContext("photos", "eu-west-1", ACCOUNT, "http://127.0.0.1:9")
KEYS = {
    name: f"arn:aws-cn:kms:cn-north-1:{ACCOUNT}:key/{name.lower()}"
    for name in ("KmsKeyArn", "InputKmsKeyArn", "ResultsKmsKeyArn")
}
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/pseudo-parameter-reference.html;
# these services' principals end in .amazonaws.com in every partition.
PRINCIPALS = {f"{name}.amazonaws.com" for name in ("lambda", "events", "cloudwatch", "states")}
PRINCIPALS |= {"scheduler.amazonaws.com"}


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("context", [CHINA, GOVERNMENT], ids=["china", "govcloud"])
def test_the_transformed_template_has_no_arn_of_another_partition(context: StackContext) -> None:
    template = transformed(context)

    assert "arn:aws:" not in json.dumps(template)
    named = {text for text in texts(template["Resources"]) if "amazonaws.com" in text}
    via = {text for text in named if text.endswith(".amazonaws.com*")}
    assert named - via <= PRINCIPALS
    for policy in Policies(context=context).of_function("SubmitFunction"):
        for resource in policy.resources:
            assert resource.startswith(f"arn:{context.partition}:"), resource


@pytest.mark.parametrize(
    ("context", "console"),
    [
        (CHINA, "cn-north-1.console.amazonaws.cn"),
        (GOVERNMENT, "us-gov-west-1.console.amazonaws-us-gov.com"),
        (ELSEWHERE, "eu-west-1.console.aws.amazon.com"),
    ],
    ids=["china", "govcloud", "elsewhere"],
)
def test_the_dashboard_is_in_the_partitions_own_console(
    context: StackContext, console: str
) -> None:
    assert Policies(context=context).output("DashboardUrl").startswith(f"https://{console}/")


def test_what_ships_names_no_partition() -> None:
    files = [
        path
        for folder in ("shared/dropscale", "functions", "local/dropscale_cli")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".yaml", ".html"}
    ]
    named = re.compile(r"arn:aws\b(?!-)|(?<!docs\.aws\.)amazonaws\.com")

    assert files
    assert [str(path) for path in files if named.search(path.read_text())] == []


def keys_of(parameters: dict[str, str], function: str = "DeliverFunction") -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for statement in Policies(parameters, CHINA).of_function(function):
        for action in statement.actions:
            if action.startswith("kms:"):
                found.setdefault(action, set()).update(statement.resources)
    return found


@pytest.mark.parametrize("given", [(), *((name,) for name in KEYS), tuple(KEYS)], ids=str)
def test_functions_use_the_keys_that_are_given_and_no_other(given: tuple[str, ...]) -> None:
    keys = {name: KEYS[name] for name in given}
    found = keys_of(keys)

    actions = ("kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey") if keys else ()
    assert found == {action: set(keys.values()) for action in actions}


def test_by_earlier_keys_they_only_decrypt() -> None:
    earlier = [f"{KEYS['KmsKeyArn']}-{number}" for number in range(2)]
    both = ",".join(earlier)

    assert keys_of({"PreviousKmsKeyArns": both}) == {"kms:Decrypt": set(earlier)}
    found = keys_of({"PreviousKmsKeyArns": both, **KEYS})
    assert found["kms:Decrypt"] == {*earlier, *KEYS.values()}
    assert found["kms:Encrypt"] == found["kms:GenerateDataKey"] == set(KEYS.values())


@pytest.mark.parametrize("name", ["SubmitFunction", "CheckFunction", "SweepFunction"])
def test_an_existing_ledger_is_used_in_place_of_one_of_its_own(name: str) -> None:
    table = f"arn:aws-cn:dynamodb:cn-north-1:{ACCOUNT}:table/"
    for given, expected in (("old-Ledger-1", "old-Ledger-1"), ("", "photos-Ledger")):
        policies = Policies({"ExistingLedger": given}, CHINA)
        used = {
            resource
            for statement in policies.of_function(name)
            for resource in statement.resources
            if ":dynamodb:" in resource
        }
        assert {one.removeprefix(table).partition("/")[0] for one in used} == {expected}
        assert policies.output("LedgerTableName") == expected
