"""What `plan` shows before a run; that a run charges just that is tested end to end."""

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dropscale.ledger.jobs import Job, Parameters
from dropscale.ledger.states import JobState
from dropscale.upscaler import Mode
from dropscale_cli.errors import NothingToDrop
from dropscale_cli.files.drops import find_drops, specs_above
from dropscale_cli.files.state_folder import KeptLedger
from dropscale_cli.specs.bill import bill_for
from dropscale_cli.specs.plan import tell_plan
from tests import originals
from tests.fakes import png

Write = Callable[..., Path]
NOW = datetime(2026, 11, 23, tzinfo=UTC)
Plan = Callable[[], tuple[int, list[str]]]


@pytest.fixture
def shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Plan:
    """Plan all that was written; return exit code and lines."""

    def run() -> tuple[int, list[str]]:
        code = tell_plan(tmp_path, tmp_path / "out", {}, as_json=False)
        return code, capsys.readouterr().out.splitlines()

    return run


@pytest.fixture
def outcome(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[], dict[str, Any]]:
    def run() -> dict[str, Any]:
        tell_plan(tmp_path, tmp_path / "out", {}, as_json=True)
        told: dict[str, Any] = json.loads(capsys.readouterr().out)
        return told

    return run


def rows(lines: list[str]) -> list[list[str]]:
    """The cells of the table's rows."""
    table = lines[1 : lines.index("")]
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in table]


def test_every_rendition_has_a_row_with_what_it_adds_to_the_price(
    write: Write, shown: Plan
) -> None:
    write("a.png", png())
    write("a.png.yaml", "revision: 7\nstyle: {mode: creative, prompt: fur}")
    write("b/dropscale.yaml", "renditions: [{style: {mode: preserve}}, {scale_factor: 4}]")
    write("b/b.png", png(shade=1))
    write("b/c.png", png(shade=1))
    write("job.yaml", "assets: {image_file_path: https://example.com/a.png?key=secret}")
    code, lines = shown()
    assert code == 0
    assert rows(lines) == [
        ["a.png", "8x6 → 16x12", "2x creative, prompt 'fur', revision 7", "50"],
        ["job.yaml", "2x balanced", "50"],
        ["b/b.png", "8x6 → 16x12", "2x preserve", "25"],
        ["b/b.png", "8x6 → 32x24", "4x balanced", "200"],
        ["b/c.png", "8x6 → 16x12", "2x preserve", "0", "shared with b/b.png"],
        ["b/c.png", "8x6 → 32x24", "4x balanced", "0", "shared with b/b.png"],
    ]
    assert lines[-1].startswith(
        "6 upscales of 4 images: 325 credits, $0.39 (Creator) to $0.81 (Business)"
    )
    assert "secret" not in "".join(lines)


def test_refused_files_are_listed_once_with_the_reason(write: Write, shown: Plan) -> None:
    write("a/dropscale.yaml", "scale_factor: 3")
    for number in range(7):
        write(f"a/{number}.png", png(shade=number))
    write("big.png", png(900, 1))
    write("big.png.yaml", "skip_if: {min_width: 900}")
    write("fine.png", png())
    write("fine.png.yaml", "style: {mode: preserve, prompt: fur}")
    code, lines = shown()
    assert code == 1
    assert lines[-1].endswith("; skipped: 1; rejected: 7")
    first = lines.index("a/0.png, a/1.png, a/2.png and 4 more: rejected")
    assert lines[first + 1].startswith("  a/dropscale.yaml:1:15: scale_factor: 3 is not")
    assert sum("a/dropscale.yaml:1:15" in line for line in lines) == 1
    assert "big.png: skipped" in lines
    assert any(
        line.startswith("Warning: fine.png.yaml:1:33: style.prompt: is not used") for line in lines
    )


def test_many_drops_are_told_page_by_page_and_their_reasons_and_totals_are_cut(
    write: Write,
    shown: Plan,
    outcome: Callable[[], dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dropscale_cli.specs.plan._PAGE_LENGTH", 2)
    monkeypatch.setattr("dropscale_cli.specs.plan._MOST_TOTALS", 2)
    monkeypatch.setattr("dropscale_cli.files.drops._MOST_REASONS", 1)
    for number in range(5):
        write(f"{number}/a.png", png(shade=number))
        write(f"{number}/b.png", b"no image")
    code, lines = shown()
    assert code == 1
    assert [line.split()[0] for line in lines if "→" in line] == [f"{at}/a.png" for at in range(5)]
    assert lines.count("0/b.png: rejected") == 1
    assert "4 more images are skipped or rejected; --format json has all" in lines
    (at,) = (at for at, line in enumerate(lines) if line.startswith("Total "))
    assert [line.split() for line in lines[at + 1 : at + 3]] == [
        ["0/", "1", "1", "50"],
        ["1/", "1", "1", "50"],
    ]
    assert lines[at + 3].startswith("3 more; --format json has all")
    told = outcome()
    assert len(told["drops"]) == 10
    assert told["credits"] == sum(one["credits"] for one in told["totals"]["folders"]) == 250


def test_skipping_is_no_refusal(write: Write, shown: Plan) -> None:
    write("big.png", png(900, 1))
    write("big.png.yaml", "skip_if: {min_width: 900}")
    code, lines = shown()
    assert code == 0
    assert lines[-1].startswith("0 upscales of 0 images: 0 credits; ")


def test_one_image_is_no_plural(write: Write, shown: Plan) -> None:
    write("a.png", png())

    assert shown()[1][-1].startswith("1 upscale of 1 image: 50 credits, ")


def test_json_has_every_drop(write: Write, outcome: Callable[[], dict[str, Any]]) -> None:
    write("a.png", png())
    write("b.png", b"no image")
    write("notes.txt", "")
    told = outcome()
    assert {name: told[name] for name in told if name != "drops"} == {
        "credits": 50,
        "credits_before": 0,
        "credits_left": 0,
        "dollars": {"creator": 0.06, "business": 0.125},
        "totals": {
            "folders": [{"name": "", "images": 1, "upscales": 1, "credits": 50}],
            "presets": [],
            "rules": [],
        },
        "ignored": 1,
        "ignored_files": [{"key": "notes.txt", "reason": None}],
        "account": None,
    }
    good, bad = told["drops"]
    assert (good["key"], good["state"], good["width"], good["height"]) == ("a.png", "planned", 8, 6)
    (rendition,) = good["renditions"]
    assert {
        "scale_factor": 2, "mode": "balanced", "width": 16, "height": 12, "price": 50, "credits": 50
    }.items() <= rendition.items()  # fmt: skip
    assert (bad["state"], bad["renditions"], bad["reason"]["code"]) == (
        "rejected",
        [],
        "NotAnImage",
    )


def test_pictures_that_the_upscaler_does_not_accept_are_listed_with_advice(
    write: Write, shown: Plan, outcome: Callable[[], dict[str, Any]]
) -> None:
    write("a.png", png())
    for name in ("a.gif", "b.GIF", "c.gif", "d.gif"):
        write(name, b"GIF89a....")
    write("photo.NEF", b"II*\0")
    write("notes.txt", "")

    code, lines = shown()

    assert code == 0
    at = lines.index("a.gif, b.GIF, c.gif and 1 more: not dropped: is a GIF file")
    assert "Export it as png" in lines[at + 1]
    assert "photo.NEF: not dropped: is a camera raw file (NEF), by its name" in lines
    assert lines[-1].endswith("; other files ignored: a.gif, b.GIF, c.gif and 3 more")
    told = {one["key"]: one["reason"] for one in outcome()["ignored_files"]}
    assert told["notes.txt"] is None
    assert told["photo.NEF"]["code"] == "UnsupportedImage"
    assert len(told) == 6


def test_a_raw_file_alone_is_named_with_what_to_do(write: Write, shown: Plan) -> None:
    write("photo.nef", b"II*\0")
    with pytest.raises(NothingToDrop, match=r"other files: photo\.nef\n\n.*raw file.*\n  Develop"):
        shown()


def test_an_image_that_is_too_large_has_its_size_in_the_plan(
    write: Write, outcome: Callable[[], dict[str, Any]]
) -> None:
    write("wide.png", png(5000, 1))
    (drop,) = outcome()["drops"]
    assert (drop["state"], drop["width"], drop["height"]) == ("rejected", 5000, 1)


def test_nothing_to_plan_is_wrong_usage(shown: Plan) -> None:
    with pytest.raises(NothingToDrop) as caught:
        shown()
    assert caught.value.exit_code == 2


def known(state: JobState, job_of: Path, **facts: Any) -> Job:
    """The 2x balanced job of an image, in a state."""
    sha256 = hashlib.sha256(job_of.read_bytes()).hexdigest()
    parameters = Parameters(scale_factor=2, mode=Mode.BALANCED)
    return Job(
        fingerprint=parameters.fingerprint(sha256),
        state=state,
        parameters=parameters,
        label="",
        created_at=NOW,
        **facts,
    )


@pytest.mark.parametrize(
    ("state", "price"),
    [(state, 50 if state in {JobState.READY, JobState.ERROR} else 0) for state in JobState],
)
def test_what_an_earlier_run_has_paid_is_not_paid_again(
    state: JobState, price: int, write: Write, tmp_path: Path
) -> None:
    job = known(state, write("cat.png", png()))
    ledger = KeptLedger(jobs={job.fingerprint: job})
    assert bill_for(find_drops(tmp_path, tmp_path / "out"), ledger.records).credits == price


def test_files_of_one_upscale_are_priced_once_and_a_name_that_is_taken_is_free(
    write: Write, shown: Plan, outcome: Callable[[], dict[str, Any]]
) -> None:
    names = "output: {format: png}}, {output: {format: jpeg, name: '{stem}-web{ext}'}"
    write("dropscale.yaml", f"max_credits: 50\nrenditions: [{{{names}}}]")
    write("cat.jpg", png())
    write("cat.png", png(shade=1))

    code, lines = shown()
    assert (code, rows(lines)) == (
        1,
        [
            ["cat.jpg", "8x6 → 16x12", "2x balanced, as cat.jpg@2x.png", "50"],
            ["cat.jpg", "8x6 → 16x12", "2x balanced, as cat-web.jpg", "0", "same upscale"],
        ],
    )
    at = lines.index("cat.png: rejected")
    assert "cat.png and cat.jpg would have the same output name, cat-web " in lines[at + 1]
    assert lines[-1].startswith("1 upscale of 1 image: 50 credits")
    told = outcome()["drops"]
    assert [one["output"]["name"] for one in told[0]["renditions"]] == [None, "cat-web"]
    assert told[1]["reason"]["code"] == "OutputNameTaken"


@pytest.mark.parametrize(("due", "price"), [(NOW, 100), (None, 50)])
def test_what_earlier_runs_left_unpaid_is_part_of_the_price(
    due: datetime | None, price: int, write: Write, tmp_path: Path
) -> None:
    job = known(JobState.READY, write("other/dog.png", png(shade=7)), due=due)
    cat = write("cat.png", png())
    ledger = KeptLedger(jobs={job.fingerprint: job})
    assert bill_for(find_drops(cat, tmp_path / "out"), ledger.records).credits == price


def test_what_a_result_will_lack_is_reported_before_paying(
    write: Write, shown: Plan, outcome: Callable[[], dict[str, Any]]
) -> None:
    still = originals.pixels()
    moving = originals.encoded(still, "WEBP", save_all=True, append_images=[still.rotate(90)])
    write("a.webp", moving)
    write("b.webp", moving[:-1] + b"x")
    write("c.jpg", originals.with_iptc(originals.encoded(still, "JPEG")))
    write("c.jpg.yaml", "output: {format: webp}")
    write("d.png", png())

    _, lines = shown()
    told = {drop["key"]: drop["losses"] for drop in outcome()["drops"]}

    animated = "The original is animated; its result is a single image"
    no_room = "webp cannot hold the original's IPTC"
    assert f"Warning: a.webp, b.webp: {animated} [AnimationLost]" in lines
    assert f"Warning: c.jpg: {no_room} [NoRoom]" in lines
    assert told == {
        "a.webp": [{"code": "AnimationLost", "message": animated}],
        "b.webp": [{"code": "AnimationLost", "message": animated}],
        "c.jpg": [{"code": "NoRoom", "message": no_room}],
        "d.png": [],
    }


@pytest.mark.parametrize(
    ("given", "above"),
    [
        ("photos/sub", ["dropscale.yml", "photos/dropscale.yaml"]),
        ("photos/sub/a.png", ["dropscale.yml", "photos/dropscale.yaml"]),
        ("photos", ["dropscale.yml"]),
        (".", []),
        ("..", []),
    ],
)
def test_a_spec_above_what_is_given_is_not_passed_over_in_silence(
    given: str, above: list[str], write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for spec in "dropscale.yml", "photos/dropscale.yaml", "photos/sub/dropscale.yaml":
        write(spec, "scale_factor: 4")
    write("photos/sub/a.png", png())
    monkeypatch.chdir(tmp_path)
    told = [line.split()[1] for line in specs_above(Path(given))]
    assert sorted(told) == above
