"""An embedded cloud leaves nothing behind; and its errors when it cannot start."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dropscale_embedded.cloud import (
    EmbeddedCloud,
    InvalidParameterError,
    InvalidTemplateError,
    PortInUseError,
)

Eventually = Callable[..., Any]

HERE = Path(__file__).parent
STACK = HERE / "stack"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Where the held function calls; its end of the connection closes when it dies."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(240)
        yield server


def held_stack(folder: Path, listener: socket.socket) -> Path:
    """A stack with one function, which calls the listener and continues when it is answered."""
    (folder / "held").mkdir()
    (folder / "held" / "app.py").write_text(
        "import os, socket\n"
        "def handler(event, context):\n"
        "    with socket.create_connection(('127.0.0.1', int(os.environ['PORT']))) as calling:\n"
        "        calling.sendall(b'held')\n"
        "        calling.recv(1)\n"
        "        calling.sendall(b'done')\n"
    )
    template = folder / "template.yaml"
    template.write_text(f"""
Resources:
  Held:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: held/
      Handler: app.handler
      Runtime: python3.13
      Timeout: 60
      Environment: {{Variables: {{PORT: {listener.getsockname()[1]}}}}}
      Events:
        Once: {{Type: ScheduleV2, Properties: {{ScheduleExpression: rate(1 day)}}}}
""")
    return template


def await_token(cloud: EmbeddedCloud, seconds: int) -> str:
    """Start an execution that waits for its token; return the URL of the queue that has it."""
    states = cloud.client("stepfunctions")
    queue: str = cloud.client("sqs").create_queue(QueueName="tokens")["QueueUrl"]
    wait = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {"QueueUrl": queue, "MessageBody.$": "$$.Task.Token"},
        "TimeoutSeconds": seconds,
        "End": True,
    }
    machine = states.create_state_machine(
        name="tokens",
        definition=json.dumps({"StartAt": "Wait", "States": {"Wait": wait}}),
        roleArn="arn:aws:iam::123456789012:role/machine",
    )
    states.start_execution(stateMachineArn=machine["stateMachineArn"], name="token")
    return queue


def accept(listener: socket.socket) -> socket.socket:
    calling, _ = listener.accept()
    calling.settimeout(240)
    assert calling.recv(4) == b"held"
    return calling


def ended(calling: socket.socket) -> bool:
    """Whether the caller has died; waits until it has."""
    try:
        return calling.recv(4) == b""
    except ConnectionResetError:
        return True


@pytest.mark.usefixtures("own_fork_server")
def test_stop_leaves_no_thread_no_process_and_no_port(
    tmp_path: Path, eventually: Eventually
) -> None:
    """Also while executions are in a long wait, wait for a retry or a token, or are in a task."""
    shutil.copytree(STACK, tmp_path, dirs_exist_ok=True)
    machine = tmp_path / "machine.asl.yaml"
    machine.write_text(machine.read_text().replace("IntervalSeconds: 1", "IntervalSeconds: 600"))
    template = tmp_path / "template.yaml"
    template.write_text(template.read_text().replace("Timeout: 4\n", "Timeout: 60\n"))
    before = set(threading.enumerate())
    with EmbeddedCloud(template=template, stop_grace_seconds=0.1) as cloud:
        for name, do, seconds in [
            ("wait", "work", 3600),
            ("retry", "work", 0),
            ("task", "hang", 0),
        ]:
            cloud.client("stepfunctions").start_execution(
                stateMachineArn=cloud.outputs["Machine"],
                name=name,
                input=json.dumps({"wait_seconds": seconds, "key": name, "do": do}),
            )
        queue = await_token(cloud, 3600)
        sqs = cloud.client("sqs")
        eventually(lambda: sqs.receive_message(QueueUrl=queue).get("Messages"))
        dynamodb, table = cloud.client("dynamodb"), cloud.outputs["Table"]
        for key in ("retry", "task"):
            eventually(
                lambda key=key: dynamodb.get_item(TableName=table, Key={"pk": {"S": key}}).get(
                    "Item"
                )
            )
        port = int(cloud.endpoint_url.rpartition(":")[2])
    eventually(lambda: set(threading.enumerate()) <= before)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_delayed_messages_arrive_when_they_are_due(eventually: Eventually) -> None:
    parameters = {"DelaySeconds": "1"}
    with EmbeddedCloud(
        template=STACK / "template.yaml", parameters=parameters, secrets={"Secret": "x"}
    ) as cloud:
        s3, results = cloud.client("s3"), cloud.outputs["Results"]
        for key in "ab":  # one for each of the two that wait for messages
            s3.put_object(Bucket=cloud.outputs["Inbox"], Key=key, Body=b'{"do": "refuse"}')
        sightings = eventually(
            lambda: (
                (found := s3.list_objects_v2(Bucket=results, Prefix="seen/").get("Contents"))
                and len(found) >= 2
                and found
            )
        )
        for item in sightings:
            got = s3.get_object(Bucket=results, Key=item["Key"])
            (record,) = json.load(got["Body"])["event"]["Records"]
            times = record["attributes"]
            waited = int(times["ApproximateFirstReceiveTimestamp"]) - int(times["SentTimestamp"])
            assert 1000 <= waited < 1300


def test_nothing_of_a_stopped_cloud_is_in_the_next() -> None:
    for _ in range(2):
        with EmbeddedCloud(template=STACK / "template.yaml") as cloud:
            s3, bucket = cloud.client("s3"), cloud.outputs["Results"]
            assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
            s3.put_object(Bucket=bucket, Key="left", Body=b"")


def test_the_callers_environment_has_no_say(
    monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nowhere")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("MAGIC_HOUR_API_KEY", "real")
    with EmbeddedCloud(template=STACK / "template.yaml", secrets={"Secret": "x"}) as cloud:
        s3, results = cloud.client("s3"), cloud.outputs["Results"]
        s3.put_object(Bucket=cloud.outputs["Inbox"], Key="k", Body=b'{"do": "refuse"}')
        eventually(lambda: s3.list_objects_v2(Bucket=results)["KeyCount"])
        environment = json.load(s3.get_object(Bucket=results, Key="seen/k/1")["Body"])[
            "environment"
        ]
    assert environment["AWS_ENDPOINT_URL"] == cloud.endpoint_url
    assert not environment.keys() & {"AWS_PROFILE", "HTTP_PROXY", "MAGIC_HOUR_API_KEY"}


def test_a_running_handler_may_finish_before_the_stop(
    tmp_path: Path, listener: socket.socket
) -> None:
    with EmbeddedCloud(template=held_stack(tmp_path, listener), stop_grace_seconds=15):
        calling = accept(listener)
        threading.Timer(0.2, calling.sendall, [b"x"]).start()
    with calling:
        assert calling.recv(4) == b"done"


def test_a_handler_that_outlasts_the_grace_is_killed(
    tmp_path: Path, listener: socket.socket
) -> None:
    with EmbeddedCloud(template=held_stack(tmp_path, listener), stop_grace_seconds=0.1):
        calling = accept(listener)
    with calling:
        assert ended(calling)


def start_process(template: Path, log: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, HERE / "cloud_process.py", template, log],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_workers_end_with_a_killed_parent_even_amid_a_handler(
    tmp_path: Path, listener: socket.socket
) -> None:
    template = held_stack(tmp_path, listener)
    with start_process(template, tmp_path / "log") as parent, accept(listener) as calling:
        parent.kill()
        assert ended(calling)


def test_ctrl_c_lets_a_handler_finish_and_ends_quietly(
    tmp_path: Path, listener: socket.socket
) -> None:
    log = tmp_path / "log"
    with start_process(held_stack(tmp_path, listener), log) as parent:
        with accept(listener) as calling:
            assert parent.stdout is not None
            assert parent.stdout.readline() == "started\n"
            os.killpg(parent.pid, signal.SIGINT)  # as a terminal does
            assert parent.stdout.readline() == "stopping\n"
            calling.sendall(b"x")
            assert calling.recv(4) == b"done"
        output, errors = parent.communicate(timeout=15)
    assert (output, errors, parent.returncode) == ("stopped\n", "", 130)
    assert log.read_text() == ""


def test_a_refused_start_leaves_nothing_behind(
    listener: socket.socket, eventually: Eventually
) -> None:
    before = set(threading.enumerate())
    port = listener.getsockname()[1]
    refused: list[tuple[type[Exception], str, dict[str, Any]]] = [
        (InvalidParameterError, "at most 900", {"parameters": {"DelaySeconds": "901"}}),
        (InvalidParameterError, "no secret Nope", {"secrets": {"Nope": "x"}}),
        (PortInUseError, f"port {port} .*in use", {"port": port}),
    ]
    for error, complaint, options in refused:
        with (
            pytest.raises(error, match=complaint),
            EmbeddedCloud(template=STACK / "template.yaml", **options),
        ):
            pass
        eventually(lambda: set(threading.enumerate()) <= before)
    with EmbeddedCloud(template=STACK / "template.yaml"):
        pass


def test_a_function_without_code(tmp_path: Path) -> None:
    shutil.copytree(STACK, tmp_path, dirs_exist_ok=True)
    (tmp_path / "functions" / "task" / "app.py").unlink()
    with (
        pytest.raises(InvalidTemplateError, match=r"WorkFunction: there is no app\.py"),
        EmbeddedCloud(template=tmp_path / "template.yaml"),
    ):
        pass
