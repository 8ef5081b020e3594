"""The source of each field's value, as shown by `explain`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from dropscale.specs.model import Spec, Style
from dropscale_cli.specs.explain import tell_layers
from tests.fakes import png

Write = Callable[..., Path]
Explain = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def explained(capsys: pytest.CaptureFixture[str]) -> Explain:
    def run(path: str, root: str | None = None, *, code: int = 0) -> dict[str, Any]:
        assert tell_layers(Path(path), Path(root) if root else None, as_json=True) == code
        told: dict[str, Any] = json.loads(capsys.readouterr().out)
        return told

    return run


def test_each_field_tells_whose_value_it_is_and_what_it_overrides(
    write: Write, explained: Explain
) -> None:
    write("dropscale.yaml", "scale_factor: 4\nname: All")
    write("a/dropscale.yaml", "style:\n  mode: preserve\nname: ~\nskip_if: {min_width: 9}")
    write("a/cat.jpg")
    write("a/cat.jpg.yaml", "style:\n  enhancement: Creative\n")
    fields = explained("a/cat.jpg")["fields"]
    assert fields["style.mode"] == {
        "value": "creative",
        "from": "a/cat.jpg.yaml:2:16",
        "overrides": [
            {"value": "preserve", "from": "a/dropscale.yaml:2:9"},
            {"value": "balanced", "from": "parameter DefaultMode"},
        ],
    }
    assert fields["scale_factor"]["from"] == "dropscale.yaml:1:15"
    assert fields["name"] == {
        "value": None,
        "from": "a/dropscale.yaml:3:7",
        "overrides": [{"value": "All", "from": "dropscale.yaml:2:7"}],
    }
    assert fields["skip_if.min_width"]["from"] == "a/dropscale.yaml:4:22"
    assert fields["download_outputs"] == {"value": True, "from": "default", "overrides": []}


def test_every_field_of_the_model_is_there(write: Write, explained: Explain) -> None:
    write("cat.jpg")
    fields = {field.partition(".")[0] for field in explained("cat.jpg")["fields"]}
    assert fields == Spec.model_fields.keys() - {"assets", "presets", "rules"}
    assert {"style.mode", "style.prompt"} <= explained("cat.jpg")["fields"].keys()
    assert Style.model_fields.keys() == {"mode", "enhancement", "prompt"}


def test_a_value_of_a_rule_tells_which_and_only_for_images_that_it_applies_to(
    write: Write, explained: Explain
) -> None:
    rules = "[{if: {orientation: portrait}, scale_factor: 4}, {if: {name: '*'}, name: All}]"
    write("dropscale.yaml", f"scale_factor: 2\nrules: {rules}")
    write("high.png", png(3, 4))
    write("wide.png", png(4, 3))
    write("damaged.png")
    high, wide, damaged = (
        explained(key)["fields"] for key in ("high.png", "wide.png", "damaged.png")
    )
    assert high["scale_factor"]["value"] == 4
    assert high["scale_factor"]["from"] == "dropscale.yaml:2:53 (rules[0])"
    assert high["scale_factor"]["overrides"][0]["from"] == "dropscale.yaml:1:15"
    assert [each["scale_factor"]["value"] for each in (wide, damaged)] == [2, 2]
    assert [each["name"]["value"] for each in (high, wide, damaged)] == ["All"] * 3


def test_a_value_of_a_preset_tells_where_it_stands_there_and_in_which(
    write: Write, explained: Explain
) -> None:
    write("dropscale.yaml", "presets:\n  big: {scale_factor: 4}\nscale_factor: 2")
    write("cat.jpg")
    write("cat.jpg.yaml", "preset: big")
    field = explained("cat.jpg")["fields"]["scale_factor"]
    assert (field["value"], field["from"]) == (4, "dropscale.yaml:2:23 (presets.big)")
    assert [each["from"] for each in field["overrides"]] == [
        "dropscale.yaml:3:15",
        "parameter DefaultScaleFactor",
    ]


def test_each_rendition_is_explained(write: Write, explained: Explain) -> None:
    write("dropscale.yaml", "renditions: [{}]\nscale_factor: 4")
    write("cat.jpg")
    write("cat.jpg.yaml", "renditions:\n- style: {mode: preserve}\n- scale_factor: 2")
    told = explained("cat.jpg")
    assert told["fields"]["renditions"]["from"] == "cat.jpg.yaml:2:1"
    first, second = told["renditions"]
    assert first["style.mode"]["from"] == "cat.jpg.yaml:2:17"
    assert first["scale_factor"]["from"] == "dropscale.yaml:2:15"
    assert second["scale_factor"]["value"] == 2
    assert [each["value"] for each in second["scale_factor"]["overrides"]] == [4, 2]


def test_a_stand_alone_spec_is_explained_without_its_signature(
    write: Write, explained: Explain
) -> None:
    write("job.yaml", "assets: {image_file_path: https://example.com/a.png?key=secret}")
    fields = explained("job.yaml")["fields"]
    assert fields["assets.image_file_path"]["value"] == "https://example.com/a.png"


@pytest.mark.parametrize("path", ["a/cat.jpg", "a/cat.jpg.yaml"])
def test_the_cascade_begins_where_one_says(path: str, write: Write, explained: Explain) -> None:
    write("dropscale.yaml", "scale_factor: 4")
    write("a/cat.jpg")
    write("a/cat.jpg.yaml", "{}")
    assert explained(path)["fields"]["scale_factor"]["value"] == 4
    assert explained(path, "a")["fields"]["scale_factor"]["value"] == 2


def test_faults_are_shown_instead(write: Write, explained: Explain) -> None:
    write("cat.jpg")
    write("cat.jpg.yaml", "scale_factor: 3")
    (fault,) = explained("cat.jpg", code=1)["faults"]
    assert (fault["path"], fault["column"], fault["field"]) == ("cat.jpg.yaml", 15, "scale_factor")


@pytest.mark.parametrize("name", ["notes.txt", "package.json", "dropscale.yaml", "."])
def test_a_path_that_is_not_a_drop_is_wrong_usage(name: str, write: Write) -> None:
    if name != ".":
        write(name, '{"name": "x"}')
    with pytest.raises(click.UsageError, match="neither an image nor a spec"):
        tell_layers(Path(name), None, as_json=True)


def test_text_is_a_table_for_the_spec_and_for_each_rendition(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write("cat.jpg")
    files = "[{scale_factor: 4}, {scale_factor: 4, output: {name: 'a{ext}'}}]"
    write("cat.jpg.yaml", f"wait_for_completion: false\nrenditions: {files}")
    assert tell_layers(Path("cat.jpg"), None, as_json=False) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[:2] == ["cat.jpg", "Field Value From Overrides"]
    assert "wait_for_completion false cat.jpg.yaml:1:22" in lines
    assert "max_credits - default" in lines
    assert "renditions[0]: 4x balanced, 200 credits" in lines
    assert "renditions[1]: 4x balanced, the upscale of renditions[0]" in lines
    assert "scale_factor 4 cat.jpg.yaml:2:29 2 (parameter DefaultScaleFactor)" in lines
