"""What the use cases need of the world around them."""

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
"""Gives the time, aware and in UTC."""

RemainingTime = Callable[[], float]
"""Gives the seconds until the function is killed."""


class ObjectGone(Exception):
    """There is no such object (any more)."""


class ObjectOverwritten(Exception):
    """The object has other bytes than the event told of; its newer event comes or came."""


@dataclass(frozen=True)
class ObjectVersion:
    """One state of an object: its ETag and, in a versioned bucket, its version id.

    `modified` is when it was written, None: not known. Where there are no version ids, it tells
    whether the same bytes were put there again.
    """

    etag: str
    version_id: str | None = None
    size: int = 0
    modified: datetime | None = None


@dataclass(frozen=True)
class OpenObject:
    """An object's bytes, spooled to disk; `file` is seekable and stands at its beginning."""

    version: ObjectVersion
    sha256: str
    file: BinaryIO


MOST_KEYS = 1000
"""So many keys are listed at once, as S3 does."""


class SpecFiles(Protocol):
    """Where specs can be found and read."""

    def keys(self, bucket: str, prefix: str) -> list[str]:
        """Return the first `MOST_KEYS` keys that begin with a prefix, in their order."""

    def read(self, bucket: str, key: str, limit: int) -> bytes | None:
        """Return an object's first `limit` bytes, None if there is none."""


@dataclass(frozen=True)
class ListedObject:
    """One object of a listing; `modified` is when it was written, or its upload was begun."""

    key: str
    version: ObjectVersion
    modified: datetime


class InputListing(Protocol):
    """What lies in the input bucket."""

    def page(self, bucket: str, after: str, limit: int) -> list[ListedObject]:
        """Return the first objects, at most `limit`, whose keys come after one, in their order."""


class InputBucket(SpecFiles, Protocol):
    """The bucket that people drop images and specs into."""

    def head(self, bucket: str, key: str) -> ObjectVersion | None:
        """Return the current version of an object, None if there is none."""

    def open(self, bucket: str, key: str, etag: str) -> AbstractContextManager[OpenObject]:
        """Read an object whole, provided it still has this ETag.

        Raises:
            ObjectGone, ObjectOverwritten: as their names say.
        """


class Originals(Protocol):
    """Where the image that was upscaled can be read once more."""

    def open_original(self, source: Source) -> AbstractContextManager[BinaryIO]:
        """Read the very object that a source tells of, spooled to disk, from its beginning.

        Raises:
            ObjectGone, ObjectOverwritten: as their names say; a versioned bucket still has it.
        """


class TooManyTags(DropscaleError):
    """An object has as many tags as it may have."""


class DropTags(Protocol):
    """The tags of dropped objects."""

    def set_tag(self, source: Source, version_id: str, value: str, *, adds: bool) -> None:
        """Give the tag `TAG` of one version of a source's object a value; all others stay.

        `adds` says whether it gets the tag if it has none.

        Raises:
            ObjectGone: there is no such version (any more).
            TooManyTags: there is no room for it.
        """


TAG = "dropscale"
MOST_TAGS = 10
"""So many tags an object may have."""


@dataclass(frozen=True)
class OutputLabels:
    """What an output says of itself: the job it came from, the drop it is for, and its bytes."""

    fingerprint: str | None
    drop_id: str | None
    sha256: str | None
    project_id: str | None = field(default=None, compare=False)
    """Where it came from; for a ledger that is rebuilt."""


@dataclass(frozen=True)
class StoredOutput:
    """An object that lies at an output's key; foreign objects have empty labels.

    `sha256` is of its bytes, as the bucket knows it; None: it was stored without.
    """

    etag: str
    labels: OutputLabels
    sha256: str | None = None


class ResultsBucket(Protocol):
    """The bucket that outputs and manifests are written to."""

    def describe_output(self, key: str) -> StoredOutput | None:
        """Return what lies at an output's key, None if nothing does."""

    def put_output(
        self, key: str, file: BinaryIO, image_type: str, labels: OutputLabels, over: str | None
    ) -> bool:
        """Write an output over the object with the ETag `over`, or over none.

        Returns False, having written nothing, if something else lies there.
        """

    def read_output(self, key: str, file: BinaryIO) -> int:
        """Write an output into a file; return the number of bytes.

        Raises:
            ObjectGone: there is none.
        """

    def manifest(self, key: str) -> tuple[int, str] | None:
        """Return the `Drop.rank` and the ETag of the manifest at a key, None if there is none."""

    def all_keys(self) -> Iterator[str]:
        """Yield the keys of all that lies there, in their order."""

    def may_hold_manifests(self) -> bool:
        """Tell whether there is a manifest, or more keys than are looked through for one."""

    def put_manifest(self, key: str, body: bytes, rank: int, over: str | None) -> bool:
        """Write a manifest over the one with the ETag `over`, or over none; False: it is not."""


@dataclass(frozen=True)
class FinishedResult:
    """A result as it is to be published."""

    file: BinaryIO
    header: ImageHeader
    warnings: tuple[CodedWarning, ...] = ()
    delta_e: float | None = None
    """Its mean colour difference to the original (CIEDE2000), where that was measured."""


class Pixels(Protocol):
    """What decodes images."""

    def compare(
        self,
        result: ImageFile,
        original: ImageFile | None,
        *,
        orientation: int,
        profile_can_hold: bool,
        seconds: float,
    ) -> Comparison:
        """Look at a result beside its original, of an EXIF orientation, within some seconds.

        `profile_can_hold` says whether the original's profile can be that of the result's pixels.

        Raises:
            PixelsUnreadable: as its name says.
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
        """Write a result anew into a file, within some seconds; its size stays the same.

        It gets the alpha of the image `alpha_of`, turned by an EXIF orientation, if one is given.

        Raises:
            PixelsUnreadable: as its name says.
        """


class Finish(Protocol):
    """Makes of a result what is to be published."""

    def __call__(
        self,
        result: BinaryIO,
        header: ImageHeader,
        source: Source,
        settings: OutputSettings,
        files: ExitStack,
        remaining: RemainingTime,
    ) -> FinishedResult:
        """Return a verified result with what its original says, written as the settings want.

        Never raises, and never returns less than the result itself. What is opened is closed with
        `files`.
        """


class ExecutionStatus(StrEnum):
    """What the state machine says of an execution."""

    RUNNING = "running"
    ENDED = "ended"
    NONE = "none"


class Executions(Protocol):
    """The state machine that watches jobs."""

    def start(self, name: str, state: dict[str, Any]) -> None:
        """Start the execution of a name; one that was started before is left alone."""

    def status(self, name: str) -> ExecutionStatus:
        """Tell whether the execution of a name runs, has ended, or never was."""


class DropQueue(Protocol):
    """The queue that feeds submit."""

    def send(self, bucket: str, key: str) -> None:
        """Let submit look at an object once more."""


class Upscaler(Protocol):
    """The vendor. Every call raises the errors of `dropscale.magichour.errors`."""

    def upload(self, file: BinaryIO, extension: str) -> str:
        """Store an image's bytes at the vendor; return their path."""

    def create(self, image_path: str, parameters: dict[str, Any], name: str) -> CreatedProject:
        """Start, and pay for, one upscale."""

    def project(self, project_id: str) -> Project:
        """Return a project as it is now."""

    def account(self) -> Account:
        """Return the account that pays; asking is free."""

    def download(self, url: str, file: BinaryIO) -> int:
        """Write what lies at a download URL into a file; return the number of bytes."""
