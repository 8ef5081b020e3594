"""What `init` and `schema` give one to begin with."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from dropscale.specs.model import Spec, json_schema
from dropscale.specs.parse import parse_folder_spec
from dropscale_cli.errors import UnusablePath
from dropscale_cli.specs import starter
from dropscale_cli.specs.validate import tell_faults


def uncommented(text: str) -> str:
    """Take one comment sign away from every line but the modeline, as an editor does."""
    modeline, _, rest = text.partition("\n")
    return modeline + "\n" + re.sub("^# ?", "", rest, flags=re.MULTILINE)


def test_the_starter_says_nothing_until_it_is_uncommented() -> None:
    assert parse_folder_spec(starter.starter_text().encode(), "dropscale.yaml").layer == {}


def test_the_starter_is_valid_with_every_line_uncommented(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = uncommented(starter.starter_text())
    given = parse_folder_spec(text.encode(), "dropscale.yaml").spec.model_fields_set
    assert given == Spec.model_fields.keys() - {"assets"}
    jsonschema.validate(yaml.safe_load(text), json_schema())
    (tmp_path / "dropscale.yaml").write_text(text)
    assert tell_faults([tmp_path], None, "text") == 0
    assert capsys.readouterr().out == ""


def test_each_field_stands_under_its_description() -> None:
    lines = starter.starter_text().splitlines()
    at = lines.index("#   mode: creative")
    assert lines[at - 1].startswith("#   ## How far the result may depart from the original.")
    assert "preserve, balanced, creative" in lines[at - 1]
    assert max(map(len, lines)) <= 100


def test_init_writes_the_starter_and_never_overwrites(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "my photos"
    starter.write_starter(folder)
    assert f"dropscale plan '{folder}'" in capsys.readouterr().out
    path = folder / "dropscale.yaml"
    assert path.read_text() == starter.starter_text()
    path.write_text("scale_factor: 4")
    with pytest.raises(UnusablePath, match="exists already"):
        starter.write_starter(folder)
    assert path.read_text() == "scale_factor: 4"


def test_init_names_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnusablePath, match=r"dropscale\.yaml: cannot be written"):
        starter.write_starter(tmp_path / "file" / "photos")


def test_the_modeline_names_the_schema_that_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    starter.write_schema(tmp_path, force=False)
    assert capsys.readouterr().out.splitlines()[-1] == starter.MODELINE
    name = starter.MODELINE.partition("$schema=")[2]
    assert json.loads((tmp_path / name).read_text()) == json_schema()
    assert starter.starter_text().startswith(starter.MODELINE + "\n")


def test_the_schema_overwrites_another_file_only_with_force(tmp_path: Path) -> None:
    path = tmp_path / starter.SCHEMA_NAME
    starter.write_schema(tmp_path, force=False)
    starter.write_schema(tmp_path, force=False)
    path.write_text("mine")
    with pytest.raises(UnusablePath, match="--force"):
        starter.write_schema(tmp_path, force=False)
    assert path.read_text() == "mine"
    starter.write_schema(tmp_path, force=True)
    assert path.read_text() == starter.schema_text()


def test_a_schema_among_images_is_no_spec(tmp_path: Path) -> None:
    starter.write_schema(tmp_path, force=False)
    starter.write_starter(tmp_path)
    assert tell_faults([tmp_path], None, "text") == 0
    assert yaml.safe_load(starter.starter_text()) is None
