"""Servers: what they print works as printed, and a signal stops everything."""

import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO

import boto3
import pytest
import requests
from PIL import Image

from tests.e2e.conftest import DEADLINE_SECONDS, Command, Finish, Start
from tests.fakes import png


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A pipe, which ends for its reader when the last process that holds it has ended.

    Every worker of a stack has the log as its standard output.
    """
    os.mkfifo(tmp_path / "log")
    return tmp_path / "log"


@pytest.fixture
def reader() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


def lines_until(end: str, output: IO[str] | None) -> list[str]:
    assert output is not None
    lines = []
    for line in output:
        lines.append(line.strip())
        if end in line:
            return lines
    raise AssertionError(f"it ended with {lines}")


def last_words(process: Command, logged: "Future[bytes] | None" = None) -> str:
    """What a stopped process says, once it and all that it started have ended."""
    _, errors = process.communicate()
    if logged is not None:
        assert b"submit" in logged.result(DEADLINE_SECONDS)
    assert process.returncode == 130
    return errors


def test_a_run_ends_on_a_signal_to_itself_however_many_follow(
    start: Start, log: Path, reader: ThreadPoolExecutor, tmp_path: Path
) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for shade in range(4):
        (photos / f"{shade}.png").write_bytes(png(shade=shade))
    # However slow this process is, one that watches does not end by itself before the signal.
    given = ["run", photos, "--engine", "stub", "--log", log, "--out", out, "--watch"]
    with start(*given) as process:
        logged = reader.submit(log.read_bytes)
        lines_until("delivered", process.stdout)
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
            process.send_signal(number)
        told, again = last_words(process, logged).splitlines()
    assert told.startswith("Interrupted. Nothing runs here any more; paid results are kept")
    assert told.endswith(f"Results so far are in {out}.")
    assert shlex.split(again) == ["To", "resume:", "dropscale", *map(str, given)]


def test_a_stack_takes_drops_as_it_says_until_ctrl_c(
    start: Start, log: Path, reader: ThreadPoolExecutor
) -> None:
    with start("up", "--engine", "stub", "--log", log) as process:
        logged = reader.submit(log.read_bytes)
        printed = lines_until("Ctrl-C", process.stdout)
        # On a slow machine, it first shows for how many seconds it has been starting.
        assert next(line for line in printed if not line.endswith(" s")).startswith(
            "Nothing is charged."
        )
        upload = shlex.split(printed[printed.index("Drop an image:") + 1])
        assert upload[3:5] + upload[6:9] == ["aws", "--endpoint-url", "s3", "cp", "photo.jpg"]
        given = dict(word.split("=", 1) for word in upload[:3])
        s3 = boto3.client(
            "s3",
            endpoint_url=upload[5],
            aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
            region_name=given["AWS_DEFAULT_REGION"],
        )
        inputs = upload[9].removeprefix("s3://").removesuffix("/")
        s3.put_object(Bucket=inputs, Key="photo.jpg", Body=png())
        download = shlex.split(printed[printed.index("Download the results:") + 1])
        results = download[8].removeprefix("s3://").removesuffix("/")
        s3.get_waiter("object_exists").wait(
            Bucket=results,
            Key="photo.jpg@2x.png",
            WaiterConfig={"Delay": 0.2, "MaxAttempts": 5 * int(DEADLINE_SECONDS)},  # type: ignore[typeddict-item]
        )
        s3.close()
        follow = shlex.split(printed[printed.index("Follow the images:") + 1])
        environment = os.environ | dict(word.split("=", 1) for word in follow[:4])
        command = [str(Path(sys.executable).with_name(follow[4])), *follow[5:-1]]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert "1 of 1 done: 1 delivered" in done.stdout
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        assert "buckets are gone.\nTo start it again: dropscale up" in last_words(process, logged)


def test_the_api_works_as_printed_until_it_is_stopped(start: Start, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(png())
    with start("api", "--engine", "stub", "--stub-seconds", "0") as process:
        printed = lines_until("Ctrl-C", process.stdout)
        example = shlex.split(next(line for line in printed if " python " in line))
        name, token = example[0].split("=")
        assert token not in " ".join(example[1:]), "others see the arguments of a process"
        subprocess.run(
            [sys.executable, *example[2:]],
            cwd=tmp_path,
            env=os.environ | {"MAGIC_HOUR_POLL_INTERVAL": "0.1", name: token},
            timeout=DEADLINE_SECONDS,
            check=True,
        )
        process.terminate()
        assert "To start it again: dropscale api" in last_words(process)
    (output,) = tmp_path.glob("*.png")
    with Image.open(output) as image:
        assert image.size == (16, 12)


def test_a_taken_port_is_named(refused: Finish) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ended = refused("api", "--engine", "stub", "--port", str(port))
    assert (ended.returncode, "in use" in ended.stderr) == (1, True)


def test_the_api_misbehaves_as_its_plan_says(start: Start, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text("rules: [{call: account, fault: {kind: answer, status: 503}}]")
    with start("api", "--engine", "stub", "--faults", plan) as process:
        said = [line.rpartition(" ") for line in lines_until("Ctrl-C", process.stdout)]
        printed = {label.strip(): value for label, _, value in said}
        token = {"Authorization": f"Bearer {printed['Token:']}"}
        account = requests.get(
            f"{printed['Base URL:']}/v1/account", headers=token, timeout=DEADLINE_SECONDS
        )
        faults = requests.get(printed["Faults:"], headers=token, timeout=DEADLINE_SECONDS).json()
        book = requests.get(printed["Book:"], headers=token, timeout=DEADLINE_SECONDS).json()
        process.terminate()
        last_words(process)
    assert account.status_code == 503
    assert faults["tallies"] == [{"calls": 1, "faults": 1}]
    assert book == {"credits_spent": 0, "entries": []}


def test_the_api_has_the_account_of_its_options(start: Start) -> None:
    account = ["--tier", "free", "--credits", "60", "--concurrent-jobs", "2"]
    with start("api", "--engine", "stub", "--stub-seconds", "60", *account) as process:
        said = [line.rpartition(" ") for line in lines_until("Ctrl-C", process.stdout)]
        printed = {label.strip(): value for label, _, value in said}
        token = {"Authorization": f"Bearer {printed['Token:']}"}
        base_url = printed["Base URL:"]
        told = requests.get(
            f"{base_url}/v1/account", headers=token, timeout=DEADLINE_SECONDS
        ).json()
        body = {"assets": {"image_file_path": "https://x.example/cat.png"}, "scale_factor": 4}
        refused = requests.post(
            f"{base_url}/v1/ai-image-upscaler", headers=token, json=body, timeout=10
        )
        process.terminate()
        last_words(process)
    assert (told["tier"], told["credits"], told["subscription"]) == ("free", 60, None)
    assert (refused.status_code, refused.json()["code"]) == (402, "plan_upgrade_required")


def test_an_unusable_fault_plan_is_wrong_usage(refused: Finish, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text("seed: none")
    ended = refused("api", "--engine", "stub", "--faults", plan)
    assert ended.returncode == 2
    assert f"Error: {plan}: seed: Input should be a valid integer\n" in ended.stderr
