"""Files on this machine as a stack would see them once they are dropped."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dropscale.pipeline.parts.ports import ObjectVersion, OpenObject
from dropscale.pipeline.parts.spec_resolver import SpecResolver
from dropscale.specs.keys import SPEC_SUFFIXES
from dropscale.specs.merge import stack_defaults
from dropscale.upscaler import Mode

DEFAULTS = stack_defaults(scale_factor=2, mode=Mode.BALANCED)
"""What an image gets whose specs say nothing, in a stack that `run` starts."""


@dataclass(frozen=True)
class LocalBucket:
    """A `dropscale.pipeline.parts.ports.InputBucket` of files, by the keys they are dropped at."""

    paths: Mapping[str, Path]

    def head(self, bucket: str, key: str) -> ObjectVersion | None:
        """See `InputBucket.head`."""
        path = self.paths.get(key)
        return ObjectVersion(etag="", size=path.stat().st_size) if path else None

    @contextmanager
    def open(self, bucket: str, key: str, etag: str) -> Iterator[OpenObject]:
        """See `InputBucket.open`."""
        with self.paths[key].open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            version = ObjectVersion(etag, size=file.tell())
            file.seek(0)
            yield OpenObject(version, sha256, file)

    def read(self, bucket: str, key: str, limit: int) -> bytes | None:
        """See `InputBucket.read`."""
        if key not in self.paths:
            return None
        with self.paths[key].open("rb") as file:
            return file.read(limit)

    def specs(self) -> SpecResolver:
        """Return what resolves specs as the stack does that `run` starts."""
        return SpecResolver(self, DEFAULTS, SPEC_SUFFIXES, sidecar_required=False)
