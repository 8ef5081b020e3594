"""What `run` needs of a stack, wherever the stack is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Protocol, Self

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


class Target(Protocol):
    """A stack's two buckets."""

    def drop(self, key: str, file: BinaryIO) -> str | None:
        """Put a file into the input bucket; return its version id, if the bucket is versioned."""

    def result_etags(self, prefix: str) -> dict[str, str]:
        """Return the ETags of all results whose keys start with `prefix`, by key."""

    def read_result(self, key: str) -> Iterator[bytes]:
        """Read one result, in chunks."""


@dataclass(frozen=True)
class S3Target:
    """A `Target` behind an S3 client."""

    s3: S3Client
    input_bucket: str
    results_bucket: str

    @classmethod
    def of_stack(cls, s3: S3Client, outputs: Mapping[str, str]) -> Self:
        """Return the target that a stack's outputs name."""
        return cls(s3, outputs["InputBucketName"], outputs["ResultsBucketName"])

    def drop(self, key: str, file: BinaryIO) -> str | None:
        """See `Target.drop`."""
        return self.s3.put_object(Bucket=self.input_bucket, Key=key, Body=file).get("VersionId")

    def result_etags(self, prefix: str) -> dict[str, str]:
        """See `Target.result_etags`."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.results_bucket, Prefix=prefix
        )
        return {item["Key"]: item["ETag"] for page in pages for item in page.get("Contents", [])}

    def read_result(self, key: str) -> Iterator[bytes]:
        """See `Target.read_result`."""
        with closing(self.s3.get_object(Bucket=self.results_bucket, Key=key)["Body"]) as body:
            yield from body.iter_chunks(1024 * 1024)
