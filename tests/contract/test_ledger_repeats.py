"""A write whose answer is lost is repeated so that DynamoDB knows it again.

moto knows no `ClientRequestToken`; the table here does, in front of moto, as DynamoDB's API says;
another engine is asked again, and must know it itself:
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
"""

import io
import json
from collections.abc import Iterator
from enum import StrEnum
from itertools import product
from typing import Any

import pytest
from boto3 import client as new_client
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError, ReadTimeoutError
from moto.core.models import botocore_stubber

from dropscale.aws.ledger import DynamoLedger
from dropscale.ledger.store import LedgerConflict, SaveJob, Spend
from tests.contract.test_ledger_storage import ENDPOINT, a_job, dynamo

__all__ = ["dynamo"]


class Mishap(StrEnum):
    """What becomes of a request, and of its answer."""

    COMMITTED_TIMEOUT = "written, no answer"
    COMMITTED_FAULT = "written, 500"
    LOST = "not written, no answer"
    FAULT = "not written, 500"
    IN_PROGRESS = "the request before is still at work"
    THROTTLED = "throttled"
    CONFLICT = "canceled: another transaction is at work"
    ROW_THROTTLED = "canceled: a row is throttled"


WRITTEN = {Mishap.COMMITTED_TIMEOUT, Mishap.COMMITTED_FAULT}
CANCELED = {
    Mishap.CONFLICT: "TransactionConflict",
    Mishap.ROW_THROTTLED: "ThrottlingError",
}


class _Raw(io.BytesIO):
    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.read()


class Table:
    """DynamoDB's door: knows tokens, and has mishaps befall the next requests."""

    def __init__(self) -> None:
        self.mishaps: list[Mishap] = []
        self.sent: list[tuple[str, bytes]] = []
        self.answered: dict[str, bytes] = {}
        self.behind = new_client("dynamodb")

    def __call__(self, request: Any, **_: Any) -> AWSResponse:
        body = bytes(request.body)
        token = json.loads(body)["ClientRequestToken"]
        self.sent.append((token, body))
        mishap = self.mishaps.pop(0) if self.mishaps else None
        if mishap is None or mishap in WRITTEN:
            response = self._write(token, body)
            if mishap is None:
                return response
        if mishap in {Mishap.COMMITTED_TIMEOUT, Mishap.LOST}:
            raise ReadTimeoutError(endpoint_url="https://dynamodb")
        if mishap in CANCELED:
            return _canceled([{"Code": CANCELED[mishap]}])
        if mishap in {Mishap.IN_PROGRESS, Mishap.THROTTLED}:
            busy = mishap is Mishap.IN_PROGRESS
            return _answer(400, "TransactionInProgressException" if busy else "ThrottlingException")
        return _answer(500, "InternalServerError")

    def _write(self, token: str, body: bytes) -> AWSResponse:
        if token in self.answered and ENDPOINT is None:
            if self.answered[token] != body:
                return _answer(400, "IdempotentParameterMismatchException")
            return _answer(200)
        try:
            self.behind.transact_write_items(**json.loads(body))
        except ClientError as error:
            return _canceled(error.response["CancellationReasons"])  # type: ignore[arg-type]
        self.answered[token] = body
        return _answer(200)


def _canceled(reasons: list[dict[str, Any]]) -> AWSResponse:
    return _answer(400, "TransactionCanceledException", CancellationReasons=reasons)


def _answer(status: int, error: str | None = None, **facts: object) -> AWSResponse:
    named = {"__type": f"com.amazonaws.dynamodb.v20120810#{error}", "message": error}
    body = json.dumps((named if error else {}) | facts).encode()
    return AWSResponse("https://dynamodb", status, {}, _Raw(body))  # type: ignore[arg-type]


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch, dynamo: DynamoLedger) -> Table:
    """The door before the table of `dynamo`."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    return Table()


@pytest.fixture
def ledger(table: Table) -> DynamoLedger:
    door = new_client("dynamodb", config=Config(retries={"total_max_attempts": 1}))
    door.meta.events.unregister("before-send", botocore_stubber)  # type: ignore[arg-type] # moto's own
    door.meta.events.register("before-send.dynamodb.TransactWriteItems", table)  # type: ignore[arg-type]
    client = new_client("dynamodb")
    client.transact_write_items = door.transact_write_items  # type: ignore[method-assign]
    return DynamoLedger(client, "ledger", sleep=lambda _: None)


def test_a_write_is_made_once_whatever_befalls_its_answers(
    table: Table, ledger: DynamoLedger
) -> None:
    for befalls in (*product(Mishap), *product(Mishap, Mishap)):
        if befalls[0] in WRITTEN and befalls[-1] in CANCELED:
            continue  # what was written is not canceled
        job = a_job(str(befalls))
        table.mishaps, table.sent = list(befalls), []

        ledger.write(SaveJob(job), Spend(str(befalls), 1, 1))

        assert ledger.job(job.fingerprint) is not None, befalls
        assert ledger.credits_spent(str(befalls)) == 1, befalls
        for mishap, before, after in zip(befalls, table.sent, table.sent[1:], strict=False):
            if mishap in CANCELED:
                assert after[0] != before[0], befalls
            else:
                assert after == before, befalls


def test_what_another_has_changed_is_a_conflict_also_after_a_lost_answer(
    table: Table, ledger: DynamoLedger
) -> None:
    ledger.write(SaveJob(a_job()))
    table.mishaps = [Mishap.LOST]

    with pytest.raises(LedgerConflict):
        ledger.write(SaveJob(a_job()))


@pytest.mark.parametrize("mishap", Mishap)
def test_a_write_that_is_never_answered_is_to_be_decided_anew(
    table: Table, ledger: DynamoLedger, mishap: Mishap
) -> None:
    table.mishaps = [mishap] * 99

    with pytest.raises(LedgerConflict):
        ledger.write(SaveJob(a_job()))

    assert len(table.sent) < 20
