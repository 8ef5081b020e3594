"""Writes manifests: the ledger's drops, for people and programs, in the results bucket."""

from collections.abc import Callable
from dataclasses import dataclass

from dropscale.coded_warning import CodedWarning
from dropscale.ledger.drops import Drop
from dropscale.ledger.store import Ledger
from dropscale.pipeline.parts.batches import wake_batch
from dropscale.pipeline.parts.ports import ResultsBucket
from dropscale.pipeline.parts.tag import leave_untagged
from dropscale.results.manifest import manifest_key, manifest_of

_ATTEMPTS = 5


Announce = Callable[[Drop], bool]
"""Announces a drop that has a new manifest; False: it failed and must be called again."""


class ManifestContended(Exception):
    """Other processes wrote the same manifest at each try; the sweeper will write it."""


@dataclass(frozen=True)
class WriteManifest:
    """Writes the manifest of a drop; never replaces a newer state by an older one.

    `observe` is called for each drop that has a new manifest; `announce` too, perhaps twice.
    Before that, `tag` tags the dropped object; why it could not is a warning in the manifest.
    """

    ledger: Ledger
    results: ResultsBucket
    observe: Callable[[Drop], None]
    announce: Announce
    tag: Callable[[Drop], tuple[CodedWarning, ...]] = leave_untagged

    def __call__(self, drop: Drop) -> None:
        """Write the manifest of `drop` if it is due and not already that of a later state.

        Raises:
            ManifestContended: other processes wrote the manifest at each try.
        """
        if drop.due is None:
            return
        key = manifest_key(drop.source.key)
        body: bytes | None = None
        for _ in range(_ATTEMPTS):
            rank, etag = self.results.manifest(key) or (0, None)
            is_written = not drop.may_replace(rank)
            if body is None and not is_written:
                body = manifest_of(drop, *self.tag(drop)).model_dump_json(indent=2).encode()
            if body is None or is_written or self.results.put_manifest(key, body, drop.rank, etag):
                if not is_written:
                    self.observe(drop)
                # Its writer may have been interrupted before the announcement. If that fails, the
                # drop stays due, and the sweeper announces it.
                is_announced = rank > drop.rank or self.announce(drop)
                if wake_batch(self.ledger, drop, drop.due) and is_announced:
                    self.ledger.note_manifest_written(drop)
                return
        raise ManifestContended(f"the manifest {key} is being written by others at the same time")
