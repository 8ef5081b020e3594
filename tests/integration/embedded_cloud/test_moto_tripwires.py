"""One test per place where the embedded cloud leans on moto's private parts.

A failure here means that moto has changed under moto_hooks.py, moto_economies.py or moto_server.py:
look at both sides before repairing either.
"""

import inspect
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore import session
from botocore.loaders import Loader
from moto import mock_aws
from moto.core import responses as moto_responses
from moto.core import utils as moto_utils
from moto.core.base_backend import AccountSpecificBackend, BackendDict
from moto.core.config import default_user_config
from moto.core.errors import get_exception_service_model
from moto.core.responses import BaseResponse
from moto.core.serialize import (
    AttributePickerContext,
    BaseJSONSerializer,
    ResponseSerializer,
    XFormedAttributePicker,
    get_serializer_class,
)
from moto.dynamodb.models import DynamoDBBackend, dynamodb_backends
from moto.dynamodb.models.table import Table
from moto.dynamodb.responses import DynamoHandler
from moto.events.models import Rule, events_backends
from moto.moto_api._internal.models import MotoAPIBackend, moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler
from moto.s3 import notifications
from moto.s3.models import S3Backend, s3_backends
from moto.s3.responses import S3Response
from moto.sqs.models import Message, Queue, SQSBackend, sqs_backends
from moto.sqs.responses import SQSResponse
from moto.stepfunctions.parser import models as interpreter
from moto.stepfunctions.parser.api import InvocationResponse
from moto.stepfunctions.parser.asl.component.common.path import result_path
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.program.program import Program
from moto.stepfunctions.parser.asl.component.state.exec.execute_state import ExecutionState
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_callback import (  # noqa: E501 # its name
    StateTaskServiceCallback,
)
from moto.stepfunctions.parser.asl.eval.callback.callback import (
    CallbackEndpoint,
    CallbackOutcomeTimedOut,
    CallbackPoolManager,
)
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.asl.utils import boto_client, json_path
from moto.stepfunctions.parser.backend.execution import Execution
from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker
from moto.stepfunctions.responses import get_backend

from dropscale_embedded.cloud.moto_economies import economies, hooked
from dropscale_embedded.cloud.moto_hooks import put_deleted_version
from dropscale_embedded.cloud.object_events import REASONS

Hooked = tuple[Any, str, str, Callable[..., Any] | None]
HOOKED: list[Hooked] = [
    (session, "create_loader", "search_path_string", None),
    (moto_utils, "create_loader", "", moto_utils._load_service_model),
    (
        moto_utils,
        "service_name_from_moto_package_name",
        "moto_package_name",
        get_exception_service_model,
    ),
    (Loader, "list_available_services", "self args kwargs", None),
    (moto_responses, "method_names_from_class", "clazz", BaseResponse.call_action),
    (AccountSpecificBackend, "_generate_regions", "self service_name", None),
    (
        DomainDispatcherApplication,
        "get_backend_for_host",
        "self host",
        DomainDispatcherApplication.get_application,
    ),
    *(
        (notifications, "send_event", "account_id event_name bucket key", caller)
        for caller in (S3Backend.put_object, S3Backend.complete_multipart_upload)
    ),
    (Queue, "wait_for_messages", "self timeout", SQSBackend.receive_message),
    *(
        (SQSBackend, name, f"self queue_name {parameters}", getattr(SQSResponse, name))
        for name, parameters in {
            "receive_message": "count wait_seconds_timeout visibility_timeout "
            "message_attribute_names",
            "delete_message": "receipt_handle",
            "change_message_visibility": "receipt_handle visibility_timeout",
        }.items()
    ),
    (
        SQSBackend,
        "is_message_valid_based_on_retention_period",
        "self queue_name message",
        SQSBackend.receive_message,
    ),
    (DynamoHandler, "call_action", "self", BaseResponse._dispatch),
    (
        DynamoDBBackend,
        "update_item",
        "self table_name key update_expression expression_attribute_names "
        "expression_attribute_values attribute_updates expected condition_expression "
        "return_values_on_condition_check_failure",
        DynamoDBBackend.transact_write_items,
    ),
    (
        DynamoDBBackend,
        "transact_write_items",
        "self transact_items",
        DynamoHandler.transact_write_items,
    ),
    (
        Table,
        "query",
        "self hash_key range_comparison range_objs limit exclusive_start_key scan_index_forward "
        "projection_expressions index_name consistent_read filter_expression hash_key_conditions "
        "range_key_conditions filter_kwargs",
        DynamoDBBackend.query,
    ),
    (
        ResponseSerializer,
        "get_value",
        "self value key shape",
        ResponseSerializer._serialize_structure_member,
    ),
    (BaseJSONSerializer, "_serialize_type_structure", "self serialized value shape key", None),
    (json_path, "parse", "path debug", json_path.extract_json),
    (result_path, "parse", "string", result_path.ResultPath._eval_body),
    (AmazonStateLanguageParser, "parse", "definition", ExecutionWorker._get_evaluation_entrypoint),
    (S3Response, "get_bucket_notification", "self", None),
    *(
        (S3Response, f"_key_response_{method}", f"self {parameters}", S3Response._key_response)
        for method, parameters in {
            "put": "query key_name",
            "post": "request body bucket_name query key_name",
            "delete": "bucket_name query key_name",
        }.items()
    ),
    (StateTaskServiceCallback, "_evaluate_with_timeout", "self env", ExecutionState._eval_state),
    (CallbackEndpoint, "notify", "self outcome", CallbackPoolManager.notify),
    (Rule, "send_to_targets", "self original_event transform_input", None),
    (Execution, "stop", "self stop_date error cause", None),
    (MotoAPIBackend, "reset", "self", None),
    (MotoRequestHandler, "log_request", "self code size", None),
]


@pytest.mark.parametrize(("owner", "name", "parameters", "caller"), HOOKED)
def test_a_hooked_function_is_called_as_expected(
    owner: Any, name: str, parameters: str, caller: Callable[..., Any] | None
) -> None:
    assert list(inspect.signature(getattr(owner, name)).parameters) == parameters.split()
    if caller is not None:
        assert name in caller.__code__.co_names


def test_every_interpreter_client_comes_from_boto3_by_service_name() -> None:
    code = boto_client.boto_client_for.__code__
    assert {"boto3", "client"} <= set(code.co_names)
    assert "service_name" in str(code.co_consts)


def test_functions_are_invoked_by_name_and_payload() -> None:
    used = lambda_eval_utils._invoke_lambda_function.__code__
    assert {"boto_client_for", "invoke"} <= set(used.co_names)
    assert "lambda" in used.co_consts
    described = InvocationResponse.__annotations__
    assert {"StatusCode", "ExecutedVersion", "Payload", "FunctionError"} <= described.keys()


def test_needless_imports_are_prevented() -> None:
    """In a process of its own: others may have imported it before."""
    program = "import dropscale_embedded.cloud, sys; print(*sys.modules)"
    imported = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout.split()
    assert "moto.batch.utils" in imported, "then it needs no keeping out any more"
    kept_out = ["moto.ec2", "moto.batch.models", "moto.awslambda", "moto.ecr", "docker"]
    kept_out += ["cryptography", "samtranslator.swagger.", "samtranslator.model.api", "pydantic.v1"]
    assert {"moto.iam.models", "samtranslator.plugins.globals.globals"} <= set(imported)
    assert not [name for name in imported if name.startswith(tuple(kept_out))]


def test_a_retry_waits_by_time_sleep() -> None:
    assert {"time", "sleep"} <= set(retrier_decl.RetrierDecl._eval_body.__code__.co_names)


def test_a_task_has_one_token_which_an_event_sets() -> None:
    """If tries have tokens of their own, or end them, the hooks are not needed any more."""
    assert "update_task_token" in StateTaskServiceCallback._eval_body.__code__.co_names
    assert "_evaluate_with_timeout" in ExecutionState._eval_state.__code__.co_names
    assert "update_task_token" not in ExecutionState._eval_state.__code__.co_names
    # By its source, as a cloud in this process may have hooked it.
    assert "_evaluate_with_timeout" not in inspect.getsource(StateTaskServiceCallback)
    is_hooked = "_evaluate_with_timeout" in vars(StateTaskServiceCallback)
    pool = CallbackPoolManager(activity_store={})
    endpoint = pool.add("token")
    assert (pool._pool, endpoint._notify_event.is_set()) == ({"token": endpoint}, False)
    endpoint.interrupt_all()
    assert (endpoint._notify_event.is_set(), endpoint.get_outcome()) == (True, None)
    is_taken = pool.notify("token", CallbackOutcomeTimedOut("token"))
    assert is_hooked or is_taken, "a dead token is taken"


def test_the_interpreter_is_chosen_by_configuration() -> None:
    assert default_user_config["stepfunctions"] == {"execute_state_machine": False}
    assert "execute_state_machine" in get_backend.__code__.co_consts
    assert isinstance(interpreter.stepfunctions_parser_backends, BackendDict)


def test_every_execution_thread_is_listed() -> None:
    assert "TMP_THREADS" in Program.eval.__code__.co_names


def test_a_queues_lock_is_a_condition_that_its_owner_may_take_again() -> None:
    queue = sqs_backends["123456789012"]["us-east-1"].create_queue("tripwire", None)
    try:
        assert isinstance(queue._messages_lock, threading.Condition)
        with queue._messages_lock, queue._messages_lock:
            queue._messages_lock.notify_all()
        assert queue._messages == []
    finally:
        moto_api_backend.reset()


def test_a_message_is_due_at_visible_at_and_delayed_until_in_milliseconds() -> None:
    message = Message("id", "body")
    message.mark_sent(delay_seconds=2)
    message.mark_received(visibility_timeout=3)
    sent = message.sent_timestamp
    assert sent is not None
    assert message.delayed_until - sent == pytest.approx(2000, abs=50)
    assert message.visible_at - sent == pytest.approx(3000, abs=50)
    assert isinstance(Queue.messages, property)
    assert "messages" in SQSBackend.receive_message.__code__.co_names


def test_objects_and_buckets_tell_what_an_event_needs() -> None:
    try:
        backend = s3_backends["123456789012"]["aws"]
        bucket = backend.create_bucket("inbox", "us-east-1")
        key = backend.put_object("inbox", "k", b"abc")
        assert bucket.notification_configuration is None
        assert (bucket.region_name, bucket.is_versioned) == ("us-east-1", False)
        assert (key.name, key.size, key.version_id, key.multipart) == ("k", 3, "null", None)
        assert key.etag == '"900150983cd24fb0d6963f7d28e17f72"'
    finally:
        moto_api_backend.reset()


def test_a_version_below_a_delete_marker_is_read_by_its_id_alone() -> None:
    try:
        backend = s3_backends["123456789012"]["aws"]
        backend.create_bucket("inbox", "us-east-1")
        backend.put_bucket_versioning("inbox", "Enabled")
        put_deleted_version("inbox", "k", "its-id", b"abc")
        found = backend.get_object("inbox", "k", version_id="its-id")
        assert (found and found.value) == b"abc"
        assert backend.get_object("inbox", "k") is None
    finally:
        moto_api_backend.reset()


def test_a_row_goes_into_a_table_and_out_again() -> None:
    row = {"pk": {"S": "a"}, "nested": {"M": {"list": {"L": [{"N": "1"}, {"NULL": True}]}}}}
    backend = dynamodb_backends["123456789012"]["us-east-1"]
    try:
        table = backend.create_table(
            "tripwire",
            schema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            attr=[{"AttributeName": "pk", "AttributeType": "S"}],
            throughput=None,
            indexes=[],
            global_indexes=[],
            streams=None,
            billing_mode="PAY_PER_REQUEST",
            sse_specification=None,
            tags=[],
            deletion_protection_enabled=False,
            warm_throughput=None,
        )
        table.put_item(row)
        found = backend.get_item("tripwire", {"pk": row["pk"]})
        assert found is not None
        assert {name: value.to_regular_json() for name, value in found.attrs.items()} == row
        assert (table.hash_key_attr, table.range_key_attr) == ("pk", None)
    finally:
        moto_api_backend.reset()


def test_a_transaction_goes_back_to_a_deep_copy_of_the_table() -> None:
    code = DynamoDBBackend.transact_write_items.__code__
    assert {"copy", "deepcopy"} <= set(code.co_names)


def members(shape: Any, seen: set[str]) -> Iterator[tuple[str, Any]]:
    """Yield the members of all structures below a shape, each with what it is called there."""
    if shape is None or shape.name in seen:
        return
    seen.add(shape.name)
    for name, member in getattr(shape, "members", {}).items():
        member.parent = shape
        yield name, member
        yield from members(member, seen)
    for kind in ("member", "value"):
        yield from members(getattr(shape, kind, None), seen)


@pytest.mark.parametrize("service", ["dynamodb", "events", "s3", "sqs", "stepfunctions"])
def test_a_value_is_found_under_every_name_that_moto_looks_for(service: str) -> None:
    model, seen = moto_utils.get_service_model(service), set[str]()
    picker = XFormedAttributePicker()
    for name in model.operation_names:
        operation = model.operation_model(name)
        serializer = ResponseSerializer(operation, value_picker=picker)
        for key, shape in members(operation.output_shape, seen):
            context = AttributePickerContext(obj={}, key=key, shape=shape)
            names = [*picker.get_possible_keys(context)]
            values: list[dict[str, Any]] = [{}, *({name: name} for name in names)]
            values += [dict.fromkeys(names[n:], n) for n in range(len(names))]
            picked = [serializer.get_value(value, key, shape) for value in values]
            with hooked(economies()):
                assert [serializer.get_value(value, key, shape) for value in values] == picked
    assert len(seen) > 20


def test_a_row_is_written_as_moto_does() -> None:
    text, number = {"S": "Fran\u00e7ois"}, {"N": "1e3"}
    row: dict[str, Any] = {
        **{"text": text, "number": number, "none": {"NULL": True}, "no": {"BOOL": False}},
        **{"map": {"M": {"S": {"M": {}}, "list": {"L": [text, {"L": []}]}}}, "empty": {"S": ""}},
        **{"bytes": {"B": b"1"}, "among": {"L": [{"B": b"2"}, {"SS": ["a", "b"]}, number]}},
    }
    operation = moto_utils.get_service_model("dynamodb").operation_model("GetItem")
    kind = get_serializer_class("dynamodb", "json")

    def written() -> Any:
        return kind(operation, value_picker=XFormedAttributePicker()).serialize({"Item": row})

    with hooked(economies()):
        quickly = written()
    assert quickly == written()


@pytest.mark.parametrize("index", [None, "by due"])
def test_a_query_finds_what_moto_does(index: str | None) -> None:
    by_index: dict[str, Any] = {"IndexName": index} if index else {}
    attributes: tuple[str, ...] = ("pk", "sk", "due")
    with mock_aws():
        dynamodb = boto3.client("dynamodb", "us-east-1")
        dynamodb.create_table(
            TableName="rows",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in attributes],
            KeySchema=[
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "by due",
                    "KeySchema": [{"AttributeName": "due", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
        )
        for number in range(24):
            named = {"pk": f"{number % 3}", "sk": f"{number * 7 % 24:02}", "due": f"{number % 4}"}
            row: dict[str, Any] = {name: {"S": text} for name, text in named.items()}
            if number % 5 == 0:
                del row["due"]
            dynamodb.put_item(TableName="rows", Item=row)

        def found(wanted: str, backwards: bool) -> list[Any]:
            pages = dynamodb.get_paginator("query").paginate(
                TableName="rows",
                KeyConditionExpression=f"{'due' if index else 'pk'} = :wanted",
                ExpressionAttributeValues={":wanted": {"S": wanted}},
                ScanIndexForward=not backwards,
                PaginationConfig={"PageSize": 2},
                **by_index,
            )
            return [page["Items"] for page in pages]

        for wanted in ("0", "1", "2", "nobody"):
            for backwards in (False, True):
                as_moto = found(wanted, backwards)
                with hooked(economies()):
                    assert found(wanted, backwards) == as_moto
                assert (len(as_moto) > 1) is (wanted != "nobody")


def test_rules_are_found_on_the_default_bus() -> None:
    try:
        backend = events_backends["123456789012"]["us-east-1"]
        backend.put_rule("tripwire", event_pattern='{"source": ["aws.s3"]}')
        assert backend.event_buses["default"].rules["tripwire"].state == "ENABLED"
    finally:
        moto_api_backend.reset()


def test_event_names_have_reasons() -> None:
    created = {str(item.value) for item in notifications.S3NotificationEvent}
    created = {name for name in created if name.startswith("s3:ObjectCreated:")}
    assert created - {"s3:ObjectCreated:*"} == set(REASONS)
    assert REASONS[notifications.S3NotificationEvent.OBJECT_CREATED_PUT_EVENT] == "PutObject"
