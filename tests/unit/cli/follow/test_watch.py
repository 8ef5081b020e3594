"""Watching a folder, on a clock that is moved by hand."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dropscale.ledger.states import DropState
from dropscale_cli.files.drops import Drops
from dropscale_cli.follow import watch as watching
from dropscale_cli.follow.watch import SETTLE_SECONDS, WatchedFolder, watch
from dropscale_cli.tracking.round_trip import RoundTrip
from tests.unit.cli.follow.test_round_trip import ScriptedTarget, Updates, step
from tests.unit.cli.samples import manifest

Write = Callable[..., Path]


@dataclass
class Scans:
    """A watched folder, and what its scans have found and warned of."""

    root: Path
    now: float = 0.0
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        photos = self.root / "photos"
        photos.mkdir()
        self.folder = WatchedFolder(photos, photos / "out", lambda: self.now, self.warnings.append)

    def found(self, *, after: float = 0.0, is_dropped: bool = True) -> list[str]:
        """Scan after so many seconds, and drop what has settled."""
        self.now += after
        drops = self.folder.take_settled()
        if is_dropped:
            for path in drops.paths.values():
                self.folder.note_dropped(path)
        return list(drops.paths)


@pytest.fixture
def scans(tmp_path: Path) -> Scans:
    return Scans(tmp_path)


def test_an_image_is_dropped_once_when_it_has_settled(scans: Scans, write: Write) -> None:
    write("photos/a.png", "a")
    assert scans.found() == []
    assert scans.found(after=SETTLE_SECONDS / 2) == []
    assert scans.found(after=SETTLE_SECONDS / 2) == ["a.png"]
    assert scans.folder.is_settled
    assert scans.found(after=100) == []


def test_a_file_that_is_being_written_is_not_dropped(scans: Scans, write: Write) -> None:
    for length in range(10):
        write("photos/a.png", "a" * length)
        assert scans.found(after=SETTLE_SECONDS * 0.9) == []
    assert not scans.folder.is_settled
    assert scans.found(after=SETTLE_SECONDS) == ["a.png"]


@pytest.mark.parametrize("change", ["size", "time", "replaced"])
def test_a_changed_image_is_dropped_again(change: str, scans: Scans, write: Write) -> None:
    file = write("photos/a.png", "a")
    scans.found()
    assert scans.found(after=SETTLE_SECONDS) == ["a.png"]
    facts = file.stat()
    if change == "size":
        file.write_text("aa")
    elif change == "replaced":
        write("b", "b").replace(file)
    moved = facts.st_mtime_ns + (change == "time")
    os.utime(file, ns=(facts.st_atime_ns, moved))
    assert scans.found() == []
    assert scans.found(after=SETTLE_SECONDS) == ["a.png"]


def test_images_wait_for_specs_that_are_being_written(scans: Scans, write: Write) -> None:
    write("photos/x/a.png", "a")
    scans.found()
    write("photos/x/a.png.yaml", "scale_factor: 4")
    assert scans.found(after=SETTLE_SECONDS) == []
    write("photos/x/dropscale.yaml", "scale_factor: 2")
    assert scans.found(after=SETTLE_SECONDS / 2) == []
    assert scans.found(after=SETTLE_SECONDS / 2) == ["x/a.png.yaml"]
    assert scans.found(after=SETTLE_SECONDS / 2) == ["x/dropscale.yaml", "x/a.png"]


def test_a_spec_that_stands_alone_is_a_drop(scans: Scans, write: Write) -> None:
    write("photos/moon.yaml", 'assets: {image_file_path: "https://far/away.png"}')
    scans.found()
    scans.now += SETTLE_SECONDS
    assert list(scans.folder.take_settled().stand_alone) == ["moon.yaml"]


def test_results_within_the_folder_and_hidden_files_are_left_alone(
    scans: Scans, write: Write
) -> None:
    for name in ("out/a.png@2x.png", ".hidden/b.png", ".c.png.part"):
        write(f"photos/{name}", "x")
    scans.found()
    assert scans.found(after=SETTLE_SECONDS) == []
    assert scans.folder.is_settled


def test_what_could_not_be_dropped_stays_new(scans: Scans, write: Write) -> None:
    write("photos/a.png", "a")
    scans.found()
    assert scans.found(after=SETTLE_SECONDS, is_dropped=False) == ["a.png"]
    assert scans.found() == ["a.png"]


def test_an_image_that_comes_back_is_dropped_again(scans: Scans, write: Write) -> None:
    file = write("photos/a.png", "a")
    scans.found()
    scans.found(after=SETTLE_SECONDS)
    file.unlink()
    assert scans.found() == []
    write("photos/a.png", "a")
    scans.found()
    assert scans.found(after=SETTLE_SECONDS) == ["a.png"]


def test_a_bad_name_is_warned_of_once_and_keeps_nobody_else(scans: Scans, write: Write) -> None:
    write("photos/a.png", "a")
    write("photos/b\x07.png", "b")
    scans.found()
    assert scans.found(after=SETTLE_SECONDS) == ["a.png"]
    assert [warning for warning in scans.warnings if "not printable" in warning] == scans.warnings
    assert len(scans.warnings) == 1


class End(Exception):
    """The script is over."""


def test_what_comes_later_is_dropped_and_followed(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system reports nothing here: the rescans find everything."""
    monkeypatch.setattr("watchfiles.watch", lambda *_, **__: iter(()))
    photos = tmp_path / "photos"
    photos.mkdir()
    target = ScriptedTarget([], step_seconds=0.5)
    updates = Updates()

    def scenes() -> Iterator[None]:
        yield from [None] * 10
        write("photos/a.png", "a")
        write("photos/a.png.yaml", "scale_factor: 4")
        while len(target.dropped) < 2:
            yield
        target.results |= step(manifest("a.png", DropState.RENDERING))
        yield
        (photos / "a.png.yaml").write_text("scale_factor: 2")
        (photos / "gone.png").write_text("gone")
        target.results |= step(manifest("a.png", DropState.DELIVERED))
        while len(target.dropped) < 4:
            yield

    script = scenes()

    def pause() -> None:
        target.now += target.step_seconds
        assert target.now < 200, "it waits on and on"
        if next(script, script) is script:
            raise End

    trip = RoundTrip(target, photos / "out", updates, lambda: target.now, pause)
    with pytest.raises(End):
        watch(WatchedFolder(photos, photos / "out", lambda: target.now, print), trip)
    assert target.dropped == [
        ("a.png.yaml", b"scale_factor: 4"),
        ("a.png", b"a"),
        ("a.png.yaml", b"scale_factor: 2"),
        ("gone.png", b"gone"),
    ]
    assert updates.seen == [
        ("a.png", None), ("a.png", "rendering"), ("a.png", "delivered"), ("gone.png", None)
    ]  # fmt: skip


def test_a_file_that_is_gone_before_it_is_dropped_is_no_matter(
    write: Write, tmp_path: Path
) -> None:
    target = ScriptedTarget([])
    warnings: list[str] = []
    folder = WatchedFolder(tmp_path, tmp_path / "out", lambda: 0, warnings.append)
    trip = RoundTrip(target, tmp_path / "out", Updates(), lambda: 0, target.pause)
    watching._drop(Drops({}, {"a.png": tmp_path / "a.png"}), folder, trip)
    assert target.dropped == []
    assert "a.png: cannot be read" in warnings[0]
