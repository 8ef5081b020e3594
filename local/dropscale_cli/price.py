"""What a run will cost at most, before anything is dropped."""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dropscale.errors import DropscaleError
from dropscale.image.header import read_header, require_upscalable
from dropscale.ledger.records import Parameters
from dropscale.pipeline.price import require_affordable
from dropscale.pipeline.sidecars import SpecResolver
from dropscale.spec.keys import SIDECAR_SUFFIXES
from dropscale.spec.model import Spec, Style
from dropscale.upscaler import Mode
from dropscale_cli.drops import Drops

DEFAULTS = Spec(scale_factor=2, style=Style(mode=Mode.BALANCED))
"""What an image gets whose specs say nothing, in a stack that `run` starts."""


@dataclass(frozen=True)
class _SpecFiles:
    """As much of an input bucket as it takes to resolve specs."""

    paths: Mapping[str, Path]

    def read(self, bucket: str, key: str, limit: int) -> bytes | None:
        if key not in self.paths:
            return None
        with self.paths[key].open("rb") as file:
            return file.read(limit)


def highest_price(drops: Drops) -> int:
    """Return the credits that the drops cost if every paid job succeeds.

    Faulty images and specs cost nothing, and images that share a job pay once.
    """
    resolve = SpecResolver(
        _SpecFiles(drops.specs), DEFAULTS, SIDECAR_SUFFIXES, sidecar_required=False
    )
    credits_by_job: dict[str, int] = {}
    for key, path in drops.images.items():
        with suppress(DropscaleError), path.open("rb") as file:
            require_upscalable(read_header(file, key), key)
            spec = resolve("", key)
            if spec is not None:
                parameters = Parameters.of(spec)
                require_affordable(parameters.credits, key, spec)
                file.seek(0)
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                credits_by_job[parameters.fingerprint(sha256)] = parameters.credits
    return sum(credits_by_job.values())
