"""Locate: which drop an object of the input bucket is about, and what lies at its key now."""

from collections.abc import Sequence
from dataclasses import dataclass

from dropscale.ledger.drops import Drop, Source
from dropscale.ledger.store import Ledger
from dropscale.pipeline.parts.ports import InputBucket, ObjectVersion
from dropscale.specs.keys import KeyKind, image_key_of, kind_of

_DROPS = frozenset({KeyKind.IMAGE, KeyKind.STAND_ALONE, KeyKind.UNSUPPORTED})


@dataclass(frozen=True)
class Location:
    """What an object is, the drop it is about, and the version of the drop's own object now.

    `drop` is None if the object is about none, `version` if the drop's own object is gone.
    """

    kind: KeyKind
    drop: Drop | None = None
    version: ObjectVersion | None = None


@dataclass(frozen=True)
class LocateDrop:
    """Finds drops by the keys of images, sidecars and stand-alone specs."""

    bucket: InputBucket
    ledger: Ledger
    suffixes: Sequence[str]
    """What a spec's key may end in."""

    def __call__(self, bucket: str, key: str) -> Location:
        """Find the drop that the object at `key` is about."""
        kind, drop_key = self.sort_key(key)
        if drop_key is None:
            return Location(kind)
        version = self.bucket.head(bucket, drop_key)
        drop = self.find_drop(bucket, drop_key)
        if version is None and kind is not KeyKind.IMAGE and not drop.seq:
            return Location(kind)
        return Location(kind, drop, version)

    def sort_key(self, key: str) -> tuple[KeyKind, str | None]:
        """Return what lies at a key, and the key of the drop it is about, if any."""
        kind = kind_of(key, self.suffixes)
        if kind is KeyKind.SIDECAR:
            return kind, image_key_of(key, self.suffixes)
        return kind, key if kind in _DROPS else None

    def find_drop(self, bucket: str, key: str) -> Drop:
        """Return the drop at a key from the ledger, or a new one, with `seq` 0."""
        drop_id = Drop.id_of(bucket, key)
        source = Source(bucket=bucket, key=key, etag="")
        return self.ledger.drop(drop_id) or Drop(id=drop_id, source=source)
