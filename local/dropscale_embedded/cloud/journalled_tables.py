"""moto's DynamoDB tables, with a journal: every write is stored before it is answered."""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from moto.dynamodb.exceptions import ResourceNotFoundException
from moto.dynamodb.models import DynamoDBBackend

from dropscale_embedded.cloud.errors import InvalidJournalError
from dropscale_embedded.journal import Journal, Row, RowChange

_CHANGE_NOTHING = frozenset(
    {
        "BatchGetItem",
        "CreateTable",
        "DescribeTable",
        "GetItem",
        "ListTables",
        "Query",
        "Scan",
        "TransactGetItems",
    }
)
"""Actions that do not change rows."""


def journalled(journal: Journal) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a wrapper for DynamoHandler.call_action; it must be called by one thread at a time.

    A write that was stored but not answered, because the process died in between, stays valid: as
    on AWS, the caller cannot know.
    """

    def keep(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def call_action(handler: Any) -> Any:
            journal.require_working()
            touched = list(_rows_of_action(handler._get_action(), handler.params))
            answer = original(handler)
            if touched and answer[0] == 200:
                backend = handler.dynamodb_backend
                journal.write(_change(backend, table, item) for table, item in touched)
            return answer

        return call_action

    return keep


def replay(journal: Journal, backend: DynamoDBBackend) -> bool:
    """Put all rows of a journal into the tables, which must exist; return whether it has any.

    Raises:
        InvalidJournalError: it has rows of a table that does not exist.
    """
    has_rows = False
    for table, row in journal.rows():
        has_rows = True
        try:
            backend.get_table(table).put_item(dict(row))
        except ResourceNotFoundException:
            raise InvalidJournalError(f"the journal is of another stack: it has {table}") from None
    return has_rows


def _rows_of_action(action: str, parameters: Mapping[str, Any]) -> Iterator[tuple[str, Row]]:
    """Return the tables and keys (or items) that an action may change."""
    match action:
        case "PutItem" | "UpdateItem" | "DeleteItem":
            yield parameters["TableName"], parameters.get("Item") or parameters["Key"]
        case "TransactWriteItems":
            for (operation,) in (item.values() for item in parameters["TransactItems"]):
                yield operation["TableName"], operation.get("Item") or operation["Key"]
        case _ if action not in _CHANGE_NOTHING:
            raise NotImplementedError(f"{action} is not known to the journal")


def _change(backend: DynamoDBBackend, table_name: str, item: Row) -> RowChange:
    table = backend.get_table(table_name)
    key = {name: item[name] for name in (table.hash_key_attr, table.range_key_attr) if name}
    found = backend.get_item(table_name, key)
    if found is None:
        return RowChange(table.name, key, None)
    row = {name: value.to_regular_json() for name, value in found.attrs.items()}
    return RowChange(table.name, key, row)
