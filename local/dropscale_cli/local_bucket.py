"""Files on this machine as a stack would see them once they are dropped."""

import hashlib
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, takewhile
from pathlib import Path

from dropscale.pipeline.parts.ports import MOST_KEYS, ObjectVersion, OpenObject
from dropscale.pipeline.parts.spec_resolver import SpecResolver
from dropscale.specs.keys import SPEC_SUFFIXES, folded, meant_image
from dropscale.specs.merge import stack_defaults
from dropscale.upscaler import Mode

DEFAULTS = stack_defaults(scale_factor=2, mode=Mode.BALANCED)
"""What an image gets whose specs say nothing, in a stack that `run` starts."""


@dataclass(frozen=True)
class LocalBucket:
    """A `dropscale.pipeline.parts.ports.InputBucket` of files, by the keys they are dropped at."""

    paths: Mapping[str, Path]
    suffixes: Sequence[str] = SPEC_SUFFIXES

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

    def keys(self, bucket: str, prefix: str) -> list[str]:
        """See `SpecFiles.keys`."""
        begin = bisect_left(self._sorted, prefix)
        after = islice(self._sorted, begin, begin + MOST_KEYS)
        return list(takewhile(lambda key: key.startswith(prefix), after))

    def read(self, bucket: str, key: str, limit: int) -> bytes | None:
        """See `InputBucket.read`."""
        if key not in self.paths:
            return None
        with self.paths[key].open("rb") as file:
            return file.read(limit)

    def specs(self) -> SpecResolver:
        """Return what resolves specs as the stack does that `run` starts."""
        return SpecResolver(
            self, DEFAULTS, self.suffixes, sidecar_required=False, names_like=self.names_like
        )

    def names_like(self, bucket: str, image_key: str) -> Sequence[str]:
        """Return the keys of specs that mean an image, if case does not count."""
        return self._by_meaning[folded(image_key)]

    @cached_property
    def _sorted(self) -> Sequence[str]:
        return sorted(self.paths)

    @cached_property
    def _by_meaning(self) -> Mapping[str, list[str]]:
        found = defaultdict[str, list[str]](list)
        for key in self._sorted:
            if meant := meant_image(key, self.suffixes):
                found[folded(meant)].append(key)
        return found
