"""Changes to moto so that it can serve as an embedded cloud.

Every hook replaces a private name of moto 5.2.5; test_moto_tripwires.py fails when one of them has
changed.
"""

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any

from moto.core.base_backend import AccountSpecificBackend
from moto.core.config import default_user_config
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.responses import ActionResult
from moto.core.utils import unix_time_millis
from moto.dynamodb.responses import DynamoHandler
from moto.events.models import events_backends
from moto.s3 import notifications
from moto.s3.models import s3_backends
from moto.s3.responses import S3Response
from moto.sqs.models import Queue, SQSBackend, sqs_backends
from moto.stepfunctions.parser.api import TaskTimedOut
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.resource import (
    ResourceCondition,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_callback import (  # noqa: E501 # its name
    StateTaskServiceCallback,
)
from moto.stepfunctions.parser.asl.eval.callback.callback import (
    CallbackEndpoint,
)
from moto.stepfunctions.parser.asl.utils import boto_client

from dropscale_embedded.cloud.aws_clients import ClientFactory
from dropscale_embedded.cloud.functions_client import FunctionsClient, Invoke
from dropscale_embedded.cloud.journalled_tables import journalled
from dropscale_embedded.cloud.moto_economies import Hook, economies, hooked
from dropscale_embedded.cloud.object_events import REASONS, CreatedObject
from dropscale_embedded.journal import Journal

ObjectEvent = Callable[[CreatedObject], Any]

# moto counts whole milliseconds, and a message is visible only after its due time.
_DUE_MARGIN_SECONDS = 0.002


class _StoppingError(Exception):
    """The cloud is stopping: receives on queues no longer wait."""


@contextmanager
def hooked_moto(
    *,
    clients: ClientFactory,
    invoke: Invoke,
    object_event: ObjectEvent,
    stopping: threading.Event,
    written: threading.Event,
    journal: Journal | None,
) -> Iterator[None]:
    """Change moto until the context ends.

    Args:
        clients: Makes the state machine interpreter's clients, except Lambda's.
        invoke: Runs a function, by its name, on an event.
        object_event: Makes the EventBridge event of a created object.
        stopping: Once set, nothing waits any longer.
        written: Is set each time that something was put into a bucket.
        journal: Stores the rows of tables; None: they are not stored.
    """

    # A new client per step would take half of the interpreter's time.
    @functools.cache
    def interpreter_client(service: str) -> Any:
        if service == "lambda":
            return FunctionsClient(invoke)
        # Retries are the state machine's.
        return clients.new_client(
            service, parameter_validation=False, retries={"total_max_attempts": 1}
        )

    interpreter_boto3 = SimpleNamespace(
        client=lambda *, service_name, **_: interpreter_client(service_name)
    )
    interpreter_time = SimpleNamespace(sleep=stopping.wait)
    dynamodb_lock, s3_lock = threading.RLock(), threading.RLock()
    keep = (lambda action: action) if journal is None else journalled(journal)
    hooks: list[Hook] = [
        *economies(),
        # It reads the list of all AWS endpoints.
        (AccountSpecificBackend, "_generate_regions", lambda _: lambda *_: [clients.region]),
        (boto_client, "boto3", lambda _: interpreter_boto3),
        (retrier_decl, "time", lambda _: interpreter_time),
        (StateTaskServiceCallback, "_evaluate_with_timeout", _with_a_token_for_each_try),
        (CallbackEndpoint, "notify", _refuse_dead_tokens),
        (notifications, "send_event", lambda _: _send_event(object_event)),
        (Queue, "wait_for_messages", lambda _: _wait_for_messages(stopping)),
        (SQSBackend, "receive_message", _lock_queue),
        (SQSBackend, "receive_message", _end_at_once),
        (SQSBackend, "delete_message", _lock_queue),
        (SQSBackend, "change_message_visibility", _lock_queue),
        # Conditional writes check first and then write: two of them must not interleave.
        (DynamoHandler, "call_action", keep),
        (DynamoHandler, "call_action", _serialize(dynamodb_lock)),
        (S3Response, "get_bucket_notification", _with_event_bridge),
        (S3Response, "_key_response_put", _serialize(s3_lock)),
        (S3Response, "_key_response_put", _telling(written)),
        (S3Response, "_key_response_post", _serialize(s3_lock)),
        (S3Response, "_key_response_delete", _serialize(s3_lock)),
    ]
    with ExitStack() as undo:
        undo.enter_context(hooked(hooks))
        undo.callback(
            default_user_config.__setitem__, "stepfunctions", default_user_config["stepfunctions"]
        )
        default_user_config["stepfunctions"] = {"execute_state_machine": True}
        yield


def wake_queues() -> None:
    """Make every waiting receive check again, for the last time if the cloud is stopping."""
    for backends in sqs_backends.values():
        for backend in backends.values():
            for queue in backend.queues.values():
                with queue._messages_lock:
                    queue._messages_lock.notify_all()


def end_waits_for_tokens(execution: Any) -> None:
    """End the waits of an execution that a token would end."""
    for endpoint in [*execution.exec_worker.env.callback_pool_manager._pool.values()]:
        endpoint.interrupt_all()


def put_deleted_version(bucket: str, key: str, version_id: str, body: bytes) -> None:
    """Put a version of an object below a delete marker; no client can choose a version's id."""
    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    written = backend.put_object(bucket, key, body, disable_notification=True)
    written._version_id = version_id
    backend.delete_object(bucket, key)


def _with_a_token_for_each_try(original: Callable[..., None]) -> Callable[..., None]:
    """Give each try of a task a token of its own, as AWS does, and end the token with the try.

    moto gives a task one token for all its tries, and takes it even when the task is over.
    https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html#wait-token-contextobject
    """

    @functools.wraps(original)
    def evaluate(state: Any, env: Any) -> None:
        context, pool = env.states.context_object, env.callback_pool_manager
        if state.resource.condition is not ResourceCondition.WaitForTaskToken:
            original(state, env)
            return
        endpoint = pool.get(context.context_object_data["Task"]["Token"])
        if endpoint._notify_event.is_set():
            endpoint = pool.add(context.update_task_token())
        try:
            original(state, env)
        finally:
            endpoint.interrupt_all()

    return evaluate


def _refuse_dead_tokens(original: Callable[..., None]) -> Callable[..., None]:
    """Take one answer to a token, and none when its try is over."""
    lock = threading.Lock()

    def notify(endpoint: Any, outcome: Any) -> None:
        with lock:
            if endpoint._notify_event.is_set():
                # moto's own way to say so ends in a TypeError.
                raise TaskTimedOut("Provided task does not exist anymore", TaskTimedOut.code, 400)
            original(endpoint, outcome)

    return notify


def _send_event(object_event: ObjectEvent) -> Callable[..., None]:
    def send_event(account_id: str, event_name: str, bucket: Any, key: Any) -> None:
        configuration = bucket.notification_configuration
        reason = REASONS.get(event_name)
        if reason is None or configuration is None or configuration.event_bridge is None:
            return
        # moto's completion of a multipart upload also puts the object; S3 sends no event for that.
        if key.multipart is not None and reason == "PutObject":
            return
        written = CreatedObject(
            bucket=bucket.name,
            key=key.name,
            size=key.size,
            etag=key.etag.strip('"'),
            version_id=key.version_id if bucket.is_versioned else None,
            reason=reason,
        )
        event = object_event(written)
        rules = events_backends[account_id][bucket.region_name].event_buses["default"].rules
        for rule in rules.values():
            if rule.state == "ENABLED":
                rule.send_to_targets(event, transform_input=False)

    return send_event


def _with_event_bridge(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Report that a bucket's events go to EventBridge, which moto stores but does not return."""

    def get_bucket_notification(response: Any) -> Any:
        bucket = response.backend.get_bucket(response.bucket_name)
        configuration = bucket.notification_configuration
        if configuration is None or configuration.event_bridge is None:
            return original(response)
        response.data["Action"] = "GetBucketNotificationConfiguration"
        return response.serialized(ActionResult({"EventBridgeConfiguration": {}}))

    return get_bucket_notification


def _wait_for_messages(stopping: threading.Event) -> Callable[..., None]:
    """Wake when a delayed or hidden message is due, not up to a second later."""

    def wait_for_messages(queue: Any, timeout: float) -> None:
        with queue._messages_lock:
            if stopping.is_set():
                raise _StoppingError
            due = [max(message.visible_at, message.delayed_until) for message in queue._messages]
            seconds = (min(due) - unix_time_millis()) / 1000 if due else timeout
            if seconds >= 0:
                queue._messages_lock.wait(min(timeout, seconds + _DUE_MARGIN_SECONDS))

    return wait_for_messages


def _end_at_once(original: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    @functools.wraps(original)
    def receive_message(*args: Any, **kwargs: Any) -> list[Any]:
        try:
            return original(*args, **kwargs)
        except _StoppingError:
            return []

    return receive_message


def _lock_queue(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def locked(backend: Any, queue_name: str, *args: Any, **kwargs: Any) -> Any:
        with backend.get_queue(queue_name)._messages_lock:
            return original(backend, queue_name, *args, **kwargs)

    return locked


def _telling(event: threading.Event) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def telling(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def tell(*args: Any, **kwargs: Any) -> Any:
            try:
                return original(*args, **kwargs)
            finally:
                event.set()

        return tell

    return telling


def _serialize(lock: threading.RLock) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def serialize(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def locked(*args: Any, **kwargs: Any) -> Any:
            with lock:
                return original(*args, **kwargs)

        return locked

    return serialize
