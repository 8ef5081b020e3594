"""A folder spec that changes afterwards, on files and on a stack that others keep running."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import DEADLINE_SECONDS, Finish
from tests.fakes import png

ClientOf = Callable[[str], Any]
Environment = dict[str, str]

INPUTS, RESULTS = "dropscale-inputbucket", "dropscale-resultsbucket"


def await_result(s3: Any, key: str) -> None:
    waiting = {"Delay": 0.2, "MaxAttempts": 5 * DEADLINE_SECONDS}
    s3.get_waiter("object_exists").wait(Bucket=RESULTS, Key=key, WaiterConfig=waiting)


def test_a_stack_looks_again_at_the_images_of_a_changed_folder_spec(
    stack: Environment, finish: Finish, client_of: ClientOf
) -> None:
    s3 = client_of("s3")
    for key, shade in {"a/cat.png": 1, "b/dog.png": 2}.items():
        s3.put_object(Bucket=INPUTS, Key=key, Body=png(shade=shade))
    for key in ("a/cat.png", "b/dog.png"):
        await_result(s3, f"{key}@2x.png")
    s3.put_object(Bucket=INPUTS, Key="a/dropscale.yaml", Body=b"style: {mode: preserve}")
    place = f"s3://{INPUTS}/a/"

    unasked = finish("apply", place, **stack)
    applied = finish("apply", place, "--yes", "--format", "json", **stack)
    await_result(s3, "a/cat.png@2x-preserve.png")
    again = finish("apply", f"s3://{INPUTS}", "--yes", **stack)

    assert unasked.returncode == 2
    assert "up to 25 credits? To agree, add --yes." in unasked.stderr
    assert applied.returncode == 0
    (change,) = json.loads(applied.stdout)["applied"]
    assert (change["key"], change["then"], change["credits"]) == ("a/cat.png", "2x preserve", 25)
    # On a slow machine, it first says for how long it has been planning.
    assert again.stdout.endswith("Looked at 2: 0 applied, for up to 0 credits; 0 left.\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["s3://elsewhere/a"], "elsewhere is not the input bucket of stack dropscale"),
        ([f"s3://{INPUTS}", "--stack", "other"], "Stack with id other does not exist"),
        (["nowhere"], "nowhere does not exist"),
    ],
)
def test_what_cannot_be_applied_is_wrong_usage(
    stack: Environment, refused: Finish, arguments: list[str], words: str
) -> None:
    ended = refused("apply", *arguments, **stack)

    assert ended.returncode == 2
    assert words in ended.stderr


def test_files_are_looked_at_again_in_the_folder_of_earlier_runs(
    finish: Finish, tmp_path: Path
) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    for name, shade in {"a/cat.png": 1, "b/dog.png": 2}.items():
        (photos / name).parent.mkdir(parents=True)
        (photos / name).write_bytes(png(shade=shade))
    options = ["--out", out, "--yes"]
    assert finish("run", photos, *options, "--engine", "stub").returncode == 0
    (photos / "a/dropscale.yaml").write_text("style: {mode: preserve}")

    applied = finish("apply", photos, *options)
    again = finish("apply", photos, *options)

    assert applied.returncode == 0
    assert "a/cat.png  delivered: 2x balanced  2x preserve       25" in applied.stdout
    assert "b/dog.png" not in applied.stdout
    assert (out / "a/cat.png@2x-preserve.png").is_file()
    # On a slow machine, it first says for how long it has been planning.
    assert again.stdout.endswith("Looked at 2: 0 applied, for up to 0 credits; 0 left.\n")
