"""`dropscale run --watch`: a folder that images come into, and results in a folder within it."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

from dropscale.results.manifest import Manifest
from dropscale_embedded.api import EmbeddedApi, StubEngine
from tests.e2e.conftest import DEADLINE_SECONDS, Command, Finish, Start
from tests.fakes import png


def eventually(process: Command, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_comes_into_the_folder_is_upscaled_until_it_is_interrupted(
    start: Start, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    page = out / "index.html"
    with start("run", tmp_path, "--out", out, "--engine", "stub", "--watch") as process:
        try:
            eventually(process, page.is_file)
            (tmp_path / "cat.png").write_bytes(png(shade=1))
            eventually(process, (out / "cat.png@2x.png").is_file)
            eventually(process, lambda: "cat.png" in page.read_text())
            assert "data-live" in page.read_text()

            (tmp_path / "cat.png.yaml").write_text("scale_factor: 4\n")
            (tmp_path / "x").mkdir()
            (tmp_path / "x" / "dog.png").write_bytes(png(shade=2))
            eventually(process, (out / "cat.png@4x.png").is_file)
            eventually(process, (out / "x" / "dog.png@2x.png").is_file)
            before = manifest(out / "cat.png")
            (tmp_path / "cat.png").write_bytes(png(shade=3))
            eventually(process, lambda: is_done_again(out / "cat.png", before))

            process.send_signal(signal.SIGINT)
            output, errors = process.communicate()
        finally:
            process.kill()
    lines = output.splitlines()
    assert process.returncode == 130
    assert errors.startswith("Interrupted. Nothing runs here any more")
    assert any(f"Watching {tmp_path}; Ctrl-C ends it." in line for line in lines)
    assert "2 of 2 done" in lines[-2]
    assert lines[-1] == str(page)
    assert "data-live" not in page.read_text()
    assert sorted(path.name for path in out.rglob("*.dropscale.json")) == [
        "cat.png.dropscale.json", "dog.png.dropscale.json"
    ]  # fmt: skip


def test_a_termination_signal_ends_it_like_an_interrupt(start: Start, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with start("run", tmp_path, "--out", out, "--engine", "stub", "--watch") as process:
        try:
            eventually(process, (out / "index.html").is_file)
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate()
        finally:
            process.kill()
    assert process.returncode == 130
    assert errors.startswith("Interrupted. Nothing runs here any more")


def manifest(result: Path) -> Manifest:
    return Manifest.model_validate_json(Path(f"{result}.dropscale.json").read_bytes())


def is_done_again(result: Path, before: Manifest) -> bool:
    now = manifest(result)
    return now.source.sha256 != before.source.sha256 and now.is_settled


def test_a_file_cannot_be_watched(refused: Finish, tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(png())
    ended = refused("run", tmp_path / "cat.png", "--out", tmp_path / "out", "--watch")
    assert (ended.returncode, "--watch needs a folder" in ended.stderr) == (2, True)


def test_what_comes_later_is_agreed_to_before_anything_is_there(
    refused: Finish, tmp_path: Path
) -> None:
    with EmbeddedApi(engine=StubEngine(0), token="key") as api:
        key = {"MAGIC_HOUR_API_KEY": "key", "MAGIC_HOUR_BASE_URL": api.base_url}
        ended = refused("run", tmp_path, "--out", tmp_path / "out", "--watch", **key)
        assert api.book.entries() == ()
    assert ended.returncode == 2
    assert "Each image added later is also charged" in ended.stderr
    assert "--yes" in ended.stderr
