"""Writes manifests: drops of the ledger, for people and programs, in the results bucket."""

from collections.abc import Callable
from dataclasses import dataclass

from dropscale.coded_warning import CodedWarning
from dropscale.ledger.drops import Drop
from dropscale.ledger.store import Ledger
from dropscale.pipeline.parts.ports import ResultsBucket
from dropscale.pipeline.parts.tag import leave_untagged
from dropscale.results.manifest import manifest_key, manifest_of

_ATTEMPTS = 5


Announce = Callable[[Drop], bool]
"""Tells others of a drop that has a new manifest; False: it could not, and is to be asked again."""


class ManifestContended(Exception):
    """Others wrote the same manifest every time; the sweeper will write it."""


@dataclass(frozen=True)
class WriteManifest:
    """Writes the manifest of a drop; never an older state over a newer one.

    `observe` is told of each drop that has a new manifest, and `announce` too, perhaps twice.
    Before, `tag` tags what was dropped; what kept it from that is a warning in the manifest.
    """

    ledger: Ledger
    results: ResultsBucket
    observe: Callable[[Drop], None]
    announce: Announce
    tag: Callable[[Drop], tuple[CodedWarning, ...]] = leave_untagged

    def __call__(self, drop: Drop) -> None:
        """Write `drop` down if that is owed, and no later state of it is written down already.

        Raises:
            ManifestContended: as its name says.
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
                # Whoever wrote it may have been cut off before the announcement. One that fails is
                # no reason to fail: the drop stays due, and the sweeper comes by.
                if rank > drop.rank or self.announce(drop):
                    self.ledger.note_manifest_written(drop)
                return
        raise ManifestContended(f"the manifest {key} is being written by others at the same time")
