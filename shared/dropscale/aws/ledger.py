"""The ledger's storage in one DynamoDB table.

Rows, by partition and sort key: `drop#<id>`/`drop`, `job#<fingerprint>`/`job`,
`job#<fingerprint>`/`drop#<id>` (attached), `job#<fingerprint>`/`waiter#<drop>#<rendition>`,
`attempt#<token>`/`attempt`, `project#<id>`/`project`, `output#<id>`/`output`, `slots`/`slots`,
`gate`/`gate`, `walk`/`walk`, `owner`/`owner`, `account`/`account`, `budget#<window>`/`budget`,
`name#<id>`/`name`, `batch#<id>`/`batch`, `batch#<id>`/`drop#<id>` (a drop's line). Records with
something due carry `sweep` and `sweep_at`, the keys of the sparse index `sweep`; so do the lines
of open drops, listed by batch.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar
from uuid import uuid4

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore import exceptions as botocore
from botocore.exceptions import ClientError
from pydantic import BaseModel

from dropscale.ledger.account import KnownAccount
from dropscale.ledger.batches import Batch, BatchLine, batch_id
from dropscale.ledger.drops import Drop, NameClaim
from dropscale.ledger.gate import Gate
from dropscale.ledger.jobs import Attempt, Job, KnownProject
from dropscale.ledger.owner import Owner
from dropscale.ledger.rows import Row
from dropscale.ledger.store import (
    END_OF_TIME,
    MOST_NOTED,
    Agenda,
    Attach,
    BudgetSpent,
    Change,
    ClaimName,
    Detach,
    FreeSlot,
    GateClosed,
    LeaveBatch,
    LedgerConflict,
    Names,
    NameTaken,
    NotOwner,
    ProjectTaken,
    Reference,
    ReleaseName,
    RequireOpenGate,
    RequireOwner,
    SaveBatch,
    SaveDrop,
    SaveHints,
    SaveJob,
    SaveReference,
    SaveSingleton,
    SlotsTaken,
    Spend,
    TakeSlot,
    listing_of,
)
from dropscale.ledger.waiters import Waiter
from dropscale.ledger.walk import Walk

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

_Record = TypeVar("_Record", bound=BaseModel)
_SLOTS, _WALK, _GATE, _OWNER, _ACCOUNT = (
    {"pk": name, "sk": name} for name in ("slots", "walk", "gate", "owner", "account")
)
_KEY_OF_ONLY: Mapping[type[Row], dict[str, str]] = MappingProxyType(
    {Gate: _GATE, Walk: _WALK, Owner: _OWNER, KnownAccount: _ACCOUNT}
)
"""The keys of rows that exist once."""
_RECORD_BY_SORT_KEY: Mapping[str, type[Drop | Job]] = MappingProxyType({"drop": Drop, "job": Job})
_KEYS = frozenset({"pk", "sk", "sweep", "sweep_at"})
_MOST_ROWS = 100
"""DynamoDB's limit for one read."""
_WRITE_ATTEMPTS = 8
_PAUSE = 0.05
_BUSY = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottlingException",
        "TransactionInProgressException",
    }
)
_CANCELED = "TransactionCanceledException"
_PASSING_REASONS = frozenset(
    {"None", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
)
"""Cancellation reasons of transactions that may succeed a moment later."""
_SAVES = SaveDrop | SaveJob | SaveHints | SaveBatch | SaveSingleton
_NOTES_ANOTHER = (
    "attribute_exists(pk) AND NOT contains(noted, :id) "
    f"AND attribute_not_exists(noted[{MOST_NOTED - 1}])"
)
"""When an attempt's row can note one more project."""
_SERIALIZER, _DESERIALIZER = TypeSerializer(), TypeDeserializer()


class DynamoLedger:
    """A `dropscale.ledger.store.Ledger` on DynamoDB.

    Every write of a record is a transaction, even of one alone, and has a token. While it is not
    known whether a write was made, it is repeated with the same token and the same bytes, by which
    DynamoDB recognises it for ten minutes, so that it does not count as another process's change.
    Only a write that was certainly not made is tried with a new token.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._table = table
        self._sleep = sleep

    def drop(self, drop_id: str) -> Drop | None:
        """See `Ledger.drop`."""
        return self._get(Drop, _key("drop", drop_id))

    def known_drops(self, drop_ids: Sequence[str]) -> dict[str, Drop]:
        """See `Ledger.known_drops`."""
        found: dict[str, Drop] = {}
        keys = [_item(_key("drop", drop_id)) for drop_id in drop_ids]
        while keys:
            asked, keys = keys[:_MOST_ROWS], keys[_MOST_ROWS:]
            answer = self._client.batch_get_item(RequestItems={self._table: {"Keys": asked}})
            rows = answer["Responses"].get(self._table, [])
            found |= {row["pk"]["S"].partition("#")[2]: _record(Drop, row) for row in rows}
            if self._table in answer["UnprocessedKeys"]:  # throttled, or more than 16 MB
                self._sleep(_PAUSE)
                keys = [*answer["UnprocessedKeys"][self._table]["Keys"], *keys]
        return found

    def walk(self) -> Walk | None:
        """See `Ledger.walk`."""
        return self._get(Walk, _WALK)

    def job(self, fingerprint: str) -> Job | None:
        """See `Ledger.job`."""
        return self._get(Job, _key("job", fingerprint))

    def attempt(self, token: str) -> Attempt | None:
        """See `Ledger.attempt`."""
        return self._get(Attempt, _key("attempt", token))

    def project(self, project_id: str) -> KnownProject | None:
        """See `Ledger.project`."""
        return self._get(KnownProject, _key("project", project_id))

    def name_claim(self, name: str) -> NameClaim | None:
        """See `Ledger.name_claim`."""
        return self._get(NameClaim, _claim_key(name))

    def gate(self) -> Gate | None:
        """See `Ledger.gate`."""
        return self._get(Gate, _GATE)

    def slots_taken(self) -> int:
        """See `Ledger.slots_taken`."""
        return self._count(_SLOTS, "taken")

    def account(self) -> KnownAccount | None:
        """See `Ledger.account`."""
        return self._get(KnownAccount, _ACCOUNT)

    def owner(self) -> Owner | None:
        """See `Ledger.owner`."""
        return self._get(Owner, _OWNER)

    def is_new(self) -> bool:
        """See `Ledger.is_new`."""
        return not self._row(_SLOTS) and self.walk() is None

    def list_attached(
        self, fingerprint: str, after: str | None = None, limit: int | None = None
    ) -> list[str]:
        """See `Ledger.list_attached`."""
        rows = self._drops_below(f"job#{fingerprint}", after, limit, "sk")
        drop_ids = (row["sk"]["S"].removeprefix("drop#") for row in rows)
        return [drop_id for drop_id in drop_ids if drop_id != after][:limit]

    def batch(self, batch_id: str) -> Batch | None:
        """See `Ledger.batch`."""
        return self._get(Batch, _key("batch", batch_id))

    def has_open_drops(self, batch_id: str) -> bool:
        """See `Ledger.has_open_drops`."""
        return bool(self._listed(_open_drops(batch_id), END_OF_TIME, 1))

    def batch_lines(self, batch_id: str, after: str | None, limit: int) -> list[BatchLine]:
        """See `Ledger.batch_lines`."""
        rows = self._drops_below(f"batch#{batch_id}", after, limit, "report_line")
        lines = (BatchLine.model_validate_json(row["report_line"]["S"]) for row in rows)
        return [line for line in lines if line.drop_id != after][:limit]

    def _drops_below(
        self, pk: str, after: str | None, limit: int | None, attribute: str
    ) -> Iterator[dict[str, Any]]:
        """Yield one attribute of the rows of drops in a partition, from `after` on."""
        first, last = f"drop#{after or ''}", "drop$"  # "$" follows "#"
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            ConsistentRead=True,
            KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
            ExpressionAttributeValues=_item({":pk": pk, ":first": first, ":last": last}),
            ProjectionExpression=attribute,
            PaginationConfig={"MaxItems": limit + 1} if limit else {},
        )
        for page in pages:
            yield from page["Items"]

    def list_due(self, agenda: Agenda, before: datetime, limit: int) -> list[str]:
        """See `Ledger.list_due`."""
        return [row["pk"]["S"].partition("#")[2] for row in self._listed(agenda, before, limit)]

    def _listed(self, agenda: str, before: datetime, limit: int) -> list[dict[str, Any]]:
        found = self._client.query(
            TableName=self._table,
            IndexName="sweep",
            KeyConditionExpression="sweep = :agenda AND sweep_at < :before",
            ExpressionAttributeValues=_item({":agenda": agenda, ":before": _text(before)}),
            Limit=limit,
        )
        return found["Items"]

    def credits_spent(self, window: str) -> int:
        """See `Ledger.credits_spent`."""
        return self._count(_key("budget", window), "spent")

    def records(self) -> Iterator[Drop | Job]:
        """Yield every drop and job; this reads the whole table, page by page."""
        pages = self._client.get_paginator("scan").paginate(TableName=self._table)
        return records_in(row for page in pages for row in page["Items"])

    def write(self, *changes: Change) -> None:
        """See `Ledger.write`."""
        # A drop's line comes last: the answer's reasons are in the order of the actions.
        lines = [self._put_line(change.drop) for change in changes if _has_line(change)]
        actions = [*(self._action(change) for change in changes), *lines]
        token, trouble = str(uuid4()), ""
        for attempt in range(_WRITE_ATTEMPTS):
            try:
                self._client.transact_write_items(TransactItems=actions, ClientRequestToken=token)
                return
            except ClientError as error:
                if not _may_pass(error):
                    raise _refusal(error, changes) from error
                trouble = str(error)
                if error.response["Error"]["Code"] == _CANCELED:
                    token = str(uuid4())  # Certainly nothing was written.
            except (botocore.HTTPClientError, botocore.ConnectionError) as error:
                trouble = str(error)
            self._sleep(random.uniform(0, _PAUSE * 2**attempt))  # noqa: S311 - jitter
        raise LedgerConflict(f"the ledger refused a change, or did not confirm it: {trouble}")

    def names(self, name_id: str) -> Names:
        """See `Ledger.names`."""
        return _names(self._row(_key("name", name_id)))

    def note_name(self, name_id: str, names: Names) -> Names:
        """See `Ledger.note_name`."""
        added = {"images": names.images, "specs": names.specs}
        sets = {name: set(keys) for name, keys in added.items() if keys}
        found = self._client.update_item(
            TableName=self._table,
            Key=_item(_key("name", name_id)),
            UpdateExpression="ADD " + ", ".join(f"{name} :{name}" for name in sets),
            ExpressionAttributeValues=_item({f":{name}": keys for name, keys in sets.items()}),
            ReturnValues="ALL_NEW",
        )
        return _names(found["Attributes"])

    def note_project(self, token: str, project_id: str) -> None:
        """See `Ledger.note_project`."""
        values = {":one": [project_id], ":id": project_id, ":none": []}
        try:
            self._client.update_item(
                TableName=self._table,
                Key=_item(_key("attempt", token)),
                UpdateExpression="SET noted = list_append(if_not_exists(noted, :none), :one)",
                ConditionExpression=_NOTES_ANOTHER,
                ExpressionAttributeValues=_item(values),
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return

    def note_manifest_written(self, drop: Drop) -> None:
        """See `Ledger.note_manifest_written`."""
        update = "REMOVE sweep, sweep_at, due, news_for"
        values: dict[str, Any] = {":seq": drop.seq}
        if listing := listing_of(drop.model_copy(update={"due": None})):
            update = "SET sweep = :agenda, sweep_at = :at REMOVE due, news_for"
            values |= {":agenda": listing[0], ":at": _text(listing[1])}
        try:
            self._client.update_item(
                TableName=self._table,
                Key=_item(_key("drop", drop.id)),
                UpdateExpression=update,
                ConditionExpression="seq = :seq",
                ExpressionAttributeValues=_item(values),
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return

    def save_waiter(self, waiter: Waiter) -> bool:
        """See `Ledger.save_waiter`."""
        row = waiter.model_dump(mode="json") | _waiter_key(waiter)
        return self._unless_newer(waiter, self._client.put_item, Item=_item(row))

    def list_waiters(self, fingerprint: str, project_id: str, limit: int) -> list[Waiter]:
        """See `Ledger.list_waiters`."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            ConsistentRead=True,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :waiter)",
            FilterExpression="project_id = :project",
            ExpressionAttributeValues=_item(
                {":pk": f"job#{fingerprint}", ":waiter": "waiter#", ":project": project_id}
            ),
            PaginationConfig={"MaxItems": limit},
        )
        return [_record(Waiter, row) for page in pages for row in page["Items"]]

    def remove_waiter(self, waiter: Waiter) -> None:
        """See `Ledger.remove_waiter`."""
        key = _item(_waiter_key(waiter))
        self._unless_newer(waiter, self._client.delete_item, Key=key)

    def _unless_newer(self, waiter: Waiter, write: Callable[..., Any], **what: Any) -> bool:
        """Write to a waiter's row, unless it has entered later than this; then return False."""
        with suppress(self._client.exceptions.ConditionalCheckFailedException):
            write(
                TableName=self._table,
                ConditionExpression="attribute_not_exists(pk) OR generation < :generation"
                " OR (generation = :generation AND entered <= :entered)",
                ExpressionAttributeValues=_item(
                    {":generation": waiter.generation, ":entered": _text(waiter.entered)}
                ),
                **what,
            )
            return True
        return False

    def _count(self, key: Mapping[str, str], counter: str) -> int:
        row = self._row(key)
        return int(row[counter]["N"]) if row else 0

    def _get(self, record: type[_Record], key: Mapping[str, str]) -> _Record | None:
        row = self._row(key)
        return _record(record, row) if row else None

    def _row(self, key: Mapping[str, str]) -> Mapping[str, Any]:
        """Return a row; empty: there is none."""
        found = self._client.get_item(TableName=self._table, Key=_item(key), ConsistentRead=True)
        return found.get("Item", {})

    def _action(self, change: Change) -> Any:  # noqa: C901, PLR0911, PLR0912 # one for each kind of change
        match change:
            case SaveDrop(record) | SaveJob(record) | SaveBatch(record):
                return self._put(record, _key_of(record), listing_of(record))
            case SaveHints(job):
                return self._update_hints(job)
            case SaveSingleton(record):
                return self._put(record, _KEY_OF_ONLY[type(record)])
            case LeaveBatch(batch_id, drop_id):
                key = _shared_key("batch", batch_id, drop_id)
                return self._on_table("Delete", {"Key": _item(key)})
            case SaveReference(reference, replaces):
                return self._put_reference(reference, replaces)
            case Attach(fingerprint, drop_id):
                key = _shared_key("job", fingerprint, drop_id)
                return self._on_table("Put", {"Item": _item(key)})
            case Detach(fingerprint, drop_id):
                key = _shared_key("job", fingerprint, drop_id)
                return self._on_table("Delete", {"Key": _item(key)})
            case ClaimName() | ReleaseName():
                return self._hold_name(change)
            case TakeSlot(limit):
                return self._count_slot(1, limit)
            case FreeSlot():
                return self._count_slot(-1, None)
            case Spend(window, credits, limit):
                return self._spend(window, credits, limit)
            case RequireOpenGate():
                condition = "attribute_not_exists(pk) OR is_open = :true"
                return self._check(_GATE, condition, {})
            case RequireOwner(stack_id):
                condition = "stack_id = :stack AND is_rebuilt = :true"
                return self._check(_OWNER, condition, {":stack": stack_id})

    def _check(self, key: Mapping[str, str], condition: str, values: Mapping[str, str]) -> Any:
        check = {"Key": _item(key), "ConditionExpression": condition}
        return self._on_table("ConditionCheck", check, _item({":true": True, **values}))

    def _put(
        self,
        record: Row,
        key: Mapping[str, str],
        listing: tuple[Agenda, datetime] | None = None,
    ) -> Any:
        # DynamoDB's numbers are decimal, so boto3 refuses floats.
        row = json.loads(record.model_dump_json(exclude_none=True), parse_float=Decimal) | key
        if listing is not None:
            row |= _index_keys(*listing)
        put: dict[str, Any] = {"Item": _item(row)}
        if record.seq == 1:
            return self._on_table("Put", put | {"ConditionExpression": "attribute_not_exists(pk)"})
        put["ConditionExpression"] = "seq = :before"
        return self._on_table("Put", put, _item({":before": record.seq - 1}))

    def _put_line(self, drop: Drop) -> Any:
        """Return the action that writes a drop's line; that of an open drop is listed."""
        name = batch_id(drop.source.bucket, drop.batch or "")
        line = BatchLine.of(drop)
        row = _shared_key("batch", name, drop.id) | {
            "report_line": line.model_dump_json(exclude_none=True)
        }
        if line.is_open:
            row |= _index_keys(_open_drops(name), drop.due or END_OF_TIME)
        return self._on_table("Put", {"Item": _item(row)})

    def _update_hints(self, job: Job) -> Any:
        """Return the update of a job that needs the right to no other attribute of it."""
        listing = listing_of(job)
        row = job.model_dump(mode="json", include={"seq", "hints", "hinted_at", "due"})
        row |= _index_keys(*listing) if listing else {}
        update = {
            "Key": _item(_key("job", job.fingerprint)),
            "UpdateExpression": "SET " + ", ".join(f"{name} = :{name}" for name in row),
            "ConditionExpression": "seq = :before",
        }
        values = {f":{name}": value for name, value in row.items()}
        return self._on_table("Update", update, _item(values | {":before": job.seq - 1}))

    def _put_reference(self, reference: Reference, replaces: str) -> Any:
        values = {":own": reference.fingerprint, ":replaced": replaces}
        row = reference.model_dump(mode="json", exclude_none=True, exclude={"noted"})
        action: dict[str, Any] = {
            "ConditionExpression": "attribute_not_exists(pk) OR fingerprint IN (:own, :replaced)"
        }
        if isinstance(reference, KnownProject):
            action["Item"] = _item(row | _key("project", reference.project_id))
            return self._on_table("Put", action, _item(values))
        # Not a put, which would remove what events have noted.
        action["Key"] = _item(_key("attempt", reference.token))
        action["UpdateExpression"] = "SET " + ", ".join(f"#{name} = :{name}" for name in row)
        action["ExpressionAttributeNames"] = {f"#{name}": name for name in row}
        named = {f":{name}": value for name, value in row.items()}
        return self._on_table("Update", action, _item(values | named))

    def _hold_name(self, change: ClaimName | ReleaseName) -> Any:
        claim, key = change.claim, _claim_key(change.claim.name)
        is_own = {"ConditionExpression": "attribute_not_exists(pk) OR drop_id = :own"}
        own = _item({":own": claim.drop_id})
        if isinstance(change, ReleaseName):
            return self._on_table("Delete", {"Key": _item(key), **is_own}, own)
        row = _item(claim.model_dump(mode="json") | key)
        return self._on_table("Put", {"Item": row, **is_own}, own)

    def _count_slot(self, step: int, limit: int | None) -> Any:
        update: dict[str, Any] = {"Key": _item(_SLOTS), "UpdateExpression": "ADD taken :step"}
        if limit is None:
            return self._on_table("Update", update, _item({":step": step}))
        update["ConditionExpression"] = "attribute_not_exists(pk) OR taken < :limit"
        return self._on_table("Update", update, _item({":step": step, ":limit": limit}))

    def _spend(self, window: str, spent: int, limit: int | None) -> Any:
        update: dict[str, Any] = {
            "Key": _item(_key("budget", window)),
            "UpdateExpression": "ADD spent :spent",
        }
        if limit is None:
            return self._on_table("Update", update, _item({":spent": spent}))
        # A window without any spending has no row, and comparisons with a missing value fail.
        fits_alone = "attribute_not_exists(pk) OR " if spent <= limit else ""
        update["ConditionExpression"] = f"{fits_alone}spent <= :most"
        return self._on_table("Update", update, _item({":spent": spent, ":most": limit - spent}))

    def _on_table(self, kind: str, action: dict[str, Any], values: Any = None) -> Any:
        named = {"ExpressionAttributeValues": values} if values else {}
        return {kind: {"TableName": self._table, **action, **named}}


def records_in(rows: Iterable[Mapping[str, Any]]) -> Iterator[Drop | Job]:
    """Yield the drops and jobs among rows of the table, in the format of DynamoDB's API."""
    for row in rows:
        record = _RECORD_BY_SORT_KEY.get(row["sk"]["S"])
        if record is not None:
            yield _record(record, row)


def _record(record: type[_Record], row: Mapping[str, Any]) -> _Record:
    values = {
        name: _DESERIALIZER.deserialize(value) for name, value in row.items() if name not in _KEYS
    }
    return record.model_validate_json(json.dumps(values, default=_number))


def _number(value: object) -> int | float:
    """Return a DynamoDB number as a JSON number; a row has no other types outside of JSON's.

    Raises:
        TypeError: the value is not a number, so the ledger did not write it.
    """
    if not isinstance(value, Decimal):
        raise TypeError(f"the ledger keeps no {type(value).__name__}")
    return int(value) if value == value.to_integral_value() else float(value)


def _key_of(record: Drop | Job | Batch) -> dict[str, str]:
    if isinstance(record, Drop):
        return _key("drop", record.id)
    return _key("job", record.fingerprint) if isinstance(record, Job) else _key("batch", record.id)


def _key(kind: str, name: str) -> dict[str, str]:
    """Return the key of a record of its own: a drop, a job, a project."""
    return {"pk": f"{kind}#{name}", "sk": kind}


def _claim_key(name: str) -> dict[str, str]:
    return _key("output", NameClaim.id_of(name))


def _shared_key(kind: str, name: str, drop_id: str) -> dict[str, str]:
    """Return the key of a drop's row beside the job or the batch that it shares."""
    return {"pk": f"{kind}#{name}", "sk": f"drop#{drop_id}"}


def _waiter_key(waiter: Waiter) -> dict[str, str]:
    sort_key = f"waiter#{waiter.drop_id}#{waiter.rendition_id}"
    return {"pk": f"job#{waiter.fingerprint}", "sk": sort_key}


def _open_drops(batch_id: str) -> str:
    """Return the agenda that lists a batch's open drops."""
    return f"batch#{batch_id}"


def _has_line(change: Change) -> TypeGuard[SaveDrop]:
    return isinstance(change, SaveDrop) and change.drop.batch is not None


def _names(row: Mapping[str, Any]) -> Names:
    images, specs = (row.get(name, {}).get("SS", []) for name in ("images", "specs"))
    return Names(frozenset(images), frozenset(specs))


def _index_keys(agenda: str, due: datetime) -> dict[str, str]:
    """Return the attributes that list a row in the index `sweep`."""
    return {"sweep": agenda, "sweep_at": _text(due)}


def _item(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _SERIALIZER.serialize(value) for name, value in values.items()}


def _text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")


def _codes(error: ClientError) -> list[str]:
    reasons: list[dict[str, str]] = error.response.get("CancellationReasons", [])  # type: ignore[assignment] # the stubs lack DynamoDB's own field
    return [reason.get("Code", "None") for reason in reasons]


def _may_pass(error: ClientError) -> bool:
    """Whether an error may be temporary: others write at the same time, or AWS has a problem."""
    code = error.response["Error"]["Code"]
    if code == _CANCELED:
        return _PASSING_REASONS.issuperset(_codes(error))
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR or code in _BUSY


def _refusal(error: ClientError, changes: tuple[Change, ...]) -> Exception:
    """Return the error of the condition that failed: of owner, gate, slot, budget or record."""
    codes = _codes(error)
    failed = [
        change
        for change, code in zip(changes, codes, strict=False)
        if code == "ConditionalCheckFailed"
    ]
    if not failed:
        return error
    if any(isinstance(change, RequireOwner) for change in failed):
        return NotOwner()
    if any(isinstance(change, _SAVES | ReleaseName) for change in failed):
        return LedgerConflict("another process changed a record")
    if any(isinstance(change, SaveReference) for change in failed):
        return ProjectTaken()
    for change in failed:
        if isinstance(change, ClaimName):
            return NameTaken(change.claim.name)
    if any(isinstance(change, RequireOpenGate) for change in failed):
        return GateClosed()
    if any(isinstance(change, TakeSlot) for change in failed):
        return SlotsTaken()
    return BudgetSpent(next(change.window for change in failed if isinstance(change, Spend)))
