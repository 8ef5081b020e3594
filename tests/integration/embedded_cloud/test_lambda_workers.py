"""A function's workers: results, errors in Lambda's shapes, limits."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dropscale_embedded.cloud.lambda_workers import FunctionConfig, FunctionPool
from dropscale_embedded.workers.processes import StartWorker, spawn

HANDLER = """
import os, signal, subprocess, sys, threading, time

class OutOfLuck(Exception):
    pass

def handler(event, context):
    match event.get("do"):
        case "pid": return os.getpid()
        case "event": return event
        case "context": return {
            "function_name": context.function_name,
            "function_version": context.function_version,
            "invoked_function_arn": context.invoked_function_arn,
            "memory_limit_in_mb": context.memory_limit_in_mb,
            "log_group_name": context.log_group_name,
            "log_stream_name": context.log_stream_name,
            "request_id_length": len(context.aws_request_id),
            "main_thread": threading.current_thread() is threading.main_thread(),
        }
        case "raise": raise OutOfLuck("no luck")
        case "leave": sys.exit(1)
        case "kill": os.kill(os.getpid(), signal.SIGKILL)
        case "set": return {1, 2}
        case "hang": time.sleep(60)
        case "meet":
            open(os.path.join(event["folder"], str(os.getpid())), "w").close()
            deadline = time.monotonic() + 240
            while len(os.listdir(event["folder"])) < 2 and time.monotonic() < deadline:
                time.sleep(0.01)
            return len(os.listdir(event["folder"]))
"""

SAID = {
    "AWS_LAMBDA_FUNCTION_NAME": "f",
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
    "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f",
    "AWS_LAMBDA_LOG_STREAM_NAME": "stream",
}
MakePool = Callable[..., FunctionPool]


@pytest.fixture(params=["forked", "spawned"])
def start(
    request: pytest.FixtureRequest, one_fork_server: Callable[[], StartWorker]
) -> StartWorker:
    return one_fork_server() if request.param == "forked" else spawn


@pytest.fixture
def make_pool(start: StartWorker, tmp_path: Path) -> Iterator[MakePool]:
    pools = []

    def make_pool(source: str = HANDLER, seconds: float = 240, workers: int = 2) -> FunctionPool:
        (tmp_path / "app.py").write_text(source)
        config = FunctionConfig(
            name="f",
            arn="arn:f",
            code=tmp_path,
            timeout_seconds=seconds,
            max_workers=workers,
            environment={"PYTHONPATH": str(tmp_path), "_HANDLER": "app.handler", **SAID},
        )
        pools.append(FunctionPool(config, start, log))
        return pools[-1]

    with (tmp_path / "log").open("a") as log:
        yield make_pool
        for pool in pools:
            pool.close(time.monotonic())


def invoke(pool: FunctionPool, **event: Any) -> Any:
    invocation = pool.invoke(event)
    assert not invocation.failed, invocation.payload
    return json.loads(invocation.payload)


def error_of(pool: FunctionPool, **event: Any) -> dict[str, Any]:
    invocation = pool.invoke(event)
    assert invocation.failed
    error: dict[str, Any] = json.loads(invocation.payload)
    return error


def test_events_and_results_pass_unharmed(make_pool: MakePool) -> None:
    event = {"do": "event", "text": "ü\n\u2028", "numbers": [1, 2.5, None, True]}
    assert invoke(make_pool(), **event) == event


def test_a_worker_stays_warm_and_does_not_heed_ctrl_c(make_pool: MakePool) -> None:
    pool = make_pool()
    worker = invoke(pool, do="pid")
    assert worker != os.getpid()
    os.kill(worker, signal.SIGINT)
    assert invoke(pool, do="pid") == worker


def test_the_context_tells_what_lambdas_does(make_pool: MakePool) -> None:
    assert invoke(make_pool(), do="context") == {
        "function_name": "f",
        "function_version": "$LATEST",
        "invoked_function_arn": "arn:f",
        "memory_limit_in_mb": "256",
        "log_group_name": "/aws/lambda/f",
        "log_stream_name": "stream",
        "request_id_length": 36,
        "main_thread": True,
    }


def test_an_exception_keeps_its_class_name_and_trace(make_pool: MakePool) -> None:
    error = error_of(make_pool(), do="raise")
    assert (error["errorType"], error["errorMessage"]) == ("OutOfLuck", "no luck")
    assert len(error["stackTrace"]) == 1
    assert "in handler" in error["stackTrace"][0]


@pytest.mark.parametrize(
    ("do", "kind", "message"),
    [
        ("set", "Runtime.MarshalError", "Unable to marshal response"),
        ("leave", "Runtime.ExitError", "Error: Runtime exited with error: exit status 1"),
        ("kill", "Runtime.ExitError", "Error: Runtime exited with error: signal: SIGKILL"),
    ],
)
def test_ends_without_a_result(make_pool: MakePool, do: str, kind: str, message: str) -> None:
    pool = make_pool()
    error = error_of(pool, do=do)
    assert error["errorType"] == kind
    assert message in error["errorMessage"]
    assert invoke(pool, do="event") == {"do": "event"}


def test_a_function_is_killed_at_its_time_out_and_the_next_works(make_pool: MakePool) -> None:
    pool = make_pool(seconds=2)
    error = error_of(pool, do="hang")
    assert error["errorType"] == "Sandbox.Timedout"
    assert error["errorMessage"].endswith("Error: Task timed out after 2.00 seconds")
    assert invoke(pool, do="event") == {"do": "event"}


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        ("import nowhere", "Runtime.ImportModuleError", "No module named 'nowhere'"),
        ("x = 1", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'app'"),
        ("raise ValueError('odd')", "ValueError", "odd"),
    ],
)
def test_a_module_that_does_not_load(
    make_pool: MakePool, source: str, kind: str, message: str
) -> None:
    pool = make_pool(source)
    for _ in range(2):
        error = error_of(pool)
        assert error["errorType"] == kind
        assert message in error["errorMessage"]


def test_invocations_run_at_the_same_time_up_to_the_bound(
    make_pool: MakePool, tmp_path: Path
) -> None:
    """Two workers meet; a third invocation waits for one of them instead of starting another."""
    folder = tmp_path / "met"
    folder.mkdir()
    pool = make_pool(workers=2)
    met: list[int] = []
    threads = [
        threading.Thread(target=lambda: met.append(invoke(pool, do="meet", folder=str(folder))))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert met == [2, 2, 2]


def test_a_closed_pool_refuses(make_pool: MakePool) -> None:
    pool = make_pool()
    pool.refuse()
    assert error_of(pool)["errorType"] == "Lambda.ServiceException"
