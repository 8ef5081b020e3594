"""Projects drops of the ledger into manifests in the results bucket."""

from collections.abc import Callable
from dataclasses import dataclass

from dropscale.ledger.records import Drop
from dropscale.ledger.store import Ledger
from dropscale.pipeline.ports import ResultsBucket
from dropscale.results.manifest import manifest_key, manifest_of

_ATTEMPTS = 5


class ManifestContended(Exception):
    """Others wrote the same manifest every time; the sweeper will write it."""


@dataclass(frozen=True)
class ProjectManifest:
    """Writes the manifest of a drop; never an older state over a newer one.

    `observe` is told of each drop that has a new manifest.
    """

    ledger: Ledger
    results: ResultsBucket
    observe: Callable[[Drop], None]

    def __call__(self, drop: Drop) -> None:
        """Write `drop` down, unless a later state of it is written down already.

        Raises:
            ManifestContended: as its name says.
        """
        key = manifest_key(drop.source.key)
        body = manifest_of(drop).model_dump_json(indent=2).encode()
        for _ in range(_ATTEMPTS):
            seq, etag = self.results.manifest(key) or (0, None)
            if seq >= drop.seq:
                self.ledger.projected(drop)
                return
            if self.results.put_manifest(key, body, drop.seq, etag):
                self.ledger.projected(drop)
                self.observe(drop)
                return
        raise ManifestContended(f"the manifest {key} is written by many at once")
