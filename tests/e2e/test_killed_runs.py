"""Runs that are killed, and what the next command on the same folder makes of it."""

import json
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from dropscale_embedded.api import EmbeddedApi, EntryKind, StubEngine
from dropscale_embedded.api.account_file import AccountFile
from dropscale_embedded.api.projects import Entry, Project
from tests.e2e.conftest import DEADLINE_SECONDS, Command, Finish, Start
from tests.fakes import png
from tests.originals import CREATOR, encoded, exif, pixels

KEYS = [f"{number}.png" for number in range(3)]
_LOOK_SECONDS = 0.002
PHOTO = encoded(pixels(), exif=exif())


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for shade, key in enumerate(KEYS):
        (folder / key).write_bytes(png(shade=shade))
    return folder


def charges(out: Path) -> list[Entry]:
    with AccountFile.opened(out / ".dropscale" / "magic-hour" / "account.sqlite") as account:
        return [entry for entry in account.entries() if entry.kind is EntryKind.CHARGE]


def kill_after(process: Command, commits: int, out: Path) -> None:
    """Kill a run after so many commits to its journal, or let it end."""
    journal = out / ".dropscale" / "journal.sqlite"
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not journal.is_file():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(_LOOK_SECONDS)
    # Reading leaves the file unchanged for the next run.
    with closing(sqlite3.connect(f"{journal.as_uri()}?mode=ro", uri=True)) as watching:
        seen: set[tuple[int]] = set()
        while process.poll() is None and len(seen) <= commits:
            assert time.monotonic() < deadline
            seen.add(watching.execute("PRAGMA data_version").fetchone())
            time.sleep(_LOOK_SECONDS)
        process.kill()
        process.communicate()


def settle(finish: Finish, out: Path, drop: dict[str, Any]) -> None:
    """Do what the manifest of an unknown outcome says: look for the project, and decide."""
    fix = drop["manifest"]["reason"]["fix"]
    found = [entry.project_id for entry in charges(out) if f'"{entry.name}"' in fix]
    decision = ["--adopt", found[0]] if found else ["--pay-again"]
    assert finish("resolve", drop["key"], *decision, "--out", out).returncode == 0


@pytest.mark.parametrize("seed", [1])
def test_a_run_killed_again_and_again_ends_with_each_image_paid_once(
    seed: int, start: Start, finish: Finish, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run = ["run", photos, "--out", out, "--engine", "stub"]
    moments = random.Random(seed)
    for _ in range(3):
        with start(*run) as process:
            kill_after(process, moments.randrange(1, 40), out)
    outcome = json.loads(finish(*run, "--format", "json").stdout)
    assert len(outcome["drops"]) == len(KEYS)
    for drop in outcome["drops"]:
        if not drop["as_asked"]:
            assert "dropscale resolve" in drop["manifest"]["reason"]["fix"]
            settle(finish, out, drop)

    assert sorted(entry.name.partition(" [")[0] for entry in charges(out)) == KEYS
    assert all((out / f"{key}@2x.png").is_file() for key in KEYS)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, finish: Finish) -> tuple[Path, Path]:
    """A run's images and its output folder: one came out, one is refused, one is for later."""
    folder = tmp_path_factory.mktemp("done")
    (folder / "photos").mkdir()
    for shade, key in enumerate(["bad.png", "cat.png", "later.png"]):
        (folder / "photos" / key).write_bytes(png(shade=shade))
    (folder / "photos" / "cat.png").write_bytes(PHOTO)
    (folder / "photos" / "bad.png.yaml").write_text("scale_factor: 3\n")
    (folder / "photos" / "later.png.yaml").write_text("wait_for_completion: false\n")
    options = ["--out", folder / "out", "--engine", "stub"]
    assert finish("run", folder / "photos", *options).returncode == 1
    return folder / "photos", folder / "out"


def test_status_tells_between_runs_what_came_out_and_what_did_not(
    finish: Finish, done: tuple[Path, Path]
) -> None:
    _, out = done
    ended = finish("status", "--out", out)
    assert (ended.returncode, ended.stderr) == (1, "")
    lines = ended.stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:4]] == [
        ["bad.png", "rejected"],
        ["cat.png", "delivered"],
        ["later.png", "submitted"],
    ]
    assert "scale_factor: 3 is not a scale factor; allowed are 2 and 4" in ended.stdout
    assert lines[-1] == "2 of 3 done: 1 rejected, 1 delivered, 1 submitted"
    failed = json.loads(finish("status", "--out", out, "--failed", "--format", "json").stdout)
    assert [drop["key"] for drop in failed["drops"]] == ["bad.png"]


def test_retry_fetches_what_was_removed_and_says_what_it_cannot_try(
    finish: Finish, done: tuple[Path, Path]
) -> None:
    photos, out = done
    result = out / "cat.png@2x.png"
    content = result.read_bytes()
    assert CREATOR.encode() in content
    result.unlink()
    # The image is read again, but not evaluated again: that could pay again.
    (photos / "cat.png.yaml").write_text("scale_factor: 4\n")
    assert "dropscale retry cat.png" in finish("status", "--out", out).stdout

    ended = finish("retry", "--all", "--out", out)

    assert ended.returncode == 1  # for the bad one, whose spec must be corrected
    assert "bad.png: rejected" in ended.stdout
    assert "Correct what is named" in ended.stdout
    assert result.read_bytes() == content
    later = finish("retry", "later.png", "--out", out)
    assert (later.returncode, (out / "later.png@2x.png").is_file()) == (0, True)
    assert len(charges(out)) == 2
    nothing = finish("retry", "cat.png", "--out", out)
    assert (nothing.returncode, "Nothing to retry" in nothing.stdout) == (0, True)

    (photos / "cat.png").write_bytes(PHOTO[:-1])
    result.unlink()
    bare = finish("retry", "cat.png", "--out", out)
    assert (bare.returncode, result.is_file()) == (0, True)
    assert f"Warning: cat.png: the image is not in {photos} or has changed" in bare.stdout
    assert "Warning: cat.png: No metadata of the original is restored" in bare.stdout
    assert len(charges(out)) == 2


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["retry", "dog.png"], "dog.png: there is no such image"),
        (["retry"], "--all"),
        (["retry", "cat.png", "--all"], "--all"),
        (["resolve", "cat.png"], "--adopt"),
        (["resolve", "cat.png", "--abandon", "--pay-again"], "--adopt"),
        (["resolve", "dog.png", "--abandon"], "dog.png: there is no such image"),
        (["status", "--out", "."], "no run has used this folder"),
    ],
)
def test_wrong_usage_between_runs_exits_with_2(
    arguments: list[str], complaint: str, refused: Finish, done: tuple[Path, Path]
) -> None:
    where = [] if "--out" in arguments else ["--out", done[1]]
    ended = refused(*arguments, *where)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert complaint in ended.stderr


class SilentApi(EmbeddedApi):
    """Stands for the real API; creates and charges, but may keep the answer to itself."""

    def __init__(self) -> None:
        super().__init__(engine=StubEngine(0), token="key")
        self.is_silent = True
        self.charged = Event()
        self.closing = Event()
        self._create, self._projects.create = self._projects.create, self.create  # type: ignore[method-assign]

    def create(self, *arguments: Any, **named: Any) -> Project:
        project = self._create(*arguments, **named)
        self.charged.set()
        if self.is_silent:
            self.closing.wait(DEADLINE_SECONDS)
        return project


@pytest.fixture
def silent_api() -> Iterator[SilentApi]:
    with SilentApi() as api:
        yield api
        api.closing.set()


def test_a_run_killed_before_the_answer_came_leaves_it_to_a_person(
    start: Start, finish: Finish, silent_api: SilentApi, tmp_path: Path
) -> None:
    cat, out = tmp_path / "cat.png", tmp_path / "out"
    cat.write_bytes(PHOTO)
    key = {"MAGIC_HOUR_API_KEY": "key", "MAGIC_HOUR_BASE_URL": silent_api.base_url}
    with start("run", cat, "--out", out, "--yes", **key) as process:
        assert silent_api.charged.wait(DEADLINE_SECONDS)
        second = finish("run", cat, "--out", out, "--yes", **key)
        assert (second.returncode, f"process {process.pid}" in second.stderr) == (2, True)
        process.kill()
        process.communicate()
    silent_api.is_silent = False
    silent_api.closing.set()

    embedded = finish("run", cat, "--out", out)
    assert (embedded.returncode, "has the results of" in embedded.stderr) == (2, True)
    again = finish("run", cat, "--out", out, **key)  # without --yes: there is nothing to pay
    assert again.returncode == 1
    assert "cat.png: unknown" in again.stdout
    assert "dropscale resolve KEY --adopt ID" in again.stdout
    assert finish("status", "--out", out).returncode == 1

    unpaid = finish("resolve", "cat.png", "--pay-again", "--out", out, **key)
    assert (unpaid.returncode, "costs up to 50 credits" in unpaid.stderr) == (2, True)
    nowhere = finish("resolve", "cat.png", "--adopt", "nowhere", "--out", out, **key)
    assert (nowhere.returncode, "nowhere" in nowhere.stderr) == (1, True)
    keyless = finish("resolve", "cat.png", "--adopt", "any", "--out", out)
    assert (keyless.returncode, "MAGIC_HOUR_API_KEY" in keyless.stderr) == (2, True)
    (charge,) = silent_api.book.entries(EntryKind.CHARGE)
    adopted = finish("resolve", "cat.png", "--adopt", charge.project_id, "--out", out, **key)
    assert adopted.returncode == 0
    assert CREATOR.encode() in (out / "cat.png@2x.png").read_bytes()
    assert finish("status", "--out", out).returncode == 0
    assert silent_api.book.entries(EntryKind.CHARGE) == (charge,)
