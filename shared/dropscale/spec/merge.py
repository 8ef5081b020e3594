"""Merges specs, outermost first: nearest wins, field by field, and remembers whose value it is."""

from collections.abc import Iterable
from typing import Any

from dropscale import upscaler
from dropscale.spec.model import EffectiveSpec, Spec


def merge(layers: Iterable[tuple[str, Spec]]) -> EffectiveSpec:
    """Merge `(origin, spec)` layers; together they must give a scale factor and a mode.

    `enhancement` becomes `mode` before merging, so the two names of the choice cannot both hold.
    """
    values: dict[str, Any] = {}
    provenance: dict[str, str] = {}
    for origin, spec in layers:
        fields = _flat(spec)
        values |= fields
        provenance |= dict.fromkeys(fields, origin)
    return EffectiveSpec(**values, provenance=provenance)


def _flat(spec: Spec) -> dict[str, Any]:
    fields = spec.model_dump(exclude_none=True, exclude={"assets", "style"})
    if spec.style is not None:
        style = spec.style.model_dump(exclude_none=True)
        enhancement = style.pop("enhancement", None)
        if enhancement is not None:
            style["mode"] = upscaler.MODE_BY_ENHANCEMENT[enhancement]
        fields |= style
    return fields
