"""Changes to moto that save time and nothing else.

Each replaces a private name of moto 5.2.5; test_moto_tripwires.py fails when one of them has
changed, or when what is replaced no longer gives the same.
"""

import copy
import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any

import botocore.session
from botocore.loaders import Loader
from moto.core import responses as moto_responses
from moto.core import utils as moto_utils
from moto.core.serialize import (
    AttributePickerContext,
    BaseJSONSerializer,
    ResponseSerializer,
    XFormedAttributePicker,
)
from moto.core.utils import unix_time_millis
from moto.dynamodb import models as dynamodb_models
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table
from moto.moto_server.werkzeug_app import DomainDispatcherApplication
from moto.sqs.models import Queue, SQSBackend
from moto.stepfunctions.parser.asl.component.common.path import result_path
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.asl.utils import json_path

from dropscale_embedded.cloud.table_snapshots import (
    snapshot,
    with_fresh_row,
    with_one_snapshot,
)
from dropscale_embedded.workers.zygote import list_services

Hook = tuple[Any, str, Callable[[Any], Any]]
"""A module or class, the name in it to replace, and what makes the replacement of the original."""

_SCALARS = {"S": str, "N": str, "BOOL": bool, "NULL": bool}
"""The DynamoDB types whose values are written as stored, and their Python types."""


@contextmanager
def hooked(hooks: Iterable[Hook]) -> Iterator[None]:
    """Make the replacements, in order, until the context ends."""
    with ExitStack() as undo:
        for owner, name, replacement in hooks:
            original = getattr(owner, name)
            undo.callback(setattr, owner, name, original)
            setattr(owner, name, replacement(original))
        yield


def economies() -> list[Hook]:
    """Return the hooks that save time."""
    return [
        # Each session and each call of moto's would read AWS's service models again.
        (botocore.session, "create_loader", functools.cache),
        (moto_utils, "create_loader", functools.cache),
        (Loader, "list_available_services", lambda _: list_services),
        (moto_utils, "service_name_from_moto_package_name", functools.cache),
        # It looks through a class for its methods, at each request.
        (moto_responses, "method_names_from_class", functools.cache),
        # It lists moto's own folder to recognise a host, at each request.
        (DomainDispatcherApplication, "get_backend_for_host", functools.cache),
        (ResponseSerializer, "get_value", _pick_from_dicts_at_once),
        (BaseJSONSerializer, "_serialize_type_structure", _write_rows_as_they_are),
        (AmazonStateLanguageParser, "parse", _parse_once),
        # Each path would be parsed again in each state, by a parser made for it.
        (json_path, "parse", functools.cache),
        (result_path, "parse", functools.cache),
        # Each item of a transaction would copy whole tables.
        (dynamodb_models, "copy", lambda _: SimpleNamespace(deepcopy=snapshot)),
        (DynamoDBBackend, "transact_write_items", with_one_snapshot),
        (DynamoDBBackend, "update_item", with_fresh_row),
        (Table, "query", _query_few_rows),
        (DynamoType, "cast_value", _cast_strings_at_once),
        # Each receive would ask the clock ten times for each message that waits.
        (Queue, "messages", lambda _: property(_due_messages)),
        (SQSBackend, "is_message_valid_based_on_retention_period", lambda _: _is_retained),
    ]


def _pick_from_dicts_at_once(original: Callable[..., Any]) -> Callable[..., Any]:
    """Look for a member's value under the names it may have, worked out once and not each time."""

    @functools.cache
    def names(shape: Any, _parent: Any, key: str) -> tuple[str, ...]:
        context = AttributePickerContext(obj={}, key=key, shape=shape)
        return tuple(dict.fromkeys(XFormedAttributePicker().get_possible_keys(context)))

    def get_value(serializer: Any, value: Any, key: str, shape: Any) -> Any:
        picker = serializer._value_picker
        if (
            type(value) is not dict
            or type(picker) is not XFormedAttributePicker
            or picker.response_transformers
        ):
            return original(serializer, value, key, shape)
        for name in names(shape, getattr(shape, "parent", None), key):
            if name in value:
                return value[name]
        return None

    return get_value


def _write_rows_as_they_are(original: Callable[..., None]) -> Callable[..., None]:
    """Write most DynamoDB values as stored: moto checks for ten types, each under many names."""

    def serialize(serializer: Any, serialized: Any, value: Any, shape: Any, key: str) -> None:
        if shape.name == "AttributeValue" and _is_as_written(value):
            serializer._default_serialize(serialized, value, shape, key)
        else:
            original(serializer, serialized, value, shape, key)

    return serialize


def _is_as_written(value: Any) -> bool:
    if type(value) is not dict or len(value) != 1:
        return False
    ((kind, content),) = value.items()
    if kind == "M" and type(content) is dict:
        return all(map(_is_as_written, content.values()))
    if kind == "L" and type(content) is list:
        return all(map(_is_as_written, content))
    return type(content) is _SCALARS.get(kind)


def _query_few_rows(original: Callable[..., Any]) -> Callable[..., Any]:
    """Query a copy of a table with none but the wanted rows: moto would sort all, each time."""

    @functools.wraps(original)
    def query(
        table: Table, hash_key: Any, *args: Any, hash_key_conditions: Any = None, **kwargs: Any
    ) -> Any:
        few, is_indexed = copy.copy(table), bool(args[_INDEX_NAME])
        if table.has_range_key and is_indexed:
            few.items = {  # type: ignore[assignment] # is only read
                key: {name: row for name, row in rows.items() if _has(row, hash_key_conditions)}
                for key, rows in table.items.items()
            }
        elif table.has_range_key and hash_key is not None:
            few.items = {hash_key: table.items.get(hash_key, {})}  # type: ignore[assignment] # too
        return original(few, hash_key, *args, hash_key_conditions=hash_key_conditions, **kwargs)

    return query


_INDEX_NAME = 6
"""Its place among the arguments of a query that follow the hash key."""


def _has(row: Item, attributes: Iterable[tuple[str, DynamoType]] | None) -> bool:
    return all(name in row.attrs and row.attrs[name] == value for name, value in attributes or ())


def _cast_strings_at_once(original: Any) -> property:
    """Compare strings, which most keys are, without asking for six other types first."""
    return property(lambda value: value.value if value.type == "S" else original.fget(value))


def _parse_once(original: Callable[[str], tuple[Any, Any]]) -> Callable[[str], tuple[Any, Any]]:
    """Give each execution a copy of the parsed program, which moto would parse again."""
    parse = functools.cache(original)

    def parse_once(definition: str) -> tuple[Any, Any]:
        program, tree = parse(definition)
        return copy.deepcopy(program), tree

    return parse_once


def _due_messages(queue: Any) -> list[Any]:
    now = unix_time_millis()
    return [one for one in queue._messages if one.visible_at < now >= one.delayed_until]


def _is_retained(backend: Any, queue_name: str, message: Any) -> bool:
    seconds = backend.get_queue(queue_name).message_retention_period
    return bool(message.sent_timestamp + seconds * 1000 > unix_time_millis())
