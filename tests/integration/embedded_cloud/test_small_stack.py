"""A whole stack: bucket, rule, queue, function, state machine, table, results."""

import contextlib
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.dynamodb.responses import DynamoHandler
from moto.s3.responses import S3Response
from moto.sqs.models import Message, Queue, SQSBackend, sqs_backends

from dropscale_embedded.cloud import AlreadyRunningError, EmbeddedCloud

Eventually = Callable[..., Any]

STACK = Path(__file__).parent / "stack"
WORKED = "folder/a b+ü%.json"


def drop(cloud: EmbeddedCloud, key: str, **order: Any) -> None:
    body = json.dumps(order).encode()
    cloud.client("s3").put_object(Bucket=cloud.outputs["Inbox"], Key=key, Body=body)


def result(cloud: EmbeddedCloud, key: str) -> bytes | None:
    try:
        got = cloud.client("s3").get_object(Bucket=cloud.outputs["Results"], Key=key)
    except ClientError:
        return None
    body: bytes = got["Body"].read()
    return body


def seen(cloud: EmbeddedCloud, key: str, receive: int = 1) -> dict[str, Any] | None:
    body = result(cloud, f"seen/{key}/{receive}")
    return None if body is None else json.loads(body)


def detail_of(sight: dict[str, Any]) -> dict[str, Any]:
    (record,) = sight["event"]["Records"]
    detail: dict[str, Any] = json.loads(record["body"])["detail"]
    return detail


def key_of(body: str) -> str:
    """Return the key that a message is about."""
    return str(json.loads(body)["detail"]["object"]["key"])


def ended_execution(cloud: EmbeddedCloud, key: str) -> dict[str, Any] | None:
    states = cloud.client("stepfunctions")
    for item in states.list_executions(stateMachineArn=cloud.outputs["Machine"])["executions"]:
        execution: dict[str, Any] = states.describe_execution(executionArn=item["executionArn"])
        if json.loads(execution["input"])["key"] == key and execution["status"] != "RUNNING":
            return execution
    return None


@pytest.fixture(scope="module", autouse=True)
def slow_drops(cloud: EmbeddedCloud) -> None:
    """Drop at once what takes seconds, so that the tests wait for all of it together."""
    drop(cloud, WORKED, do="work")
    for do in ("hang", "break", "exit"):
        drop(cloud, f"errors/{do}.json", do=do)


def test_a_drop_passes_through_wait_retry_choice_and_layer(
    cloud: EmbeddedCloud, eventually: Eventually
) -> None:
    key = WORKED
    assert eventually(lambda: result(cloud, key)) == b"from the layer"
    execution = eventually(lambda: ended_execution(cloud, key))
    assert execution["status"] == "SUCCEEDED"
    item = cloud.client("dynamodb").get_item(
        TableName=cloud.outputs["Table"], Key={"pk": {"S": key}}
    )["Item"]
    assert item["runs"] == {"N": "3"}  # one failed, one was not done yet, one finished


def test_the_handler_sees_a_real_looking_event_and_context(
    cloud: EmbeddedCloud, eventually: Eventually
) -> None:
    key = "looks/a b+ü%.json"
    drop(cloud, key, do="refuse")
    sight = eventually(lambda: seen(cloud, key))
    (record,) = sight["event"]["Records"]
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert record["eventSource"] == "aws:sqs"
    event = json.loads(record["body"])
    assert (event["source"], event["detail-type"]) == ("aws.s3", "Object Created")
    head = cloud.client("s3").head_object(Bucket=cloud.outputs["Inbox"], Key=key)
    assert event["detail"]["object"]["key"] == key
    assert event["detail"]["object"]["version-id"] == head["VersionId"]
    assert event["detail"]["object"]["etag"] == head["ETag"].strip('"')
    assert event["detail"]["object"]["size"] == head["ContentLength"]
    assert sight["context"]["function_name"] == "dropscale-ReceiveFunction"
    assert sight["context"]["arn"].endswith(":function:dropscale-ReceiveFunction")
    assert 0 < sight["context"]["remaining"] <= 10_000
    assert sight["secret"] == "hush"


def test_a_handler_has_only_its_own_environment(
    cloud: EmbeddedCloud, eventually: Eventually
) -> None:
    drop(cloud, "environment.json", do="refuse")
    names = set(eventually(lambda: seen(cloud, "environment.json"))["environment"])
    from_template = {"TABLE", "RESULTS", "SECRET", "STATE_MACHINE"}
    from_lambda = {"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "_HANDLER", "TZ", "LANG"}
    from_machine = {"PATH", "HOME", "TMPDIR", "PYTHONPATH", "LC_CTYPE"}
    others = names - from_template - from_lambda - from_machine
    assert names >= from_template | from_lambda
    assert {name for name in others if not name.startswith("AWS_")} == set()


def test_multipart_uploads_and_copies_are_drops_once_each(
    cloud: EmbeddedCloud, eventually: Eventually
) -> None:
    s3, bucket = cloud.client("s3"), cloud.outputs["Inbox"]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="multi.json")["UploadId"]
    part = {"Bucket": bucket, "Key": "multi.json", "UploadId": upload, "PartNumber": 1}
    etag = s3.upload_part(Body=b'{"do": "refuse"}', **part)["ETag"]
    s3.complete_multipart_upload(
        Bucket=bucket,
        Key="multi.json",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]},
    )
    sight = eventually(lambda: seen(cloud, "multi.json"))
    assert detail_of(sight)["reason"] == "CompleteMultipartUpload"

    s3.copy_object(
        Bucket=bucket, Key="copy.json", CopySource={"Bucket": bucket, "Key": "multi.json"}
    )
    sight = eventually(lambda: seen(cloud, "copy.json"))
    assert detail_of(sight)["object"]["size"] == 16


def test_the_rules_pattern_is_honoured(cloud: EmbeddedCloud, eventually: Eventually) -> None:
    drop(cloud, "ignored/one.json", do="refuse")
    drop(cloud, "after.json", do="refuse")
    eventually(lambda: seen(cloud, "after.json"))
    assert seen(cloud, "ignored/one.json") is None


def test_a_message_that_keeps_failing_goes_to_the_dead_letter_queue(
    cloud: EmbeddedCloud, eventually: Eventually
) -> None:
    failing = {f"dead/{do}.json": do for do in ("refuse", "raise")}
    for key, do in failing.items():
        drop(cloud, key, do=do)
    sqs, url = cloud.client("sqs"), cloud.outputs["DeadLetterQueueUrl"]
    failed, dead = set[str](), set[str]()

    def have_failed() -> bool:
        failed.update(map(key_of, cloud.take_failed()))
        return failing.keys() <= failed

    def are_dead() -> bool:
        for message in sqs.receive_message(QueueUrl=url).get("Messages", []):
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            dead.add(key_of(message["Body"]))
        return failing.keys() <= dead

    eventually(have_failed)
    eventually(are_dead)
    for key in failing:
        eventually(lambda key=key: seen(cloud, key, receive=2))
        assert seen(cloud, key, receive=3) is None


@pytest.mark.parametrize(
    ("do", "status", "error"),
    [
        ("hang", "SUCCEEDED", "Sandbox.Timedout"),
        ("break", "FAILED", "ValueError"),
        ("exit", "FAILED", "Runtime.ExitError"),
    ],
)
def test_the_state_machine_sees_lambdas_errors_and_the_log_what_handlers_say(
    cloud: EmbeddedCloud,
    eventually: Eventually,
    log_path: Path,
    do: str,
    status: str,
    error: str,
) -> None:
    key = f"errors/{do}.json"
    execution = eventually(lambda: ended_execution(cloud, key))
    assert execution["status"] == status
    outcome = (
        execution
        if status == "FAILED"
        else {key.lower(): value for key, value in json.loads(execution["output"])["error"].items()}
    )
    assert outcome["error"] == error
    cause = json.loads(outcome["cause"])
    assert cause["errorType"] == error
    expected = {
        "hang": "Task timed out after 4.00 seconds",
        "break": "no good",
        "exit": "exit status 3",
    }
    assert expected[do] in cause["errorMessage"]
    if do == "break":
        assert cause["stackTrace"][-1].splitlines()[1].strip() == 'raise ValueError("no good")'
    logged = {
        "hang": [
            "about to hang",
            "WorkFunction: Sandbox.Timedout: Task timed out after 4.00 seconds",
        ],
        "break": ["ValueError: no good"],
        "exit": [],
    }
    log = log_path.read_text()
    assert [line for line in logged[do] if line not in log] == []


def test_a_schedule_fires_at_once(cloud: EmbeddedCloud, eventually: Eventually) -> None:
    eventually(
        lambda: (
            cloud.client("dynamodb")
            .get_item(TableName=cloud.outputs["Table"], Key={"pk": {"S": "scheduled"}})
            .get("Item")
        )
    )


def test_a_secret_without_a_value_cannot_be_read(cloud: EmbeddedCloud) -> None:
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        cloud.client("secretsmanager").get_secret_value(SecretId=cloud.outputs["UnsetSecret"])


@pytest.mark.parametrize(
    ("handler", "name"), [(DynamoHandler, "put_item"), (S3Response, "put_object")]
)
def test_conditional_writes_do_not_interleave(
    cloud: EmbeddedCloud, monkeypatch: pytest.MonkeyPatch, handler: Any, name: str
) -> None:
    """Two writers of one thing: while one is at it, the other waits outside."""
    meeting = threading.Barrier(2)
    met = []
    original = getattr(handler, name)

    def meet_then_write(self: Any) -> Any:
        with contextlib.suppress(threading.BrokenBarrierError):
            met.append(meeting.wait(timeout=0.5))
        return original(self)

    monkeypatch.setattr(handler, name, meet_then_write)
    outcomes = []

    def write() -> None:
        try:
            write_once(cloud, name)
            outcomes.append("won")
        except ClientError as error:
            outcomes.append(error.response["Error"]["Code"])

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert met == []
    assert sorted(outcomes) in (
        ["ConditionalCheckFailedException", "won"],
        ["PreconditionFailed", "won"],
    )


@pytest.mark.parametrize(
    ("owner", "step"),
    [
        (SQSBackend, "is_message_valid_based_on_retention_period"),
        (Message, "change_visibility"),
        (Queue, "delete_message"),
    ],
)
def test_no_message_comes_between_the_steps_of_a_queue_operation(
    cloud: EmbeddedCloud, monkeypatch: pytest.MonkeyPatch, owner: Any, step: str
) -> None:
    """A queue rebuilds its list to delete from it: messages sent meanwhile would be lost."""
    queue = sqs_backends["123456789012"][cloud.region].create_queue(f"steps-of-{step}", None)
    original = getattr(owner, step)
    lock_was_free = []

    def look_at_lock() -> None:
        lock_was_free.append(queue._messages_lock.acquire(blocking=False))
        if lock_was_free[-1]:
            queue._messages_lock.release()

    def look_at_lock_then_go_on(*args: Any) -> Any:
        sender = threading.Thread(target=look_at_lock)
        sender.start()
        sender.join()
        return original(*args)

    monkeypatch.setattr(owner, step, look_at_lock_then_go_on)
    sqs, url = cloud.client("sqs"), f"{cloud.endpoint_url}/123456789012/{queue.name}"
    sqs.send_message(QueueUrl=url, MessageBody="x")
    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    handle = {"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]}
    sqs.change_message_visibility(VisibilityTimeout=5, **handle)
    sqs.delete_message(**handle)
    assert set(lock_was_free) == {False}


def write_once(cloud: EmbeddedCloud, name: str) -> None:
    if name == "put_item":
        cloud.client("dynamodb").put_item(
            TableName=cloud.outputs["Table"],
            Item={"pk": {"S": "race"}},
            ConditionExpression="attribute_not_exists(pk)",
        )
    else:
        cloud.client("s3").put_object(
            Bucket=cloud.outputs["Results"], Key="race", Body=b"x", IfNoneMatch="*"
        )


def test_outputs_and_credentials_serve_a_plain_boto3_client(cloud: EmbeddedCloud) -> None:
    sqs = boto3.client(
        "sqs", endpoint_url=cloud.endpoint_url, region_name=cloud.region, **cloud.credentials
    )
    attributes = sqs.get_queue_attributes(
        QueueUrl=cloud.outputs["QueueUrl"], AttributeNames=["VisibilityTimeout"]
    )["Attributes"]
    assert attributes == {"VisibilityTimeout": "1"}


def test_one_cloud_per_process(cloud: EmbeddedCloud) -> None:
    with pytest.raises(AlreadyRunningError), EmbeddedCloud(template=STACK / "template.yaml"):
        pass


def test_each_try_of_a_task_has_a_token_that_works_once(
    cloud: EmbeddedCloud, eventually: Eventually
) -> None:
    states, sqs = cloud.client("stepfunctions"), cloud.client("sqs")
    queue = sqs.create_queue(QueueName="tokens")["QueueUrl"]
    told = {"token.$": "$$.Task.Token", "entered.$": "$$.State.EnteredTime"}
    retrier = {"ErrorEquals": ["Again"], "IntervalSeconds": 1, "MaxAttempts": 1, "BackoffRate": 1.0}
    wait = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {"QueueUrl": queue, "MessageBody": told},
        "TimeoutSecondsPath": "$.seconds",
        "ResultPath": None,
        "Retry": [retrier],
        "Catch": [{"ErrorEquals": ["States.Timeout"], "ResultPath": None, "Next": "Rest"}],
        "End": True,
    }
    rest = {"Type": "Wait", "Seconds": 600, "End": True}
    machine = states.create_state_machine(
        name="tokens",
        definition=json.dumps({"StartAt": "Wait", "States": {"Wait": wait, "Rest": rest}}),
        roleArn="arn:aws:iam::123456789012:role/machine",
    )["stateMachineArn"]

    def token() -> str:
        found = eventually(lambda: sqs.receive_message(QueueUrl=queue).get("Messages"))
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=found[0]["ReceiptHandle"])
        return str(json.loads(found[0]["Body"])["token"])

    def is_dead(token: str) -> bool:
        try:
            states.send_task_success(taskToken=token, output="{}")
        except (states.exceptions.TaskTimedOut, states.exceptions.InvalidToken):
            return True
        return False

    def start(name: str, seconds: int) -> Callable[[], str]:
        told = json.dumps({"seconds": seconds})
        arn = states.start_execution(stateMachineArn=machine, name=name, input=told)["executionArn"]
        return lambda: states.get_execution_history(executionArn=arn)["events"][-1]["type"]

    last_event = start("tried-twice", 600)
    first = token()
    states.send_task_failure(taskToken=first, error="Again")
    second = token()
    assert is_dead(first)
    assert not is_dead(second)
    assert is_dead(second)
    eventually(lambda: last_event() == "ExecutionSucceeded")

    last_event = start("out-of-time", 1)
    late = token()
    eventually(lambda: last_event() == "WaitStateEntered")
    assert is_dead(late)
