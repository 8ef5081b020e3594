"""What commands need of a stack, wherever the stack is."""

from collections.abc import Iterator
from typing import BinaryIO, Protocol


class ResultMissing(Exception):
    """There is no such result in the results bucket."""


class Target(Protocol):
    """A stack's two buckets, and the one thing that a person does about a result."""

    def drop(self, key: str, file: BinaryIO) -> str | None:
        """Put a file into the input bucket; return its version id, if the bucket is versioned."""

    def result_etags(self, prefix: str) -> dict[str, str]:
        """Return the ETags of all results whose keys start with `prefix`, by key."""

    def read_result(self, key: str) -> Iterator[bytes]:
        """Read one result, in chunks.

        Raises:
            ResultMissing: with the first chunk, as its name says.
        """

    def retry(self, key: str) -> bool:
        """Try an image's drop again; return whether there was anything that could be tried."""
