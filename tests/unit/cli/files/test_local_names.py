"""Results can be written on this machine whatever their keys, each to a file of its own."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropscale.ledger.drops import Output
from dropscale_cli.files import results as local_names
from dropscale_cli.files.results import (
    MOST_BYTES,
    ResultPath,
    collect,
    collected_file,
    fitting_name,
    result_below,
)

LONG = "a photo of a cat, " * 13 + "4k.png"
CJK = "猫" * 80 + ".jpg"
NAMES = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=400
).filter(lambda name: name not in {".", ".."})


@given(st.lists(NAMES, min_size=2, max_size=2, unique=True))
def test_each_name_fits_and_no_two_are_one(names: list[str]) -> None:
    fitting = [fitting_name(name, name) for name in names]

    assert len(set(fitting)) == 2
    for name in fitting:
        assert 0 < len(name.encode()) <= MOST_BYTES
        assert not name.endswith((".", " "))


@pytest.mark.parametrize("name", ["cat.jpg@2x.png", "CONSOLE.png", "a~b.png", "猫.jpg@4x.png"])
def test_a_name_that_is_fit_stays(name: str) -> None:
    assert fitting_name(name, name) == name


@pytest.mark.parametrize("name", ["con", "CON.png", "nul.jpg@2x.png", "com¹.jpg", "lpt1.a.png"])
def test_a_name_of_windows_is_marked_and_keeps_its_ending(name: str) -> None:
    fitting = fitting_name(name, name)

    assert not local_names._RESERVED.fullmatch(fitting)
    assert Path(fitting).suffix == Path(name).suffix
    assert fitting != fitting_name(name.swapcase(), name.swapcase())


@pytest.mark.parametrize("stem", [LONG, CJK, f"a/{LONG}", f"{'x' * 300}/cat.jpg"])
def test_a_result_and_its_manifest_are_written_and_found(stem: str, tmp_path: Path) -> None:
    key, manifest = f"{stem}@4x-creative.png", f"{stem}.dropscale.json"
    result = collect(ResultPath(tmp_path, key), [b"result"], 6)
    collect(ResultPath(tmp_path, manifest), [b"manifest"], 8)

    sha256 = "f6dbdc8ef4be4f8d6b5ae8a5cf4e4ef0a4d1a8ec8d0b8f0a4d9a9e8ce6b8bc5b"
    output = Output(key=key, type="png", width=1, height=1, bytes=6, sha256=sha256)
    assert collected_file(tmp_path, output) is None, "other bytes are not the result"
    assert result_below(tmp_path, key) == result
    assert result.name.endswith("@4x-creative.png")
    found = result_below(tmp_path, manifest)
    assert found is not None
    assert found.read_bytes() == b"manifest"
    assert found.name.endswith(".dropscale.json")


@pytest.fixture
def case_blind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose file system seems to take both cases for one, as those of macOS do."""
    is_there = os.path.lexists

    def exists_in_any_case(path: Path) -> bool:
        folder = path.parent
        names = os.listdir(folder) if is_there(folder) else []
        return path.name.casefold() in {name.casefold() for name in names}

    monkeypatch.setattr(local_names, "_ignores_case", lambda _: True)
    monkeypatch.setattr("dropscale_cli.files.results.os.path.lexists", exists_in_any_case)
    return tmp_path


def test_keys_that_differ_in_case_only_stay_apart(case_blind: Path) -> None:
    keys = ["a/cat.jpg@2x.png", "a/Cat.jpg@2x.png", "A/cat.jpg@2x.png", "A/CAT.jpg@2x.png"]
    for key in keys:
        collect(ResultPath(case_blind, key), [key.encode()], 100)

    paths = [ResultPath(case_blind, key).path for key in keys]
    assert [path.read_bytes().decode() for path in paths] == keys
    assert len({str(path).casefold() for path in paths}) == len(keys)
    assert paths[0] == case_blind / keys[0]
