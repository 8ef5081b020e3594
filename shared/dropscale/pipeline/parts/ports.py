"""The interfaces that the use cases need to the outside."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, BinaryIO, Protocol

from dropscale.coded_warning import CodedWarning
from dropscale.errors import DropscaleError
from dropscale.image.header import ImageHeader
from dropscale.image.pixels import Comparison, Conversion, ImageFile
from dropscale.ledger.drops import Source
from dropscale.magichour.models import Account, CreatedProject, Project
from dropscale.specs.effective import OutputSettings

Clock = Callable[[], datetime]
"""Returns the current time, aware and in UTC."""

RemainingTime = Callable[[], float]
"""Returns the seconds until the function is killed."""


class ObjectGone(Exception):
    """There is no such object (any more)."""


class ObjectOverwritten(Exception):
    """The object no longer has the expected bytes; the new version has an event of its own."""


@dataclass(frozen=True)
class ObjectVersion:
    """One state of an object: its ETag and, in a versioned bucket, its version id.

    `modified` is when it was written; None: not known. Without version ids, it shows whether the
    same bytes were written again.
    """

    etag: str
    version_id: str | None = None
    size: int = 0
    modified: datetime | None = None


@dataclass(frozen=True)
class OpenObject:
    """An object's bytes, spooled to disk; `file` is seekable and at its beginning."""

    version: ObjectVersion
    sha256: str
    file: BinaryIO


MOST_KEYS = 1000
"""How many keys are listed at once, as in S3."""


class SpecFiles(Protocol):
    """Finds and reads specs."""

    def keys(self, bucket: str, prefix: str) -> list[str]:
        """Return the first `MOST_KEYS` keys that begin with a prefix, sorted."""

    def read(self, bucket: str, key: str, limit: int) -> bytes | None:
        """Return an object's first `limit` bytes; None: no such object."""


@dataclass(frozen=True)
class ListedObject:
    """One object of a listing; `modified` is when it was written, or its upload began."""

    key: str
    version: ObjectVersion
    modified: datetime


class InputListing(Protocol):
    """Lists the input bucket."""

    def page(self, bucket: str, after: str, limit: int) -> list[ListedObject]:
        """Return the first objects, at most `limit`, whose keys sort after `after`, in order."""


class InputBucket(SpecFiles, Protocol):
    """The bucket into which people drop images and specs."""

    def head(self, bucket: str, key: str) -> ObjectVersion | None:
        """Return the current version of an object; None: no such object."""

    def open(self, bucket: str, key: str, etag: str) -> AbstractContextManager[OpenObject]:
        """Read a whole object, if it still has this ETag.

        Raises:
            ObjectGone: there is no such object.
            ObjectOverwritten: it has another ETag.
        """


class Originals(Protocol):
    """Reads the image that was upscaled again."""

    def open_original(self, source: Source) -> AbstractContextManager[BinaryIO]:
        """Read exactly the object of a source, spooled to disk, from its beginning.

        Raises:
            ObjectGone, ObjectOverwritten: it was deleted or replaced; a versioned bucket keeps it.
        """


class TooManyTags(DropscaleError):
    """An object already has the maximum number of tags."""


class DropTags(Protocol):
    """Sets the tags of dropped objects."""

    def set_tag(self, source: Source, version_id: str, value: str, *, adds: bool) -> None:
        """Set the tag `TAG` of one version of a source's object; its other tags stay.

        `adds`: whether to add the tag if it is missing.

        Raises:
            ObjectGone: there is no such version (any more).
            TooManyTags: the object can have no further tag.
        """


TAG = "dropscale"
MOST_TAGS = 10
"""The most tags that an object can have."""


@dataclass(frozen=True)
class OutputLabels:
    """The labels of an output: the job that made it, its drop, and its bytes' SHA-256."""

    fingerprint: str | None
    drop_id: str | None
    sha256: str | None
    project_id: str | None = field(default=None, compare=False)
    """The project that it came from; used to rebuild a ledger."""
    upscale: str | None = field(default=None, compare=False)
    """How it was made, see `upscale_label`; None: its name says so."""


@dataclass(frozen=True)
class StoredOutput:
    """An object at an output's key; foreign objects have empty labels.

    `sha256` is that of its bytes, as stored by the bucket; None: it was stored without one.
    """

    etag: str
    labels: OutputLabels
    sha256: str | None = None


class ResultsBucket(Protocol):
    """The bucket for outputs and manifests."""

    def describe_output(self, key: str) -> StoredOutput | None:
        """Return the object at an output's key; None: there is none."""

    def put_output(
        self, key: str, file: BinaryIO, image_type: str, labels: OutputLabels, over: str | None
    ) -> bool:
        """Write an output in place of the object with the ETag `over`; None: where there is none.

        Returns False, having written nothing, if another object is there.
        """

    def read_output(self, key: str, file: BinaryIO) -> int:
        """Write an output into a file; return the number of bytes.

        Raises:
            ObjectGone: there is none.
        """

    def manifest(self, key: str) -> tuple[int, str] | None:
        """Return the `Drop.rank` and the ETag of the manifest at a key; None: there is none."""

    def all_keys(self) -> Iterator[str]:
        """Yield the keys of all objects, sorted."""

    def may_hold_manifests(self) -> bool:
        """Whether there is a manifest, or there are too many keys to search."""

    def put_manifest(self, key: str, body: bytes, rank: int, over: str | None) -> bool:
        """Write a manifest in place of that with the ETag `over` (None: of none); False: not so."""

    def put_report(self, key: str, body: bytes, content_type: str) -> bool:
        """Write a batch's report; False, having written nothing, if there is an object already."""


@dataclass(frozen=True)
class FinishedResult:
    """A result, ready to be published."""

    file: BinaryIO
    header: ImageHeader
    warnings: tuple[CodedWarning, ...] = ()
    delta_e: float | None = None
    """Its mean colour difference from the original (CIEDE2000); None: not measured."""


class Pixels(Protocol):
    """Decodes images."""

    def compare(
        self,
        result: ImageFile,
        original: ImageFile | None,
        *,
        orientation: int,
        profile_can_hold: bool,
        seconds: float,
    ) -> Comparison:
        """Compare a result with its original of that EXIF orientation, within `seconds`.

        `profile_can_hold`: whether the original's profile can apply to the result's pixels.

        Raises:
            PixelsUnreadable: an image cannot be decoded in that time.
        """

    def convert(
        self,
        result: ImageFile,
        to: Conversion,
        target: BinaryIO,
        *,
        alpha_of: ImageFile | None,
        orientation: int,
        seconds: float,
    ) -> None:
        """Write a result again into a file, within `seconds`; its width and height stay the same.

        It gets the alpha of the image `alpha_of`, if given, rotated by its EXIF orientation.

        Raises:
            PixelsUnreadable: an image cannot be decoded in that time.
        """


class Finish(Protocol):
    """Turns a result into the output to publish."""

    def __call__(
        self,
        result: BinaryIO,
        header: ImageHeader,
        source: Source,
        settings: OutputSettings,
        files: ExitStack,
        remaining: RemainingTime,
    ) -> FinishedResult:
        """Return a verified result with its original's metadata, written by the settings.

        Never raises: if a step fails, the result itself is returned. What is opened is closed with
        `files`.
        """


class ExecutionStatus(StrEnum):
    """The state of an execution."""

    RUNNING = "running"
    ENDED = "ended"
    NONE = "none"


class Executions(Protocol):
    """The state machine that watches jobs."""

    def start(self, name: str, state: dict[str, Any]) -> None:
        """Start an execution under a name; does nothing if it was started before."""

    def status(self, name: str) -> ExecutionStatus:
        """Return whether the execution of a name runs, has ended, or never existed."""


class TaskCallbacks(Protocol):
    """Ends the waits of executions, by their task tokens.

    A token may be dead: its wait was ended before, its time is up, or its execution has ended.
    """

    def deliver(self, token: str) -> bool:
        """Let the execution of a token continue with deliver; False: the token is dead."""

    def look(self, token: str) -> bool:
        """Let the execution of a token look again; False: the token is dead."""


class DropQueue(Protocol):
    """The queue that feeds submit."""

    def send(self, bucket: str, key: str) -> None:
        """Let submit look at an object again."""


class Upscaler(Protocol):
    """The vendor. Every call raises the errors of `dropscale.magichour.errors`."""

    def upload(self, file: BinaryIO, extension: str) -> str:
        """Store an image's bytes at the vendor; return their path."""

    def create(self, image_path: str, parameters: dict[str, Any], name: str) -> CreatedProject:
        """Start, and pay for, one upscale."""

    def project(self, project_id: str) -> Project:
        """Return a project's current state."""

    def delete(self, project_id: str) -> None:
        """Delete a project and its result, for good."""

    def account(self) -> Account:
        """Return the account that pays; asking is free."""

    def download(self, url: str, file: BinaryIO) -> int:
        """Download a URL into a file; return the number of bytes."""
