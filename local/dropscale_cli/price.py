"""What a run will cost at most, before anything is dropped."""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dropscale.errors import DropscaleError
from dropscale.image.header import read_header, require_upscalable
from dropscale.ledger.records import Parameters
from dropscale.pipeline.sidecars import SpecResolver
from dropscale.spec.keys import SIDECAR_SUFFIXES
from dropscale.spec.model import EffectiveSpec, Spec, Style
from dropscale.upscaler import Mode
from dropscale_cli.drops import Drops

DEFAULTS = Spec(scale_factor=2, style=Style(mode=Mode.BALANCED))
"""What an image gets whose specs say nothing, in a stack that `run` starts."""


@dataclass(frozen=True)
class _SpecFiles:
    """As much of an input bucket as it takes to resolve specs."""

    paths: Mapping[str, Path]

    def read(self, _bucket: str, key: str, limit: int) -> bytes | None:
        if key not in self.paths:
            return None
        with self.paths[key].open("rb") as file:
            return file.read(limit)


def highest_price(drops: Drops) -> int:
    """Return the credits that the drops cost if every paid job succeeds.

    Faulty images and specs cost nothing, and images that share a job pay once.
    """
    files: Any = _SpecFiles(drops.specs)  # resolving only reads
    resolve = SpecResolver(files, DEFAULTS, SIDECAR_SUFFIXES, sidecar_required=False)
    credits_by_job: dict[str, int] = {}
    for key, path in drops.images.items():
        with suppress(DropscaleError), path.open("rb") as file:
            require_upscalable(read_header(file, key), key)
            if parameters := _paid_parameters(resolve("", key)):
                file.seek(0)
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                credits_by_job[parameters.fingerprint(sha256)] = parameters.credits
    return sum(credits_by_job.values())


def _paid_parameters(spec: EffectiveSpec | None) -> Parameters | None:
    if spec is None:
        return None
    parameters = Parameters.of(spec)
    too_dear = spec.max_credits is not None and parameters.credits > spec.max_credits
    return None if too_dear else parameters
