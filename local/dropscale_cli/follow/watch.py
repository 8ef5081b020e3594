"""Watches a folder: images and specs that are new or changed are dropped once they have settled."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import NoReturn

import watchfiles

from dropscale.specs.keys import SPEC_SUFFIXES
from dropscale_cli.errors import NothingToDrop, UnusablePath
from dropscale_cli.files.drops import Drops, NameUnfit, find_drops, is_fit_name
from dropscale_cli.tracking.round_trip import RoundTrip

SETTLE_SECONDS = 2.0
"""A file that has not changed for so long is taken to be complete."""

_SCAN_SECONDS = 0.5
_RESCAN_SECONDS = 10.0
"""How long a change may go unnoticed where the system tells of none, as on network drives."""


@dataclass
class _File:
    """A version of a file, and since when it has been seen."""

    version: tuple[int, int, int] | None
    since: float
    is_dropped: bool = False


@dataclass
class WatchedFolder:
    """What lies in a folder and is still to be dropped.

    Attributes:
        out: The folder for results; it is left alone.
        clock: Gives seconds that only grow.
        warn: Is told why something cannot be dropped, once.
        suffixes: What a sidecar's name ends in.
    """

    folder: Path
    out: Path
    clock: Callable[[], float]
    warn: Callable[[str], None]
    suffixes: Sequence[str] = SPEC_SUFFIXES
    _files: dict[Path, _File] = field(default_factory=dict)
    _warned: set[str] = field(default_factory=set)

    @property
    def is_settled(self) -> bool:
        """Whether all that was found the last time has been dropped."""
        return all(file.is_dropped for file in self._files.values())

    def take_settled(self) -> Drops:
        """Return what is new or has changed, and has settled.

        Images wait until no spec is about to change, so that none is paid for without its own.
        """
        found = self._found()
        now = self.clock()
        known = {path: self._files.get(path) for path in found.paths.values()}
        self._files = {path: _look_at(path, file, now) for path, file in known.items()}

        def ready(files: Mapping[str, Path]) -> dict[str, Path]:
            return {
                key: path
                for key, path in files.items()
                if not self._files[path].is_dropped
                and now - self._files[path].since >= SETTLE_SECONDS
            }

        specs = ready(found.specs)
        if any(
            not self._files[path].is_dropped
            for key, path in found.specs.items()
            if key not in specs
        ):
            return Drops(specs, {})
        return Drops(specs, ready(found.images), ready(found.stand_alone))

    def note_dropped(self, path: Path) -> None:
        """Take note that a file was dropped in the version that was seen last."""
        self._files[path].is_dropped = True

    def note_unusable(self, error: UnusablePath) -> None:
        """Tell of a file that cannot be dropped as it is."""
        if error.message not in self._warned:
            self._warned.add(error.message)
            self.warn(error.message)

    def _found(self) -> Drops:
        try:
            found = find_drops(self.folder, self.out, self.note_unusable, self.suffixes)
        except NothingToDrop:
            return Drops({}, {})
        for name in found.ignored:
            if not is_fit_name(name):
                self.note_unusable(UnusablePath(str(NameUnfit(name))))
        return found


def watch(folder: WatchedFolder, trip: RoundTrip) -> NoReturn:
    """Drop what settles in a folder, and follow it, until an exception ends it.

    The system tells of changes where it can; what counts is what a scan of the folder finds.
    """
    scanned = -_RESCAN_SECONDS
    with _changes_in(folder) as changed:
        while True:
            is_quiet = folder.is_settled and not changed.is_set()
            if folder.clock() - scanned >= (_RESCAN_SECONDS if is_quiet else _SCAN_SECONDS):
                scanned = folder.clock()
                changed.clear()
                _drop(folder.take_settled(), folder, trip)
            trip.pause()
            trip.look()


def _drop(drops: Drops, folder: WatchedFolder, trip: RoundTrip) -> None:
    for files, drop in ((drops.specs, trip.drop_spec), (drops.to_follow, trip.drop)):
        for key, path in files.items():
            try:
                drop(key, path)
            except UnusablePath as error:  # It is gone again, or will be tried again.
                folder.note_unusable(error)
            else:
                folder.note_dropped(path)


def _look_at(path: Path, known: _File | None, now: float) -> _File:
    version = None
    with suppress(OSError):
        facts = path.stat()
        version = (facts.st_size, facts.st_mtime_ns, facts.st_ino)
    return known if known and known.version == version else _File(version, since=now)


@contextmanager
def _changes_in(folder: WatchedFolder) -> Iterator[Event]:
    """Yield what is set whenever something in the folder changes, as far as the system tells."""
    changed, end = Event(), Event()
    out = folder.out.resolve()

    def follow() -> None:
        changes = watchfiles.watch(
            folder.folder.resolve(),
            watch_filter=lambda _, path: not Path(path).is_relative_to(out),
            stop_event=end,
            ignore_permission_denied=True,
        )
        # Its errors say that it can tell nothing, or no more; then there are still the rescans.
        with suppress(OSError, RuntimeError):
            for _ in changes:
                changed.set()

    watcher = Thread(target=follow, name="watch", daemon=True)
    watcher.start()
    try:
        yield changed
    finally:
        end.set()
        watcher.join()
