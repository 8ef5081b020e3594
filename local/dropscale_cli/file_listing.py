"""Files on this machine, listed as an input bucket would list them once they are dropped."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dropscale.pipeline.ports import ObjectVersion
from dropscale_cli.drops import Drops

_PAGE_LENGTH = 1000


@dataclass(frozen=True)
class FileListing:
    """A `dropscale_cli.stack_plan.PlannedInput` of files."""

    drops: Drops
    input_bucket: str

    def input_pages(self, prefix: str) -> Iterator[list[tuple[str, ObjectVersion]]]:
        """See `PlannedInput.input_pages`."""
        files = [item for item in self.drops.to_follow.items() if item[0].startswith(prefix)]
        for start in range(0, len(files), _PAGE_LENGTH):
            page = files[start : start + _PAGE_LENGTH]
            yield [(key, ObjectVersion(etag_of(path))) for key, path in page]


def etag_of(path: Path) -> str:
    """Return the ETag that S3 gives what is put in one piece, if no key of KMS encrypts it.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False)).hexdigest()
