"""The image that a drop is about: in the input bucket, or stored elsewhere."""

from contextlib import ExitStack
from typing import Protocol

from dropscale import upscaler
from dropscale.image.header import ImageTooLarge, read_header, refusal_by_name
from dropscale.image.unsupported import HEAD_BYTES
from dropscale.ledger.drops import Source
from dropscale.pipeline.parts.ports import (
    InputBucket,
    ObjectGone,
    ObjectVersion,
    OpenObject,
    Upscaler,
)
from dropscale.pipeline.parts.spec_resolver import DropSpecs
from dropscale.specs.keys import KeyKind, kind_of

MAX_IMAGE_BYTES = 512 * 1024 * 1024
"""dropscale's own limit: an image must fit into submit's ephemeral storage."""


class SourceImage(Protocol):
    """An image to upscale."""

    def describe(self, source: Source) -> Source:
        """Return the source with what identifies its image.

        Raises:
            DropscaleError: the vendor does not accept this image.
            ObjectGone, ObjectOverwritten: it was deleted or replaced meanwhile.
        """

    def send(self, to: Upscaler) -> str:
        """Make the image available to the vendor; return its path there.

        Raises:
            ObjectGone, ObjectOverwritten: it was deleted or replaced meanwhile.
            MagicHourError: the vendor does not accept it now.
        """


class DroppedImage:
    """A `SourceImage` in the input bucket; read at most once, and uploaded at most once."""

    def __init__(
        self, bucket: InputBucket, source: Source, open_objects: ExitStack, *, has_rules: bool
    ) -> None:
        self._bucket = bucket
        self._has_rules = has_rules
        self._source = source
        self._open_objects = open_objects
        self._opened: OpenObject | None = None
        self._path: str | None = None

    def describe(self, source: Source) -> Source:
        """See `SourceImage.describe`."""
        # Older rows do not have alpha, which rules may need.
        if source.sha256 is not None and (source.alpha is not None or not self._has_rules):
            return source
        opened = self._open()
        header = read_header(opened.file, source.key)
        return Source(
            bucket=source.bucket,
            key=source.key,
            version_id=opened.version.version_id,
            etag=source.etag,
            modified=source.modified,
            sha256=opened.sha256,
            type=header.type,
            width=header.width,
            height=header.height,
            alpha=header.alpha,
            bytes=opened.version.size,
        )

    def send(self, to: Upscaler) -> str:
        """See `SourceImage.send`."""
        if self._path is None:
            opened = self._open()
            header = read_header(opened.file, self._source.key)
            opened.file.seek(0)
            self._path = to.upload(opened.file, upscaler.EXTENSION_BY_TYPE[header.type])
        return self._path

    def _open(self) -> OpenObject:
        if self._opened is None:
            source = self._source
            opening = self._bucket.open(source.bucket, source.key, source.etag)
            self._opened = self._open_objects.enter_context(opening)
        return self._opened


class RemoteImage:
    """A `SourceImage` that the vendor itself reads from where it is stored."""

    def __init__(self, path: str, identity: str) -> None:
        self._path = path
        self._identity = identity

    def describe(self, source: Source) -> Source:
        """See `SourceImage.describe`."""
        return Source(
            bucket=source.bucket,
            key=source.key,
            version_id=source.version_id,
            etag=source.etag,
            modified=source.modified,
            image_path=self._identity,
        )

    def send(self, to: Upscaler) -> str:
        """See `SourceImage.send`."""
        return self._path


def image_of(
    bucket: InputBucket, source: Source, specs: DropSpecs, open_objects: ExitStack
) -> SourceImage:
    """Return the image that a drop is about; what it opens is closed with `open_objects`."""
    if specs.image_path is None or specs.image_identity is None:
        return DroppedImage(bucket, source, open_objects, has_rules=specs.has_rules)
    return RemoteImage(specs.image_path, specs.image_identity)


def require_supported(bucket: InputBucket, source: Source) -> None:
    """Refuse an object that is empty, or whose type the vendor does not accept.

    Raises:
        UnsupportedImage, EmptyImage: the object is refused.
            ObjectGone: it was deleted meanwhile.
    """
    if kind_of(source.key) is KeyKind.UNSUPPORTED:
        head = bucket.read(source.bucket, source.key, HEAD_BYTES)
        if head is None:
            raise ObjectGone(source.key)
        raise refusal_by_name(head, source.key)


def require_size(version: ObjectVersion, key: str) -> None:
    """Refuse an object that is too large to be read.

    Raises:
        ImageTooLarge: it has more than `MAX_IMAGE_BYTES`.
    """
    if version.size > MAX_IMAGE_BYTES:
        raise ImageTooLarge(
            f"{key} has {version.size:,} bytes",
            fix=f"Use an image of at most {MAX_IMAGE_BYTES:,} bytes.",
        )


def refresh_source(known: Source, version: ObjectVersion) -> Source:
    """Return a source; if its object has changed, without what was known of the old one.

    Without versioning, the same bytes may have been written again: then `modified` differs.
    """
    modified = version.modified or known.modified
    if known.etag == version.etag and known.version_id == version.version_id:
        is_new = version.version_id is None and modified != known.modified
        return known.model_copy(update={"modified": modified}) if is_new else known
    return Source(
        bucket=known.bucket,
        key=known.key,
        etag=version.etag,
        version_id=version.version_id,
        modified=modified,
    )
