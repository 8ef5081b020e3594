"""Drops files, follows images to their end, and collects results."""

import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from io import FileIO
from pathlib import Path
from typing import BinaryIO, Protocol

from pydantic import ValidationError

from dropscale.ledger.drops import Output
from dropscale.ledger.states import AT_VENDOR_STATES, DropState, WaitReason
from dropscale.results.manifest import Manifest, manifest_key
from dropscale_cli.errors import UnusablePath
from dropscale_cli.files.drops import Drops
from dropscale_cli.files.results import ResultPath, collect, collected_file, require_own


class ResultMissing(Exception):
    """There is no such result in the results bucket."""


class Target(Protocol):
    """A stack's two buckets, and the retry of a drop."""

    def drop(self, key: str, file: BinaryIO) -> str | None:
        """Put a file into the input bucket; return its version id, if the bucket is versioned."""

    def result_etags(self, prefix: str) -> dict[str, str]:
        """Return the ETags of all results whose keys start with `prefix`, by key."""

    def read_result(self, key: str) -> Iterator[bytes]:
        """Read one result, in chunks.

        Raises:
            ResultMissing: there is none; raised with the first chunk.
        """

    def retry(self, key: str) -> bool:
        """Try an image's drop again; return whether there was anything that could be tried."""


AS_ASKED = frozenset(
    {DropState.DELIVERED, DropState.COMPLETE, DropState.SKIPPED, DropState.SUBMITTED}
)
"""States that a drop can end well in."""

MOST_MANIFEST_BYTES = 4 * 1024 * 1024
"""Ten times the largest that dropscale writes: a DynamoDB row has at most 400 KB."""

_ACCOUNT_WIDE = frozenset({WaitReason.BUDGET, WaitReason.ACCOUNT, WaitReason.LEDGER})
_FOR_A_PERSON = _ACCOUNT_WIDE | {WaitReason.SIDECAR, WaitReason.ACCESS}

PATIENCE_SECONDS = 10 * 60.0
"""How long a command waits by default while the vendor's answers are inconclusive."""

_SILENCE_SECONDS = 15 * 60.0
"""Longer than the drop queue takes to deliver a message again after a failure (12 minutes)."""


@dataclass(frozen=True)
class FollowedDrop:
    """An image and its last known state.

    Attributes:
        seconds: From the drop to the last change of its state.
        trouble: Why a result could not be written on this machine.
        is_collected: Whether to wait for its result, whatever its spec says.
        is_given_up: Whether this command no longer waits for it, though it may continue.
    """

    key: str
    version_id: str | None
    dropped_at: float
    seconds: float = 0.0
    manifest: Manifest | None = None
    files: tuple[Path, ...] = ()
    trouble: str | None = None
    is_collected: bool = False
    is_given_up: bool = False

    @property
    def state(self) -> DropState | None:
        """Its state; None until its first manifest."""
        return self.manifest.state if self.manifest else None

    @property
    def is_settled(self) -> bool:
        """Whether the pipeline is done with it, successfully or not."""
        if self.is_collected and self.state is DropState.SUBMITTED:
            return False
        return self.manifest is not None and self.manifest.is_settled

    @property
    def is_passing(self) -> bool:
        """Whether the vendor's last answers were inconclusive, which may be temporary.

        The manifest of a job whose status cannot be read has a reason, and its state stays open.
        """
        if self.manifest is None or self.is_settled:
            return False
        if self.state is DropState.WAITING:
            return self.manifest.waiting_for is WaitReason.UNREADABLE
        return self.state in AT_VENDOR_STATES and self.manifest.reason is not None

    @property
    def is_as_asked(self) -> bool:
        """Whether it ended as its spec asks, and its result is on this machine."""
        return self.is_settled and self.state in AS_ASKED and self.trouble is None


@dataclass(frozen=True)
class Transfer:
    """How much of a file was sent or fetched, in bytes, or how many files were looked at.

    `what` is e.g. "uploading cat.jpg".
    """

    what: str
    done: int
    total: int
    seconds: float
    unit: str = "MB"

    @property
    def is_over(self) -> bool:
        """Whether all of it is there."""
        return self.done >= self.total

    def __str__(self) -> str:
        """Say how much, and how fast."""
        size, digits = (1e6, 1) if self.unit == "MB" else (1, 0)
        rate = self.done / self.seconds / size if self.seconds else 0.0
        done, total = f"{self.done / size:.{digits}f}", f"{self.total / size:.{digits}f}"
        return f"{self.what}: {done} of {total} {self.unit}, {rate:.1f} {self.unit}/s"


class _CountedFile(FileIO):
    """A file that reports its reader's position to `told`."""

    def __init__(self, path: Path, told: Callable[[int], None]) -> None:
        super().__init__(path)
        self._told = told

    def read(self, size: int | None = -1, /) -> bytes:
        """See `FileIO.read`."""
        data = super().read(-1 if size is None else size) or b""
        self._told(self.tell())
        return data


class Reporter(Protocol):
    """Receives progress reports."""

    def moved(self, transfer: Transfer) -> None:
        """Report that more of a file was sent or fetched."""

    def update(self, drop: FollowedDrop) -> None:
        """Report that an image was dropped, or has news."""


@dataclass
class RoundTrip:
    """Drops files on a target and brings the results into the folder `out`, if there is one.

    `clock` returns monotonic seconds; `pause` waits between two looks at the results. `patience` is
    the number of seconds to wait for an image that `is_passing` all the time.
    """

    target: Target
    out: Path | None
    reporter: Reporter
    clock: Callable[[], float]
    pause: Callable[[], None]
    patience: float = math.inf
    _followed: dict[str, FollowedDrop] = field(default_factory=dict, init=False)
    _etags: dict[str, str] = field(default_factory=dict, init=False)
    _last_news: float = field(default=0.0, init=False)
    _last_progress: float = field(default=0.0, init=False)
    _passing_since: dict[str, float] = field(default_factory=dict, init=False)

    def __call__(self, drops: Drops) -> list[FollowedDrop]:
        """Drop all files, and follow the images.

        Raises:
            UnusablePath: a file could not be read after all.
        """
        for key, path in drops.specs.items():
            self.drop_spec(key, path)
        for key, path in drops.to_follow.items():
            self.drop(key, path)
        return self.follow(())

    @property
    def followed(self) -> list[FollowedDrop]:
        """All images, with their last known states."""
        return list(self._followed.values())

    def drop_spec(self, key: str, path: Path) -> None:
        """Drop a spec of images.

        Raises:
            UnusablePath: the file could not be read.
        """
        self._put(key, path)

    def drop(self, key: str, path: Path) -> None:
        """Drop an image or a stand-alone spec, and follow it.

        Raises:
            UnusablePath: the file could not be read.
        """
        version_id = self._put(key, path)
        self._note(FollowedDrop(key, version_id, dropped_at=self.clock()))

    def follow(
        self, versions: Iterable[tuple[str, str | None]], *, is_collected: bool = False
    ) -> list[FollowedDrop]:
        """Wait until all images are settled or need a person; return them.

        Images dropped earlier are given by key and version id. It ends early when all remaining
        images wait for a sidecar, access, the ledger, the budget or the account, which need a
        person; when the pipeline reports nothing about an image for a quarter of an hour; and when
        the patience for all remaining images, which are `is_passing`, has run out.
        """
        for key, version_id in versions:
            now = self.clock()
            self._note(FollowedDrop(key, version_id, dropped_at=now, is_collected=is_collected))
        while self._is_moving():
            self.pause()
            self.look()
        return self.followed

    def _put(self, key: str, path: Path) -> str | None:
        try:
            told = self.counter(f"uploading {key}", path.stat().st_size)
            with _CountedFile(path, told) as file:
                return self.target.drop(key, file)
        except OSError as error:
            raise UnusablePath(f"{path}: cannot be read: {error.strerror}") from error

    def counter(self, what: str, total: int, unit: str = "MB") -> Callable[[int], None]:
        """Return a function that reports the progress of a `Transfer` that begins now."""
        began = self.clock()

        def told(done: int) -> None:
            self.reporter.moved(Transfer(what, done, total, self.clock() - began, unit))

        return told

    def _counted(self, chunks: Iterable[bytes], output: Output) -> Iterator[bytes]:
        told, done = self.counter(f"downloading {output.key}", output.bytes), 0
        for chunk in chunks:
            yield chunk
            done += len(chunk)
            told(done)

    def _is_moving(self) -> bool:
        silence = self.clock() - self._last_news
        waiting: set[WaitReason | None] = set()
        self._give_up()
        for drop in self._followed.values():
            if drop.is_given_up:
                continue
            if drop.manifest is None:
                if silence < _SILENCE_SECONDS:
                    return True
            elif drop.state is DropState.WAITING:
                waiting.add(drop.manifest.waiting_for)
            elif not drop.is_settled:
                return True
        if waiting & _ACCOUNT_WIDE:
            return False
        # Given up jobs keep their slots; if nothing else moves, no slot becomes free.
        is_stuck = any(drop.is_given_up for drop in self._followed.values())
        if is_stuck and self.clock() - self._last_progress > self.patience:
            waiting -= {WaitReason.SLOT}
        return bool(waiting - _FOR_A_PERSON)

    def _give_up(self) -> None:
        now = self.clock()
        for key, since in self._passing_since.items():
            drop = self._followed[key]
            if now - since > self.patience and not drop.is_given_up:
                self._followed[key] = replace(drop, is_given_up=True)
                self.reporter.update(self._followed[key])

    def look(self) -> None:
        """Read the manifests that changed since the last look."""
        manifests = {manifest_key(key): key for key in self._followed}
        # S3 compares prefixes character by character, too.
        prefix = os.path.commonprefix(list(manifests))  # noqa: RUF071 # see above
        etags = self.target.result_etags(prefix)
        for name, key in manifests.items():
            etag = etags.get(name)
            if etag is not None and etag != self._etags.get(name):
                self._etags[name] = etag
                self._read(name, self._followed[key])

    def _read(self, name: str, drop: FollowedDrop) -> None:
        body = b""
        for piece in self.target.read_result(name):
            body += piece
            if len(body) > MOST_MANIFEST_BYTES:
                break
        try:
            manifest = Manifest.model_validate_json(body[: MOST_MANIFEST_BYTES + 1])
        except ValidationError:
            self._note(replace(drop, trouble=f"{name}: is not a readable manifest"))
            return
        if manifest.source.version_id not in {drop.version_id, None}:
            return  # It describes an earlier object at this key.
        changed = manifest.state is not drop.state
        if changed and drop.is_settled:
            drop = replace(drop, dropped_at=self.clock())  # It starts again.
        seconds = self.clock() - drop.dropped_at if changed else drop.seconds
        drop = replace(drop, manifest=manifest, seconds=seconds)
        if drop.is_passing:
            self._passing_since.setdefault(drop.key, self.clock())
        else:
            self._passing_since.pop(drop.key, None)
            drop = replace(drop, is_given_up=False)
        if changed:
            self._last_progress = self.clock()
        outputs = [job.output for job in manifest.jobs if job.output]
        try:
            files = [self._collect_output(output, self.out, name) for output in outputs if self.out]
            drop = replace(drop, files=tuple(files), trouble=None)
            if self.out:
                # If a person interrupts once the manifest is there, the summary shows it.
                self._followed[drop.key] = drop
                collect(ResultPath(self.out, name), [body], len(body))
        except ResultMissing as missing:
            drop = self._fetch_again(drop, str(missing))
        except OSError as error:
            drop = replace(drop, trouble=f"{error.filename}: {error.strerror}")
        self._note(drop)

    def _collect_output(self, output: Output, out: Path, manifest: str) -> Path:
        if file := collected_file(out, output):
            return file
        require_own(out, output.key, manifest)
        place = ResultPath(out, output.key)
        chunks = self._counted(self.target.read_result(output.key), output)
        return collect(place, chunks, output.bytes)

    def _fetch_again(self, drop: FollowedDrop, result: str) -> FollowedDrop:
        """Have a result delivered again that is in neither the bucket nor the folder."""
        if self.target.retry(drop.key):
            return replace(drop, manifest=None)  # the next one counts
        return replace(drop, trouble=f"{result}: the paid result no longer exists")

    def _note(self, drop: FollowedDrop) -> None:
        self._last_news = self.clock()
        self._followed[drop.key] = drop
        self.reporter.update(drop)
