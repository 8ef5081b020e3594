"""Which output names a drop claims, and which it releases.

The ledger's transaction that accepts a drop claims the names of its outputs, so that two drops
never have the same one. A claim lasts for as long as there may be an output of that name.
"""

from collections.abc import Callable, Iterable, Mapping
from threading import Lock
from typing import Protocol

from dropscale.errors import DropscaleError
from dropscale.ledger.drops import Drop, NameClaim, Rendition
from dropscale.ledger.store import ClaimName, ReleaseName
from dropscale.results.output_key import claimed_name, output_path
from dropscale.specs.effective import EffectiveSpec


class OutputNameTaken(DropscaleError):
    """Another drop's output has, or will have, the name that a drop's spec gives its own."""

    @classmethod
    def of(cls, key: str, other: str, rendition: Rendition, origin: str) -> "OutputNameTaken":
        """Return the error for the drop at `key`, with the key of the `other` that has the name.

        `origin` is where the name comes from.
        """
        path = output_path(key, rendition)
        other = f"{other} in another bucket" if other == key else other
        return cls(
            f"{key} and {other} would have the same output name, {path} ({origin})",
            fix="Give one of them another `output.name` (with `{hash}`, different images differ), "
            "and drop it again: nothing was paid.",
        )


def origin_of_name(spec: EffectiveSpec, index: int) -> str:
    """Return where the name of a spec's rendition comes from, for people."""
    told = spec.wanted_renditions[index].provenance
    return told.get("output.name") or told.get("download_directory") or "default"


class TakenNames(Protocol):
    """The keys of drops by the names that they have taken; for example a dictionary."""

    def get(self, name: str, default: str, /) -> str:
        """Return the key of the drop that has a name; `default`: none has it."""

    def update(self, taken: Mapping[str, str], /) -> None:
        """Add names."""


class PlannedNames:
    """The output names of drops that are only planned; the first to take one has it.

    `claim` returns the claim that there is on a name already; `taken` are names taken before.
    """

    def __init__(
        self, claim: Callable[[str], NameClaim | None], taken: TakenNames | None = None
    ) -> None:
        self._claim = claim
        self._taken: TakenNames = dict[str, str]() if taken is None else taken
        self._lock = Lock()

    def take(self, key: str, spec: EffectiveSpec, renditions: Iterable[Rendition]) -> None:
        """Take the names of a drop's renditions, all or none.

        Raises:
            OutputNameTaken: another drop has one of them.
        """
        named = [(claimed_name(key, one), one) for one in renditions]
        claims = [self._claim(name) for name, _ in named]
        with self._lock:
            for index, ((name, one), claim) in enumerate(zip(named, claims, strict=True)):
                other = claim.key if claim else self._taken.get(name, key)
                if other != key:
                    raise OutputNameTaken.of(key, other, one, origin_of_name(spec, index))
            self._taken.update({name: key for name, _ in named})


def claims_of(drop: Drop, renditions: Iterable[Rendition]) -> list[ClaimName]:
    """Return the claims of a drop on the names of its renditions, each once."""
    names = dict.fromkeys(claimed_name(drop.source.key, one) for one in renditions)
    return [ClaimName(NameClaim(name=name, drop_id=drop.id, key=drop.source.key)) for name in names]


def releases_of(before: Drop, after: Drop) -> list[ReleaseName]:
    """Return the releases of names that a step of a drop leaves, and that no output can have.

    Once anything of a drop has had a project, it keeps all its names: outputs of specs before the
    latest may be in the results, too, or on their way there.
    """
    left = before.renditions.values()
    if any(one.may_have_output for one in left):
        return []
    kept = {one.claim.name for one in claims_of(after, after.renditions.values())}
    return [ReleaseName(one.claim) for one in claims_of(before, left) if one.claim.name not in kept]
