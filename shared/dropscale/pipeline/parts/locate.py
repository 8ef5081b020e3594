"""Locate: which drop an object of the input bucket is about, and what is at its key now."""

from collections.abc import Sequence
from dataclasses import dataclass

from dropscale.ledger.drops import Drop, Source
from dropscale.ledger.store import Ledger, Names
from dropscale.pipeline.parts.ports import InputBucket, ObjectVersion
from dropscale.pipeline.parts.spec_resolver import NamesLike
from dropscale.specs.keys import KeyKind, folded, image_key_of, kind_of, meant_image

_DROPS = frozenset({KeyKind.IMAGE, KeyKind.STAND_ALONE, KeyKind.UNSUPPORTED})


@dataclass(frozen=True)
class Location:
    """What an object is, the drop it is about, and the current version of the drop's own object.

    `drop` is None if the object is about no drop, `version` if the drop's own object is gone.
    `misspelt` has the keys of evaluated images that a spec may mean whose name matches no image.
    """

    kind: KeyKind
    drop: Drop | None = None
    version: ObjectVersion | None = None
    misspelt: Sequence[str] = ()


@dataclass(frozen=True)
class LocateDrop:
    """Finds drops by the keys of images, sidecars and stand-alone specs."""

    bucket: InputBucket
    ledger: Ledger
    suffixes: Sequence[str]
    """The endings that a spec's key may have."""

    def __call__(self, bucket: str, key: str) -> Location:
        """Find the drop that the object at `key` is about."""
        kind, drop_key = self.sort_key(key)
        if drop_key is None:
            return Location(kind)
        version = self.bucket.head(bucket, drop_key)
        drop = self.find_drop(bucket, drop_key)
        misspelt = self._images_meant(bucket, key) if version is None else ()
        if version is None and kind is not KeyKind.IMAGE and not drop.seq:
            return Location(kind, misspelt=misspelt)
        return Location(kind, drop, version, misspelt)

    def sort_key(self, key: str) -> tuple[KeyKind, str | None]:
        """Return the kind of object at a key, and the key of the drop it is about, if any."""
        kind = kind_of(key, self.suffixes)
        if kind is KeyKind.SIDECAR:
            return kind, image_key_of(key, self.suffixes)
        if kind is KeyKind.MISNAMED:
            return kind, meant_image(key, self.suffixes) or key
        return kind, key if kind in _DROPS else None

    def find_drop(self, bucket: str, key: str) -> Drop:
        """Return the drop at a key from the ledger, or a new one, with `seq` 0."""
        drop_id = Drop.id_of(bucket, key)
        source = Source(bucket=bucket, key=key, etag="")
        return self.ledger.drop(drop_id) or Drop(id=drop_id, source=source)

    def _images_meant(self, bucket: str, key: str) -> Sequence[str]:
        """Note the key of a spec without an image beside it; return the images that it may mean.

        Images that are evaluated later find the note.
        """
        meant = meant_image(key, self.suffixes)
        if meant is None:
            return ()
        name_id = Drop.id_of(bucket, folded(meant))
        images = self.ledger.note_name(name_id, Names(specs=frozenset({key}))).images
        return [image for image in sorted(images) if self.bucket.head(bucket, image)]


def noting_images(ledger: Ledger) -> NamesLike:
    """Return a function that notes an image, and returns the specs noted as meaning it."""

    def names_like(bucket: str, key: str) -> Sequence[str]:
        name_id = Drop.id_of(bucket, folded(key))
        return sorted(ledger.note_name(name_id, Names(images=frozenset({key}))).specs)

    return names_like
