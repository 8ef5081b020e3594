"""Commands on a stack that others keep running, as on one that is deployed."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Finish, Start
from tests.fakes import png

ClientOf = Callable[[str], Any]
Environment = dict[str, str]

STACK = ("--stack", "dropscale")
INPUTS = "dropscale-inputbucket"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "a").mkdir(parents=True)
    return folder


def versions(client_of: ClientOf) -> int:
    pages = client_of("s3").list_object_versions(Bucket=INPUTS)
    return len(pages.get("Versions", []))


def test_a_run_brings_files_through_the_stack_and_uploads_nothing_twice(
    stack: Environment, finish: Finish, client_of: ClientOf, photos: Path, tmp_path: Path
) -> None:
    (photos / "a/dropscale.yaml").write_text("style: {mode: preserve}")
    (photos / "a/cat.png").write_bytes(png(shade=11))
    (photos / "bad.png").write_bytes(b"no image")
    run = ["run", photos, *STACK, "--out", tmp_path / "out"]

    first = finish(*run, "--format", "json", **stack)
    uploaded = versions(client_of)
    again = finish(*run, **stack)
    unchanged = versions(client_of)
    (photos / "a/dropscale.yaml").write_text("scale_factor: 4")
    changed = finish(*run, **stack)

    assert (first.returncode, again.returncode, changed.returncode) == (1, 1, 1)
    states = {drop["key"]: drop["manifest"]["state"] for drop in json.loads(first.stdout)["drops"]}
    assert states == {"a/cat.png": "delivered", "bad.png": "rejected"}
    assert (tmp_path / "out/a/cat.png@2x-preserve.png").is_file()
    assert (tmp_path / "out/index.html").is_file()
    assert (uploaded, unchanged) == (3, 3)
    assert (tmp_path / "out/a/cat.png@4x.png").is_file(), changed.stdout
    assert versions(client_of) == uploaded + 2


def test_an_interrupted_run_resumes(
    stack: Environment,
    start: Start,
    finish: Finish,
    client_of: ClientOf,
    photos: Path,
    tmp_path: Path,
) -> None:
    (photos / "dog.png").write_bytes(png(shade=12))
    run = ["run", photos, *STACK, "--out", tmp_path / "out"]
    # However slow this process is, one that watches does not end by itself before the signal.
    with start(*run, "--watch", **stack) as process:
        for line in process.stdout:
            if "dog.png: dropped" in line:
                break
        process.send_signal(signal.SIGINT)
        process.communicate()
    before = versions(client_of)

    ended = finish(*run, **stack)

    assert process.returncode == 130
    assert ended.returncode == 0, ended.stdout
    assert (tmp_path / "out/dog.png@2x.png").is_file()
    assert versions(client_of) == before


def test_status_retry_and_resolve_work_on_the_stack(
    stack: Environment, finish: Finish, client_of: ClientOf, photos: Path, tmp_path: Path
) -> None:
    (photos / "later.png").write_bytes(png(shade=13))
    (photos / "later.png.yaml").write_text("wait_for_completion: false")
    finish("run", photos / "later.png", *STACK, "--out", tmp_path / "out", **stack)

    status = finish("status", *STACK, "--format", "json", **stack)
    retried = finish("retry", "later.png", *STACK, **stack)
    nothing = finish("resolve", "later.png", "--abandon", *STACK, **stack)
    unknown = finish("retry", "nowhere.png", *STACK, **stack)

    known = {drop["key"]: drop["manifest"]["state"] for drop in json.loads(status.stdout)["drops"]}
    assert known["later.png"] == "submitted"
    assert retried.returncode == 0
    assert "s3://dropscale-resultsbucket/later.png@2x.png" in retried.stdout
    assert nothing.returncode == 1
    assert "no job of it has an unknown outcome" in nothing.stderr
    assert (unknown.returncode, "no such image" in unknown.stderr) == (2, True)


def test_status_can_be_watched(stack: Environment, start: Start) -> None:
    with start("status", *STACK, "--watch", **stack) as process:
        for line in process.stdout:
            if " done" in line:
                break
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert process.returncode == 130


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["run", "photos", "--stack", "dropscale", "--engine", "stub"],
            "--engine, --log and --patience are",
        ),
        (["run", "photos", "--stack", "dropscale", "--patience", "9"], "--patience are for"),
        (["status", "--stack", "other"], "Stack with id other does not exist"),
    ],
)
def test_what_makes_no_sense_on_a_stack_is_wrong_usage(
    stack: Environment,
    refused: Finish,
    photos: Path,
    arguments: list[str],
    words: str,
) -> None:
    given = [str(photos) if word == "photos" else word for word in arguments]
    ended = refused(*given, **stack)

    assert (ended.returncode, words in ended.stderr) == (2, True)
