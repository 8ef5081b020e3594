"""Watches a folder: new and changed images and specs are dropped once they have settled."""

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
"""A file that has not changed for this long is considered complete."""

_SCAN_SECONDS = 0.5
_RESCAN_SECONDS = 10.0
"""How long a change may go unnoticed where the system reports none, as on network drives."""


@dataclass
class _File:
    """A version of a file, and when it was first seen."""

    version: tuple[int, int, int] | None
    since: float
    is_dropped: bool = False


@dataclass
class WatchedFolder:
    """The files in a folder that are still to be dropped.

    Attributes:
        out: The folder for results; it is ignored.
        clock: Returns monotonic seconds.
        warn: Is called once for each file that cannot be dropped, with the reason.
        suffixes: The endings of sidecar names.
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
        """Whether all files found by the last scan have been dropped."""
        return all(file.is_dropped for file in self._files.values())

    def take_settled(self) -> Drops:
        """Return new and changed files that have settled.

        Images wait until all specs have settled, so that none is paid for without its spec.
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
        """Record that a file was dropped in the version seen last."""
        self._files[path].is_dropped = True

    def note_unusable(self, error: UnusablePath) -> None:
        """Warn about a file that cannot be dropped."""
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
    """Drop and follow files that settle in a folder, until an exception ends it.

    Notifications from the system only trigger a scan of the folder; the scan decides.
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
            except UnusablePath as error:  # It was removed, or will be tried again.
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
    """Yield an event that is set whenever the system reports a change in the folder."""
    changed, end = Event(), Event()
    out = folder.out.resolve()

    def follow() -> None:
        changes = watchfiles.watch(
            folder.folder.resolve(),
            watch_filter=lambda _, path: not Path(path).is_relative_to(out),
            stop_event=end,
            ignore_permission_denied=True,
        )
        # On an error it cannot report changes, or no longer; the rescans still find them.
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
