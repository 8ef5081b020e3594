"""The input and the results bucket on S3."""

from __future__ import annotations

import base64
import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO, cast

from botocore.exceptions import ClientError

from dropscale.aws.refusals import archived, refusal_of
from dropscale.ledger.drops import STEPS_OF_ROW, Source
from dropscale.pipeline.parts.ports import (
    MOST_KEYS,
    MOST_TAGS,
    TAG,
    ListedObject,
    ObjectGone,
    ObjectOverwritten,
    ObjectVersion,
    OpenObject,
    OutputLabels,
    StoredOutput,
    TooManyTags,
)
from dropscale.specs.keys import MANIFEST_SUFFIX

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import HeadObjectOutputTypeDef

_CHUNK = 1024 * 1024
_SPOOL_BYTES = 1024 * 1024
_MISSING = {"404", "NoSuchKey", "NoSuchVersion"}
_CHANGED = {"412", "PreconditionFailed"}
_RACED = {"409", "ConditionalRequestConflict"}
_RACE_ATTEMPTS = 3
_PAGES_LOOKED_THROUGH = 10
"""How many pages, of 1,000 keys each, are searched for a first manifest."""


class S3InputBucket:
    """A `dropscale.pipeline.parts.ports.InputBucket`, and an `InputListing`.

    Args:
        client: the S3 client.
        prefix: objects outside it are ignored.
    """

    def __init__(self, client: S3Client, prefix: str = "") -> None:
        self._client = client
        self._prefix = prefix

    def head(self, bucket: str, key: str) -> ObjectVersion | None:
        """See `InputBucket.head`."""
        if not key.startswith(self._prefix):
            return None
        try:
            found = _head(self._client, bucket, key)
        except ClientError as error:
            raise self._explained(error, bucket, key) from error
        if found is None:
            return None
        if _is_archived(found):
            raise archived(bucket, key, found["StorageClass"])
        etag, version_id = found["ETag"].strip('"'), found.get("VersionId")
        return ObjectVersion(etag, version_id, _size(found), found["LastModified"])

    @contextmanager
    def open(
        self, bucket: str, key: str, etag: str, version_id: str | None = None
    ) -> Iterator[OpenObject]:
        """See `InputBucket.open`; with a version id, that version, even if newer ones exist."""
        if not key.startswith(self._prefix):
            raise ObjectGone(key)
        version = {} if version_id is None else {"VersionId": version_id}
        try:
            found = self._client.get_object(
                Bucket=bucket,
                Key=key,
                IfMatch=f'"{etag}"',
                **version,  # type: ignore[arg-type] # the stubs know single keywords only
            )
        except ClientError as error:
            if _code(error) in _MISSING:
                raise ObjectGone(key) from error
            if _code(error) in _CHANGED:
                raise ObjectOverwritten(key) from error
            raise refusal_of(error, bucket, key) or error from error
        digest = hashlib.sha256()
        with tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES) as file:
            for chunk in found["Body"].iter_chunks(_CHUNK):
                digest.update(chunk)
                file.write(chunk)
            size = file.tell()
            file.seek(0)
            seen = ObjectVersion(etag, found.get("VersionId"), size, found["LastModified"])
            yield OpenObject(seen, digest.hexdigest(), cast(BinaryIO, file))

    @contextmanager
    def open_original(self, source: Source) -> Iterator[BinaryIO]:
        """See `Originals.open_original`."""
        with self.open(source.bucket, source.key, source.etag, source.version_id) as opened:
            yield opened.file

    def set_tag(self, source: Source, version_id: str, value: str, *, adds: bool) -> None:
        """See `DropTags.set_tag`. S3 has no condition here: a tag set at the same time may be lost.

        At most ten tags: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html.
        """
        bucket, key = source.bucket, source.key
        try:
            answer = self._client.get_object_tagging(Bucket=bucket, Key=key, VersionId=version_id)
            before = {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}
            after = before | {TAG: value} if adds or TAG in before else before
            if len(after) > MOST_TAGS:
                raise TooManyTags(
                    f"{key} has {MOST_TAGS} tags, and an object may have no more",
                    fix=f"Remove one of them; then set {TAG}={value} yourself.",
                )
            if after != before:
                self._client.put_object_tagging(
                    Bucket=bucket,
                    Key=key,
                    VersionId=version_id,
                    Tagging={"TagSet": [{"Key": k, "Value": after[k]} for k in after]},
                )
        except ClientError as error:
            if _code(error) in _MISSING | {"MethodNotAllowed"}:  # for a delete marker
                raise ObjectGone(key) from error
            raise

    def page(self, bucket: str, after: str, limit: int) -> list[ListedObject]:
        """See `InputListing.page`."""
        found = self._client.list_objects_v2(
            Bucket=bucket, Prefix=self._prefix, StartAfter=after, MaxKeys=limit
        )
        return [
            ListedObject(
                key=item["Key"],
                version=ObjectVersion(item["ETag"].strip('"'), size=item["Size"]),
                modified=item["LastModified"],
            )
            for item in found.get("Contents", [])
        ]

    def keys(self, bucket: str, prefix: str) -> list[str]:
        """See `SpecFiles.keys`."""
        if not prefix.startswith(self._prefix):
            return []
        try:
            found = self._client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=MOST_KEYS)
        except ClientError as error:
            raise refusal_of(error, bucket, prefix, "s3:ListBucket") or error from error
        return [item["Key"] for item in found.get("Contents", [])]

    def read(self, bucket: str, key: str, limit: int) -> bytes | None:
        """See `InputBucket.read`."""
        if not key.startswith(self._prefix):
            return None
        try:
            found = self._client.get_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if _code(error) in _MISSING:
                return None
            raise refusal_of(error, bucket, key) or error from error
        with found["Body"] as body:
            return body.read(limit)

    def _explained(self, error: ClientError, bucket: str, key: str) -> Exception:
        """Return what a HEAD's error means: its answer has no body, so a GET is sent to get one."""
        if _code(error) not in {"400", "403"}:
            return error
        try:
            self._client.get_object(Bucket=bucket, Key=key, Range="bytes=0-0")["Body"].close()
        except ClientError as told:
            return refusal_of(told, bucket, key) or error
        return error


class S3ResultsBucket:
    """A `dropscale.pipeline.parts.ports.ResultsBucket`.

    Args:
        client: the S3 client.
        bucket: its name.
        prefix: the prefix of all keys, which are relative to it.
    """

    def __init__(self, client: S3Client, bucket: str, prefix: str = "") -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix

    def describe_output(self, key: str) -> StoredOutput | None:
        """See `ResultsBucket.describe_output`."""
        found = _head(self._client, self._bucket, self._prefix + key)
        if found is None:
            return None
        named = found["Metadata"]
        labels = OutputLabels(
            fingerprint=named.get("fingerprint"),
            drop_id=named.get("drop-id"),
            sha256=named.get("sha256"),
            project_id=named.get("project-id"),
            upscale=named.get("upscale"),
        )
        digest = base64.b64decode(found.get("ChecksumSHA256", "")).hex()
        return StoredOutput(found["ETag"], labels, digest or None)

    def put_output(
        self, key: str, file: BinaryIO, image_type: str, labels: OutputLabels, over: str | None
    ) -> bool:
        """See `ResultsBucket.put_output`."""
        named = {
            "fingerprint": labels.fingerprint,
            "drop-id": labels.drop_id,
            "sha256": labels.sha256,
            "project-id": labels.project_id,
            "upscale": labels.upscale,
        }
        metadata = {name: value for name, value in named.items() if value is not None}
        return self._put(key, file, f"image/{image_type}", metadata, over)

    def read_output(self, key: str, file: BinaryIO) -> int:
        """See `ResultsBucket.read_output`."""
        try:
            found = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
        except ClientError as error:
            if _code(error) in _MISSING:
                raise ObjectGone(key) from error
            raise
        return sum(file.write(chunk) for chunk in found["Body"].iter_chunks(_CHUNK))

    def manifest(self, key: str) -> tuple[int, str] | None:
        """See `ResultsBucket.manifest`."""
        found = _head(self._client, self._bucket, self._prefix + key)
        if found is None:
            return None
        since, seq = (int(found["Metadata"].get(name, "0")) for name in ("since", "seq"))
        return since * STEPS_OF_ROW + seq, found["ETag"]

    def all_keys(self) -> Iterator[str]:
        """See `ResultsBucket.all_keys`."""
        return chain.from_iterable(self._pages())

    def may_hold_manifests(self) -> bool:
        """See `ResultsBucket.may_hold_manifests`."""
        pages = self._pages()
        for _, page in zip(range(_PAGES_LOOKED_THROUGH), pages, strict=False):
            if any(key.endswith(MANIFEST_SUFFIX) for key in page):
                return True
        return next(pages, None) is not None

    def put_manifest(self, key: str, body: bytes, rank: int, over: str | None) -> bool:
        """See `ResultsBucket.put_manifest`."""
        since, seq = divmod(rank, STEPS_OF_ROW)
        metadata = {"since": str(since), "seq": str(seq)}
        return self._put(key, body, "application/json", metadata, over)

    def put_report(self, key: str, body: bytes, content_type: str) -> bool:
        """See `ResultsBucket.put_report`."""
        return self._put(key, body, content_type, {}, None)

    def _pages(self) -> Iterator[list[str]]:
        found = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix
        )
        for page in found:
            yield [item["Key"].removeprefix(self._prefix) for item in page.get("Contents", [])]

    def _put(
        self,
        key: str,
        body: BinaryIO | bytes,
        content_type: str,
        metadata: dict[str, str],
        over: str | None,
    ) -> bool:
        condition = {"IfNoneMatch": "*"} if over is None else {"IfMatch": over}
        start = 0 if isinstance(body, bytes) else body.tell()
        for attempt in range(_RACE_ATTEMPTS):
            try:
                self._client.put_object(
                    Bucket=self._bucket,
                    Key=self._prefix + key,
                    Body=body,
                    ContentType=content_type,
                    Metadata=metadata,
                    ChecksumAlgorithm="SHA256",
                    **condition,  # type: ignore[arg-type] # the stubs know single keywords only
                )
            except ClientError as error:
                if _code(error) in _CHANGED | _MISSING:
                    return False
                if _code(error) not in _RACED or attempt == _RACE_ATTEMPTS - 1:
                    raise
                if not isinstance(body, bytes):
                    body.seek(start)
            else:
                return True
        return False


def _head(client: S3Client, bucket: str, key: str) -> HeadObjectOutputTypeDef | None:
    try:
        return client.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    except ClientError as error:
        if _code(error) in _MISSING:
            return None
        raise


def _is_archived(found: HeadObjectOutputTypeDef) -> bool:
    """Whether an object must be restored before it can be read.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html.
    """
    is_restored = 'ongoing-request="false"' in found.get("Restore", "")
    in_archive = found.get("StorageClass") in {"GLACIER", "DEEP_ARCHIVE"}
    return not is_restored and (in_archive or "ArchiveStatus" in found)


def _code(error: ClientError) -> str:
    return error.response["Error"]["Code"]


def _size(found: HeadObjectOutputTypeDef) -> int:
    return found["ContentLength"]
