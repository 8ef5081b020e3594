"""No key, whatever is in it or in its way, makes anything be written outside its folder."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dropscale_cli.files.results import LeadsOut, PathInside, ResultPath, collect

BODY = b"a result"

NAMES = st.one_of(
    st.sampled_from(
        [
            *(
                "",
                ".",
                "..",
                "...",
                "a",
                "link",
                "file",
                "dangling",
                "C:",
                "C:\\x",
                "..\\..",
                "a\\b",
            ),
            *("\0", "a\0", "nul", "CON", "~", ".dropscale", ".DropScale", "a" * 300, "\ud800", "*"),
            *("\N{FULLWIDTH FULL STOP}" * 2, "\N{DIVISION SLASH}", "\x1b[2J", "a\nb", "$HOME"),
        ]
    ),
    st.text(max_size=8),
)
KEYS = st.lists(NAMES, min_size=1, max_size=5).map("/".join)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder with links in it to all around it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"precious")
    out = tmp_path / "out"
    (out / "a").mkdir(parents=True)
    (out / ".dropscale").mkdir()
    (out / ".dropscale" / "journal.sqlite").write_bytes(b"precious")
    for folder in (out, out / "a"):
        (folder / "link").symlink_to(outside, target_is_directory=True)
        (folder / "file").symlink_to(outside / "precious")
        (folder / "dangling").symlink_to(outside / "not yet")
    return out


def all_but_results(out: Path) -> dict[str, bytes]:
    """Return the files outside, and those of a run's state."""
    kept = [path for path in out.parent.rglob("*") if path.is_file() and not path.is_symlink()]
    return {
        str(path): path.read_bytes()
        for path in kept
        if out not in path.parents or out / ".dropscale" in path.parents
    }


@settings(
    max_examples=2 * settings().max_examples,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(key=KEYS)
def test_whatever_the_key_nothing_else_is_touched(out: Path, key: str) -> None:
    before = all_but_results(out)
    try:
        written = collect(ResultPath(out, key), [BODY], len(BODY))
    except (OSError, UnicodeEncodeError):
        pass
    else:
        assert written.read_bytes() == BODY
        assert out.resolve() in written.resolve().parents
        written.unlink()
    assert all_but_results(out) == before


@pytest.mark.parametrize(
    "key", ["../x", "/etc/x", "a/../../x", "a//x", "", "a/", "./x", "x\0y", ".dropscale/x"]
)
def test_such_a_key_is_no_path(out: Path, key: str) -> None:
    with pytest.raises(LeadsOut):
        ResultPath(out, key)


def test_a_link_in_the_way_is_named(out: Path) -> None:
    with pytest.raises(LeadsOut) as caught:
        collect(ResultPath(out, "link/x.png"), [BODY], len(BODY))

    assert caught.value.filename == str(out / "link/x.png")
    assert "link is a link" in str(caught.value.strerror)
    assert not (out / "link/x.png").exists()


def test_a_link_at_the_end_is_replaced_not_followed(out: Path) -> None:
    collect(ResultPath(out, "file"), [BODY], len(BODY))

    assert not (out / "file").is_symlink()
    assert (out.parent / "outside" / "precious").read_bytes() == b"precious"


@pytest.mark.parametrize("make", ["symlink_to", "hardlink_to"])
def test_a_link_where_the_file_grows_is_not_followed(out: Path, make: str) -> None:
    precious = out.parent / "outside" / "precious"
    getattr(out / ".dropscale" / "collecting.part", make)(precious)

    collect(ResultPath(out, "x.png"), [BODY], len(BODY))

    assert precious.read_bytes() == b"precious"


def test_a_file_longer_than_allowed_is_not_left_there(out: Path) -> None:
    with pytest.raises(OSError, match="longer than its manifest says"):
        collect(ResultPath(out, "x.png"), [BODY, BODY], len(BODY))

    assert not (out / "x.png").exists()
    assert os.listdir(out / ".dropscale") == ["journal.sqlite"]


def test_the_folder_itself_may_be_a_link(out: Path) -> None:
    link = out.parent / "shortcut"
    link.symlink_to(out, target_is_directory=True)

    collect(ResultPath(link, "b/x.png"), [BODY], len(BODY))

    assert (out / "b" / "x.png").read_bytes() == BODY


def test_a_page_is_not_written_through_a_link(out: Path) -> None:
    (out / "index_files").symlink_to(out / "link")

    with pytest.raises(LeadsOut):
        PathInside(out, "index.html").write(
            [BODY], PathInside(out, "index_files/page.part"), is_durable=False
        )
