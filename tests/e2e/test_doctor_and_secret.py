"""A stack is looked at, and given its key, as a person does it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from dropscale.aws.ledger import DynamoLedger
from dropscale.ledger.owner import Owner
from dropscale.ledger.store import SaveSingleton
from tests.e2e.conftest import Finish

ClientOf = Callable[[str], Any]
Environment = dict[str, str]

KEY, WEBHOOK = "dropscale-ApiKeySecret", "dropscale-WebhookSecret"
INPUTS, RESULTS = "dropscale-inputbucket", "dropscale-resultsbucket"


def examined(finish: Finish, stack: Environment) -> dict[str, dict[str, Any]]:
    ended = finish("doctor", "--format", "json", **stack)
    assert ended.stdout, ended.stderr
    found = {finding["part"]: finding for finding in json.loads(ended.stdout)}
    assert ended.returncode == (0 if all(finding["ok"] for finding in found.values()) else 1)
    return found


@pytest.fixture(scope="module")
def key(client_of: ClientOf) -> str:
    found: str = client_of("secretsmanager").get_secret_value(SecretId=KEY)["SecretString"]
    return found


def test_a_stack_that_works_is_well(finish: Finish, stack: Environment) -> None:
    ended = finish("doctor", **stack)

    assert ended.returncode == 0, ended.stdout
    assert len(ended.stdout.splitlines()) == 11
    assert all(line.startswith("ok ") for line in ended.stdout.splitlines())


def test_the_ledger_is_taken_from_another_stack_only_on_purpose(
    finish: Finish, stack: Environment, client_of: ClientOf
) -> None:
    ledger, now = DynamoLedger(client_of("dynamodb"), "dropscale-Ledger"), datetime.now(UTC)
    before = ledger.owner() or Owner(stack_id="ours", since=now, seq=0)
    ledger.write(SaveSingleton(before.hand_over("another", now)))

    found = examined(finish, stack)["ledger"]
    assert "dropscale doctor --take-over --stack dropscale" in found["fix"]
    refused = [
        finish(*arguments, **stack)
        for arguments in (("doctor", "--take-over"), ("ledger", "rebuild", "--decline"))
    ]
    assert [ended.returncode for ended in refused] == [1, 1]
    assert "add --yes" in refused[0].stderr

    taken = finish("doctor", "--take-over", "--yes", "--format", "json", **stack)
    assert taken.returncode == 0, taken.stderr
    assert all(finding["ok"] for finding in json.loads(taken.stdout))
    rebuilt = finish("ledger", "rebuild", **stack)
    assert (rebuilt.returncode, "0 manifests" in rebuilt.stdout) == (0, True)


def test_each_fault_comes_with_its_fix(
    finish: Finish, stack: Environment, client_of: ClientOf
) -> None:
    s3, off = client_of("s3"), {"Status": "Suspended"}
    s3.put_bucket_notification_configuration(Bucket=INPUTS, NotificationConfiguration={})
    s3.put_bucket_versioning(Bucket=RESULTS, VersioningConfiguration=off)

    found = examined(finish, stack)

    wrong = [part for part, finding in found.items() if not finding["ok"]]
    assert wrong == ["input events", "results bucket"]
    assert "put-bucket-notification-configuration" in found["input events"]["fix"]
    assert "Status=Enabled" in found["results bucket"]["fix"]


def test_a_key_is_kept_only_if_the_vendor_takes_it(
    finish: Finish, stack: Environment, client_of: ClientOf, key: str, tmp_path: Any
) -> None:
    def set_key(text: str) -> Any:
        given = tmp_path / "key"
        given.write_text(text)
        with given.open() as file:
            return finish("secret", "set", stdin=file, **stack)

    secrets = client_of("secretsmanager")

    refused = [set_key("wrong\n"), set_key(""), set_key("two words")]
    assert secrets.get_secret_value(SecretId=KEY)["SecretString"] == key
    kept = set_key(f"{key}\n")

    assert [(ended.returncode, "Nothing was changed" in ended.stderr) for ended in refused] == [
        (1, True)
    ] * 3
    assert (kept.returncode, key in kept.stdout + kept.stderr) == (0, False)


def test_a_stack_without_a_key_says_so(
    finish: Finish, stack: Environment, client_of: ClientOf
) -> None:
    secrets = client_of("secretsmanager")
    secrets.put_secret_value(SecretId=KEY, SecretString="not a key of theirs")

    found = examined(finish, stack)

    assert found["Magic Hour"]["fix"] == "dropscale secret set --stack dropscale"


def test_a_webhook_has_a_secret_of_its_own(
    finish: Finish, stack: Environment, client_of: ClientOf, tmp_path: Any
) -> None:
    secrets, given = client_of("secretsmanager"), tmp_path / "secret"
    assert "no event in 14 days" in examined(finish, stack)["webhooks"]["detail"]
    secrets.put_secret_value(SecretId=WEBHOOK, SecretString=" ")
    unset = examined(finish, stack)["webhooks"]
    assert "https://magichour.ai/developer" in unset["fix"]
    assert "dropscale secret set --webhook --stack dropscale" in unset["fix"]

    ended = []
    for text in ("two words", "whsec_1\n"):
        given.write_text(text)
        with given.open() as file:
            ended.append(finish("secret", "set", "--webhook", stdin=file, **stack))

    assert [one.returncode for one in ended] == [1, 0]
    assert "whsec_1" not in ended[1].stdout + ended[1].stderr
    assert secrets.get_secret_value(SecretId=WEBHOOK)["SecretString"] == "whsec_1"
    assert examined(finish, stack)["webhooks"]["ok"]
