"""Files that lie among images and are not dropped: by their names, and what becomes of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from dropscale.errors import DropscaleError
from dropscale.image.header import refusal_by_name
from dropscale.image.unsupported import HEAD_BYTES
from dropscale.specs.keys import KeyKind, kind_of

_MOST_NAMED = 3


def list_names(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


@dataclass(frozen=True)
class IgnoredFiles:
    """Files by their keys; those of images that the upscaler does not take with the reason why."""

    refusals: Mapping[str, DropscaleError | None]

    @classmethod
    def of(cls, files: Mapping[str, Path]) -> Self:
        """Look at files: as far as their names tell of images, at their first bytes."""
        return cls({key: _refusal(key, file) for key, file in files.items()})

    def __len__(self) -> int:
        return len(self.refusals)

    def __str__(self) -> str:
        """Return some of their names."""
        return list_names(list(self.refusals))

    def lines(self) -> Iterator[str]:
        """Tell of images that the upscaler does not take what they are, and what to do."""
        by_advice: dict[tuple[str, str], list[str]] = {}
        for key, refusal in self.refusals.items():
            if refusal is not None:
                said = refusal.message.removeprefix(f"{key} "), refusal.fix
                by_advice.setdefault(said, []).append(key)
        for (message, fix), keys in by_advice.items():
            yield ""
            yield f"{list_names(keys)}: not dropped: {message}"
            yield f"  {fix}"

    def as_json(self) -> list[dict[str, Any]]:
        """Return all of them as JSON shows them."""
        return [
            {"key": key, "reason": refusal and refusal_as_json(refusal)}
            for key, refusal in self.refusals.items()
        ]


NOTHING_IGNORED = IgnoredFiles({})


def refusal_as_json(refusal: DropscaleError) -> dict[str, str]:
    """Return why something is not taken as JSON shows it."""
    return {"code": type(refusal).__name__, "message": refusal.message, "fix": refusal.fix}


def _refusal(key: str, file: Path) -> DropscaleError | None:
    if kind_of(key) is not KeyKind.UNSUPPORTED:
        return None
    try:
        with file.open("rb") as content:
            head = content.read(HEAD_BYTES)
    except OSError:
        return None
    return refusal_by_name(head, key)
