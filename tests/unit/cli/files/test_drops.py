"""Which files `run` drops, and at which keys."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dropscale_cli.errors import NothingToDrop, UnusablePath
from dropscale_cli.files.drops import IgnoredFiles, drops_by_folder, find_drops
from dropscale_cli.files.state_folder import StateFolder

Write = Callable[..., Path]


def test_a_folder_gives_images_and_specs_at_their_relative_paths(
    write: Write, tmp_path: Path
) -> None:
    cat = write("cat.jpg")
    leaf = write("été 2026/deep/leaf.PNG")
    spec = write("été 2026/deep/leaf.PNG.yml")
    folder_spec = write("été 2026/dropscale.yaml")
    write("notes.txt")
    write("data.json")
    drops = find_drops(tmp_path, tmp_path / "out")
    assert drops.images == {"cat.jpg": cat, "été 2026/deep/leaf.PNG": leaf}
    assert drops.specs == {
        "été 2026/dropscale.yaml": folder_spec,
        "été 2026/deep/leaf.PNG.yml": spec,
    }
    assert [*drops.ignored] == ["data.json", "notes.txt"]


def test_results_never_lie_where_images_are_looked_for(write: Write, tmp_path: Path) -> None:
    write("cat.jpg")
    (tmp_path / "link").symlink_to(tmp_path)

    for out in (tmp_path, tmp_path / "link", tmp_path.parent):
        with pytest.raises(UnusablePath, match="--out"):
            find_drops(tmp_path, out, lambda _: None)
    assert find_drops(tmp_path / "cat.jpg", tmp_path).images.keys() == {"cat.jpg"}


def test_the_results_of_other_runs_are_no_images(write: Write, tmp_path: Path) -> None:
    write("cat.jpg")
    write("a/out/deep/cat.jpg@2x.png")
    StateFolder(tmp_path / "a" / "out").make()

    assert find_drops(tmp_path, tmp_path / "out").images.keys() == {"cat.jpg"}


def test_one_image_comes_with_its_own_sidecars_only(write: Write, tmp_path: Path) -> None:
    cat = write("cat.jpg")
    specs = {name: write(name) for name in ("cat.jpg.yaml", "cat.jpg.json")}
    write("dog.jpg")
    write("dog.jpg.yaml")
    drops = find_drops(cat, tmp_path / "out")
    assert (drops.images, drops.specs, drops.ignored) == ({"cat.jpg": cat}, specs, {})


def test_keys_are_composed_whatever_the_file_system_keeps(write: Write, tmp_path: Path) -> None:
    decomposed = write("e\u0301te\u0301.jpg")
    assert find_drops(tmp_path, tmp_path / "out").images == {"\u00e9t\u00e9.jpg": decomposed}


def test_names_that_make_one_key_are_refused(write: Write, tmp_path: Path) -> None:
    write("e\u0301.jpg")
    if write("\u00e9.jpg").samefile(tmp_path / "e\u0301.jpg"):
        pytest.skip("this file system takes both names for one")
    with pytest.raises(UnusablePath, match=r"e\\u0301.jpg.*are one key"):
        find_drops(tmp_path, tmp_path / "out")


@pytest.mark.parametrize("name", [b"a\xff.jpg", b"a\x1b[2J.jpg", b"a\n.jpg"])
def test_an_unprintable_name_is_reported_and_the_rest_continues(
    name: bytes, tmp_path: Path
) -> None:
    (tmp_path / "cat.jpg").touch()
    try:
        Path(os.fsdecode(bytes(tmp_path) + b"/" + name)).touch()
    except OSError:
        pytest.skip("this file system refuses the name itself")
    drops = find_drops(tmp_path, tmp_path / "out")

    assert drops.images.keys() == {"cat.jpg"}
    said = "".join(IgnoredFiles.of(drops.ignored).lines())
    assert "not dropped: has a name that is not printable UTF-8" in said
    assert "Rename the file." in said


def test_a_narrow_space_as_in_screenshots_is_fine(write: Write, tmp_path: Path) -> None:
    shot = write("Screenshot 9.41\u202fAM.png")
    assert find_drops(tmp_path, tmp_path / "out").images == {shot.name: shot}


def test_hidden_files_and_earlier_results_are_ignored(write: Write, tmp_path: Path) -> None:
    cat = write("cat.jpg")
    write(".cache/thumbnail.jpg")
    write("._cat.jpg")
    write("out/cat.jpg@2x.png")
    drops = find_drops(tmp_path, tmp_path / "nowhere" / ".." / "out")
    assert (drops.images, drops.ignored) == ({"cat.jpg": cat}, {})


@pytest.mark.parametrize("only", [[], ["notes.txt"], ["cat.jpg.yaml"]])
def test_no_image_is_an_error(only: list[str], write: Write, tmp_path: Path) -> None:
    for name in only:
        write(name)
    with pytest.raises(NothingToDrop, match="no image to drop") as raised:
        find_drops(tmp_path, tmp_path / "out")
    assert all(name in raised.value.message for name in only)


def test_a_file_that_is_no_image_is_an_error(write: Write, tmp_path: Path) -> None:
    with pytest.raises(NothingToDrop, match=r"notes\.txt: there is no image"):
        find_drops(write("notes.txt"), tmp_path / "out")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_image_that_cannot_be_read_is_an_error(write: Write, tmp_path: Path) -> None:
    write("cat.jpg").chmod(0)
    with pytest.raises(UnusablePath, match=r"cat\.jpg: cannot be read"):
        find_drops(tmp_path, tmp_path / "out")


def test_each_folder_comes_with_the_specs_of_those_that_it_is_in(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    write("dropscale.yaml")
    write("a/dropscale.yaml")
    write("a/b\udcff/c.png")
    write("a/c/d.png")
    write("ab/e.png")

    found = drops_by_folder(tmp_path, tmp_path / "out")

    assert {key: sorted(one.above) for one in found for key in one.images} == {
        "a/c/d.png": ["a/dropscale.yaml", "dropscale.yaml"],
        "ab/e.png": ["dropscale.yaml"],
    }


def test_two_folders_of_one_name_are_refused(write: Callable[..., Path], tmp_path: Path) -> None:
    write("\u00e9/a.png")
    write("e\u0301/b.png")
    with pytest.raises(UnusablePath, match="are one key"):
        find_drops(tmp_path, tmp_path / "out")
