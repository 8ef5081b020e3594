"""`dropscale explain`: the effective spec of one image, and the source of each value."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel

from dropscale.ledger.jobs import Parameters
from dropscale.pipeline.parts.spec_resolver import ResolvedSpec
from dropscale.specs.effective import EffectiveRendition, EffectiveSpec, OutputSettings, SizeLimits
from dropscale.specs.faults import Fault, SpecInvalid
from dropscale.specs.keys import SPEC_SUFFIXES, KeyKind, kind_by_name, meant_image
from dropscale.specs.merge import Layer, Origin, Setting, as_written
from dropscale.upscaler import price
from dropscale_cli.options import (
    PATH,
    ended_by_signals,
    examples,
    format_option,
    root_option,
    sidecar_suffixes_option,
)
from dropscale_cli.specs.trees import SpecTree
from dropscale_cli.specs.validate import report
from dropscale_cli.terminal import Table, Terminal, say_json

_GROUPS: Mapping[str, type[BaseModel]] = {"output": OutputSettings, "skip_if": SizeLimits}
_NOT_FIELDS = {"provenance", "renditions"}


def tell_layers(
    path: Path,
    root: Path | None,
    *,
    as_json: bool,
    suffixes: Sequence[str] = SPEC_SUFFIXES,
) -> int:
    """Print the effective spec of an image, or of a stand-alone spec.

    For a sidecar, that of its image is printed. Return the exit code: 1 if its specs are faulty,
    else 0.

    Raises:
        click.UsageError: the path is not inside the root, or is neither image nor spec.
    """
    tree = SpecTree.around(path, root, suffixes)
    key = tree.key_of(path)
    if meant_image(key, suffixes):
        key = tree.images_of(key)[0]
    try:
        resolved = None
        if kind_by_name(key, suffixes) in {KeyKind.IMAGE, KeyKind.STAND_ALONE, KeyKind.MISNAMED}:
            resolved = tree.resolve(key)
        if tree.unreadable:
            raise SpecInvalid(tree.unreadable)
    except SpecInvalid as error:
        return _tell_faults(key, error.faults, as_json=as_json)
    if resolved is None:
        raise click.UsageError(f"{path} is neither an image nor a spec that names one.")
    if as_json:
        say_json(_as_json(key, resolved))
    else:
        _tell(key, resolved)
    return 0


def _tell_faults(key: str, faults: Sequence[Fault], *, as_json: bool) -> int:
    if as_json:
        outcome = {"key": key, "faults": [fault.model_dump(mode="json") for fault in faults]}
        say_json(outcome)
    else:
        report(faults, "text")
    return 1


@dataclass(frozen=True)
class _Explained:
    """A field's value and its sources: the nearest setting, then those that it overrides."""

    field: str
    value: Any
    settings: Sequence[Setting]

    @property
    def origin(self) -> str:
        return str(self.settings[0].origin) if self.settings else "default"

    @property
    def overridden(self) -> Sequence[Setting]:
        return self.settings[1:]

    def row(self) -> Iterator[str]:
        yield self.field
        yield _in_words(self.value)
        yield self.origin
        yield ", ".join(f"{_in_words(each.value)} ({each.origin})" for each in self.overridden)

    def as_json(self) -> dict[str, Any]:
        over = [{"value": _plain(each.value), "from": str(each.origin)} for each in self.overridden]
        return {"value": _plain(self.value), "from": self.origin, "overrides": over}


def _fields(key: str, resolved: ResolvedSpec) -> Iterator[_Explained]:
    """Yield all fields of a spec, as written."""
    if resolved.image_identity is not None:
        image = Setting(resolved.image_identity, Origin(key))
        yield _Explained("assets.image_file_path", image.value, [image])
    yield from _explain_fields([*_names(EffectiveSpec), "renditions"], resolved.layers)


def _names(model: type[BaseModel]) -> Iterator[str]:
    """Yield the names of a model's fields in layers."""
    for name in model.model_fields:
        if name in _GROUPS:
            yield from (f"{name}.{field}" for field in _GROUPS[name].model_fields)
        elif name not in _NOT_FIELDS:
            yield name


def _explain_fields(fields: Iterable[str], layers: Sequence[Layer]) -> Iterator[_Explained]:
    """Yield the fields that layers, outermost first, result in."""
    for field in fields:
        settings = [layer[field] for layer in reversed(layers) if field in layer]
        value = settings[0].value if settings else _default(field)
        yield _Explained(as_written(field), value, settings)


def _default(field: str) -> Any:
    group, _, name = field.rpartition(".")
    value = _GROUPS.get(group, EffectiveSpec).model_fields[name].get_default()
    return None if field == "renditions" else value


def _renditions(resolved: ResolvedSpec) -> Iterator[tuple[str, Iterator[_Explained]]]:
    """Yield each rendition's heading and fields."""
    given = [layer["renditions"].value for layer in resolved.layers if "renditions" in layer]
    first: dict[Parameters, int] = {}
    for index, item in enumerate(given[-1] if given else ()):
        wanted = resolved.effective.renditions[index]
        earlier = first.setdefault(Parameters.of(wanted), index)
        cost = _cost(wanted) if earlier == index else f"the upscale of renditions[{earlier}]"
        heading = f"renditions[{index}]: {_upscale(wanted)}, {cost}"
        yield heading, _explain_fields(_names(EffectiveRendition), [*resolved.layers, item.value])


def _upscale(wanted: EffectiveRendition) -> str:
    return f"{wanted.scale_factor}x {wanted.mode}"


def _cost(wanted: EffectiveRendition) -> str:
    return f"{price(wanted.scale_factor, wanted.mode)} credits"


def _tell(key: str, resolved: ResolvedSpec) -> None:
    console = Terminal(is_wide=True)
    renditions = list(_renditions(resolved))
    wanted = resolved.effective
    heading = key if renditions else f"{key}: {_upscale(wanted)}, {_cost(wanted)}"
    for title, explained in [(heading, _fields(key, resolved)), *renditions]:
        console.say([(title, "bold")])
        heads = ["Field", "Value", "From", "Overrides"]
        console.show(Table(heads, [list(one.row()) for one in explained]))
        console.say("")
    for fault in resolved.warnings:
        console.say(f"Warning: {fault}")


def _as_json(key: str, resolved: ResolvedSpec) -> dict[str, Any]:
    def by_field(explained: Iterable[_Explained]) -> dict[str, Any]:
        return {one.field: one.as_json() for one in explained}

    return {
        "key": key,
        "fields": by_field(_fields(key, resolved)),
        "renditions": [by_field(explained) for _, explained in _renditions(resolved)],
        "warnings": [fault.model_dump(mode="json") for fault in resolved.warnings],
        "faults": [],
    }


def _plain(value: Any) -> Any:
    """Return a value as JSON; for renditions, how each is written."""
    if isinstance(value, tuple):
        return [_plain(item.value) for item in value]
    if isinstance(value, dict):
        return {as_written(field): _plain(each.value) for field, each in value.items()}
    return value


def _in_words(value: Any) -> str:
    if isinstance(value, tuple):
        names = [item.value for item in value if isinstance(item.value, str)]
        return ", ".join(names) or (f"{len(value)} of them" if value else "none")
    return "-" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


@click.command(
    "explain",
    epilog=examples("dropscale explain photos/cat.jpg", "dropscale explain job.yaml --format json"),
)
@click.argument("image", type=PATH)
@root_option
@format_option()
@sidecar_suffixes_option
def explain(
    *, image: Path, root: Path | None, output_format: str, suffixes: tuple[str, ...]
) -> None:
    """Show the effective spec of IMAGE: each field, the source of its value, and what it overrides.

    IMAGE may also be a stand-alone spec or a sidecar.

    Exits with 0, or 1 if its specs have errors.
    """
    with ended_by_signals():
        as_json = output_format == "json"
        sys.exit(tell_layers(image, root, as_json=as_json, suffixes=suffixes))
