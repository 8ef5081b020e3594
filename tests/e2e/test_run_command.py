"""`dropscale run` from a folder of images to a folder of results, as a person runs it."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from PIL import Image

from dropscale.results.manifest import Manifest
from dropscale_embedded.api import EmbeddedApi, EntryKind, StubEngine
from tests.e2e.conftest import Finish, StartScript
from tests.fakes import png

LEAF = "été 2026/leaf.png"


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and not {".dropscale", "index_files"} & set(path.parts)
    }


@dataclass
class Finished:
    output: list[str]
    errors: str
    code: int
    out: Path
    before: dict[str, tuple[bytes, int]]
    after: dict[str, tuple[bytes, int]]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory, finish: Finish) -> Finished:
    """A run over good images and bad ones."""
    photos = tmp_path_factory.mktemp("photos")
    (photos / LEAF).parent.mkdir()
    (photos / "cat.png").write_bytes(png(shade=1))
    (photos / LEAF).write_bytes(png(shade=2))
    (photos / f"{LEAF}.yaml").write_text("scale_factor: 4\nstyle: {mode: preserve}\n")
    (photos / "bad.png").write_bytes(png(shade=3))
    (photos / "bad.png.yaml").write_text("scale_factor: 3\n")
    (photos / "text.jpg").write_text("no image")
    (photos / "notes.txt").write_text("")
    before = contents(photos)
    out = tmp_path_factory.mktemp("results") / "deep" / "out"
    ended = finish("run", photos, "--out", out, "--engine", "stub")
    lines = ended.stdout.splitlines()
    return Finished(lines, ended.stderr, ended.returncode, out, before, contents(photos))


def test_a_run_that_did_not_all_succeed_exits_with_1(mixed: Finished) -> None:
    assert (mixed.code, mixed.errors) == (1, "")


def test_the_first_line_says_that_nothing_is_charged_and_what_upscales(mixed: Finished) -> None:
    (line,) = (line for line in mixed.output if line.startswith("Nothing is charged."))
    assert "NO AI model ran" in line
    assert all(shown.endswith(" s") for shown in mixed.output[: mixed.output.index(line)])


def test_progress_is_one_line_per_change(mixed: Finished) -> None:
    of_leaf = [line for line in mixed.output if line.startswith(f"{LEAF}: ")]
    assert of_leaf[0] == f"{LEAF}: dropped"
    assert of_leaf[-1].startswith(f"{LEAF}: delivered after ")
    assert len(of_leaf) == len(set(of_leaf))


def test_results_lie_where_the_images_lay(mixed: Finished) -> None:
    assert set(contents(mixed.out)) == {
        "cat.png@2x.png",
        "cat.png.dropscale.json",
        f"{LEAF}@4x-preserve.png",
        f"{LEAF}.dropscale.json",
        "bad.png.dropscale.json",
        "text.jpg.dropscale.json",
        "index.html",
        "run.dropscale-batch.json",
        "run.dropscale-batch.csv",
    }
    report = json.loads((mixed.out / "run.dropscale-batch.json").read_bytes())
    states = sorted(image["state"] for image in report["images"])
    assert states == ["delivered", "delivered", "rejected", "rejected"]
    assert report["totals"]["credits"] == 150
    with Image.open(mixed.out / f"{LEAF}@4x-preserve.png") as image:
        assert image.size == (32, 24)


def test_the_summary_names_size_mode_credits_and_place(mixed: Finished) -> None:
    row = next(line for line in mixed.output if line.startswith(f"{LEAF}  "))
    assert "8x6 → 32x24" in row
    assert row.removeprefix(LEAF).split()[3:5] == ["preserve", "100"]
    assert row.rstrip().endswith(f"{mixed.out}/{LEAF}@4x-preserve.png")


def test_a_bad_sidecar_is_reported_by_file_field_and_fix_and_costs_nothing(mixed: Finished) -> None:
    at = mixed.output.index("bad.png: rejected")
    fault = "bad.png.yaml:1:15: scale_factor: 3 is not a scale factor; allowed are 2 and 4"
    assert fault in mixed.output[at + 1]
    assert "Correct what is named" in mixed.output[at + 2]
    assert "2 of 4 done, 150 credits (not charged" in mixed.output[-2]
    manifest = Manifest.model_validate_json((mixed.out / "bad.png.dropscale.json").read_bytes())
    assert manifest.jobs == ()


def test_the_input_is_untouched(mixed: Finished) -> None:
    assert mixed.after == mixed.before


def test_what_was_ignored_is_named(mixed: Finished) -> None:
    assert mixed.output[-2].endswith("other files ignored: notes.txt")


def test_the_last_line_is_the_page_that_shows_it(mixed: Finished) -> None:
    page = Path(mixed.output[-1])
    assert page == mixed.out / "index.html"
    html = page.read_text()
    assert "2 of 4 done" in html
    assert "3 is not a scale factor; allowed are 2 and 4" in html
    assert f'src="{quote(LEAF)}@4x-preserve.png"' not in html  # but a thumbnail
    assert len(list((mixed.out / "index_files").iterdir())) == 5  # bad.png has an original, too


def test_one_image_with_json_output_exits_with_0(finish_script: Finish, tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(png())
    (tmp_path / "cat.png.json").write_text('{"download_directory": "large"}')
    (tmp_path / "dog.png").write_bytes(png())
    out = tmp_path / "out"
    ended = finish_script(
        "run", tmp_path / "cat.png", "--out", out, "--engine", "stub", "--format", "json"
    )
    assert ended.returncode == 0
    outcome = json.loads(ended.stdout)
    assert [drop["key"] for drop in outcome["drops"]] == ["cat.png"]
    assert outcome["drops"][0]["files"] == [str(out / "large" / "cat.png@2x.png")]
    assert "Nothing is charged." in ended.stderr
    assert "cat.png: delivered" in ended.stderr


@pytest.mark.parametrize("name", ["", "nowhere"])
def test_nothing_to_drop_exits_with_2(name: str, refused: Finish, tmp_path: Path) -> None:
    ended = refused("run", tmp_path / name, "--out", tmp_path / "out")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "there is no image" in ended.stderr or "does not exist" in ended.stderr


@pytest.fixture
def paid_api() -> Iterator[EmbeddedApi]:
    """Stands for the real API: what it books would be charged."""
    with EmbeddedApi(engine=StubEngine(0), token="key") as api:
        yield api


@pytest.fixture
def priced(tmp_path: Path) -> Path:
    """An image of 25 credits, and one of none. Nobody waits for the first look, 20 s later."""
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "cat.png").write_bytes(png())
    (photos / "cat.png.yaml").write_text("style: {mode: preserve}\nwait_for_completion: false\n")
    (photos / "bad.png").write_bytes(png())
    (photos / "bad.png.yaml").write_text("scale_factor: 3\n")
    return photos


def test_the_real_api_is_not_called_before_the_price_is_agreed_to(
    refused: Finish, paid_api: EmbeddedApi, priced: Path, tmp_path: Path
) -> None:
    key = {"MAGIC_HOUR_API_KEY": paid_api.token, "MAGIC_HOUR_BASE_URL": paid_api.base_url}
    ended = refused("run", priced, "--out", tmp_path / "out", **key)
    assert ended.returncode == 2
    assert f"Images: 2. They cost up to 25 credits, charged at {paid_api.base_url}" in ended.stderr
    assert "--yes" in ended.stderr
    assert paid_api.book.entries() == ()


def test_the_real_api_charges_the_price_that_was_agreed_to(
    finish: Finish, paid_api: EmbeddedApi, priced: Path, tmp_path: Path
) -> None:
    key = {"MAGIC_HOUR_API_KEY": paid_api.token, "MAGIC_HOUR_BASE_URL": f"{paid_api.base_url}/"}
    ended = finish("run", priced, "--out", tmp_path / "out", "--yes", **key)
    # On a slow machine, lines between these show that it still works.
    told, offer = ended.stdout.partition("Images: 2. They cost up to 25 credits")[::2]
    assert "tier business, credits left: 1,000,000" in told
    assert offer
    assert "Nothing is charged" not in ended.stdout
    assert "1 of 2 done, 25 credits (charged)" in ended.stdout
    assert ended.returncode == 1  # for the bad one
    assert [entry.credits for entry in paid_api.book.entries(EntryKind.CHARGE)] == [25]


def test_an_engine_and_a_key_contradict_each_other(refused: Finish, priced: Path) -> None:
    ended = refused("run", priced, "--engine", "stub", MAGIC_HOUR_API_KEY="key")
    assert ended.returncode == 2
    assert "omit one of them" in ended.stderr


PROC = Path("/proc")


@pytest.mark.skipif(not PROC.is_dir(), reason="looks at a process by /proc")
def test_the_first_line_comes_within_a_second(start_script: StartScript, tmp_path: Path) -> None:
    """A second of the process's own, so that a busy machine does not count."""
    (tmp_path / "cat.png").write_bytes(png())
    run = ["run", tmp_path, "--out", tmp_path / "out", "--engine", "stub"]
    with start_script(*run) as process:
        assert process.stdout
        assert process.stdout.readline()
        facts = (PROC / str(process.pid) / "stat").read_text().rpartition(")")[2].split()
        process.kill()
    assert (int(facts[11]) + int(facts[12])) / os.sysconf("SC_CLK_TCK") < 1.0
