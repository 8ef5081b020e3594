"""Merges specs, outermost first: the nearest wins, field by field; the origin of values is kept.

A layer is one spec, flat. Merging layers is the union of mappings, so it is associative and
idempotent.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from dropscale import upscaler
from dropscale.specs.document import Document, FieldPath, format_path
from dropscale.specs.effective import (
    EffectiveRendition,
    EffectiveSpec,
    OutputFormat,
    OutputSettings,
    SizeLimits,
)
from dropscale.specs.faults import Fault, Place, Severity, SpecInvalid
from dropscale.specs.model import OutputSpec, RenditionSpec, SkipIf, Style
from dropscale.specs.output_name import (
    PLACEHOLDER,
    PLACEHOLDERS,
    NamedOutput,
    claimable,
    default_suffix,
    without_case,
)
from dropscale.upscaler import Mode

MAX_PROMPTS_BYTES = 32_000
"""The limit for all renditions together, in UTF-8: eight of the longest prompts in ASCII."""

_LONGEST_ORIGIN = 250
"""The limit for an origin in bytes: a key has up to 1,024, and each value has an origin."""

_GROUPS: Mapping[str, type[BaseModel]] = {"output": OutputSpec, "skip_if": SkipIf}
"""Fields whose own fields merge one by one; in a layer, each is `group.field`."""

_PARTS = frozenset({"presets", "rules"})
_NOT_MERGED = _PARTS | {"assets", "condition"}


@dataclass(frozen=True)
class Origin:
    """Where a value comes from: a file and a place in it, or a parameter of the stack.

    `part` is the preset or rule that it is in: `presets.web`, `rules[0]`.
    """

    source: str
    place: Place | None = None
    part: str = ""

    def __str__(self) -> str:
        if self.place is None:
            return self.source
        place = f"{self.source}:{self.place.line}:{self.place.column}"
        return f"{place} ({self.part})" if self.part else place

    def warning(self, field: str, message: str, hint: str) -> Fault:
        """Return a warning about the value of a field."""
        return self._fault(field, message, hint, Severity.WARNING)

    def error(self, field: str, message: str, hint: str) -> Fault:
        """Return an error about the value of a field."""
        return self._fault(field, message, hint, Severity.ERROR)

    def _fault(self, field: str, message: str, hint: str, severity: Severity) -> Fault:
        field = f"{self.part}.{field}" if self.part else field
        return Fault.at(self.source, self.place or Place(), message, hint, field, severity)


@dataclass(frozen=True)
class Setting:
    """A value that one spec gives a field.

    For `renditions` it is a tuple of settings of layers, for `preset` of settings of names.
    """

    value: Any
    origin: Origin


Layer = Mapping[str, Setting]
"""Settings by field. `style.enhancement` is stored as `mode`, so the two cannot conflict."""


def stack_defaults(scale_factor: int, mode: Mode) -> Layer:
    """Return the outermost layer: the stack's parameters."""
    return {
        "scale_factor": Setting(scale_factor, Origin("parameter DefaultScaleFactor")),
        "mode": Setting(mode, Origin("parameter DefaultMode")),
    }


def layer_of(spec: RenditionSpec, document: Document, path: FieldPath = ()) -> Layer:
    """Return a spec, or the preset or rule at a path of it, as a layer; `document` is its text."""
    return dict(_settings(spec, document, path))


def merge(layers: Sequence[Layer]) -> Layer:
    """Merge layers, outermost first."""
    return {field: setting for layer in layers for field, setting in layer.items()}


def effective_spec(layer: Layer, key: str) -> EffectiveSpec:
    """Return the effective spec of the drop at `key` by its merged layer.

    The layer must have a scale factor and a mode.

    Raises:
        SpecInvalid: the drop's outputs cannot have the names that it gives them, two of them would
            have the same name, or the prompts are too long.
    """
    items: Sequence[Setting] = (layer["renditions"].value if "renditions" in layer else ()) or ()
    rest = {field: setting for field, setting in layer.items() if field != "renditions"}
    layers = [rest | item.value for item in items]
    renditions = [EffectiveRendition(**_values(each)) for each in layers]
    faults = list(dict.fromkeys(_faults_of_names(layers or [rest], items, key)))
    faults = faults or [*_clashes(layers, items, key)]
    if faults := [*faults, *_beyond_all_prompts(renditions, items)]:
        raise SpecInvalid(faults)
    values = _values(layer) | {"batch": batch_in(layer)}
    limits = {field: values.pop(f"skip_if.{field}", None) for field in SizeLimits.model_fields}
    return EffectiveSpec(
        **values | {"skip_if": SizeLimits(**limits), "renditions": tuple(renditions)}
    )


def batch_in(layer: Layer) -> str | None:
    """Return the batch that a layer names, below the folder of that spec; None: it names none."""
    named = layer.get("batch")
    if named is None or named.value is None:
        return None
    folder, slash, _ = named.origin.source.rpartition("/")
    return f"{folder}{slash}{named.value}"


def warnings_about(layers: Sequence[Layer]) -> list[Fault]:
    """Return warnings about valid settings that have no effect; `layers` are outermost first."""
    merged = merge(layers)
    prompts = _find_unused(
        merged,
        "prompt",
        "mode",
        {Mode.CREATIVE},
        "choose the mode creative, or leave the prompt out",
    )
    qualities = _find_unused(
        merged,
        "output.quality",
        "output.format",
        {OutputFormat.JPEG, OutputFormat.WEBP, OutputFormat.AVIF},
        "choose jpeg, webp or avif, or leave the quality out",
    )
    return [*prompts, *qualities, *_mistaken_names(merged), *_without_effect(layers)]


def _mistaken_names(merged: Layer) -> Iterator[Fault]:
    """Yield a warning for each `name` that looks like an `output.name`."""
    items: Sequence[Setting] = merged["renditions"].value if "renditions" in merged else ()
    layers = {"name": merged} | {
        f"renditions[{index}].name": item.value for index, item in enumerate(items or ())
    }
    for place, layer in layers.items():
        given = layer.get("name")
        if given and set(PLACEHOLDER.findall(given.value or "")).intersection(PLACEHOLDERS):
            message = "names the upscale in the vendor's library, not the file"
            yield given.origin.warning(place, message, "write name below output")


def _find_unused(
    merged: Layer, field: str, decided_by: str, users: Set[str], hint: str
) -> Iterator[Fault]:
    """Yield a warning for each value of a field that is never used, because of another field."""
    items: Sequence[Setting] = merged["renditions"].value if "renditions" in merged else ()
    choices: dict[tuple[str, Origin], set[str]] = {}
    for index, own in enumerate([item.value for item in items] or [{}]):
        values = {**merged, **own}
        given = values.get(field)
        if given and given.value is not None:
            written = as_written(field)
            place = f"renditions[{index}].{written}" if field in own else written
            decision = values.get(decided_by)
            choice = decision.value.value if decision else OutputFormat.KEEP.value
            choices.setdefault((place, given.origin), set()).add(choice)
    for (place, origin), chosen in choices.items():
        if users.isdisjoint(chosen):
            what = decided_by.rpartition(".")[2]
            yield origin.warning(
                place, f"is not used: the {what} is {' and '.join(sorted(chosen))}", hint
            )


def _without_effect(layers: Sequence[Layer]) -> Iterator[Fault]:
    """Yield warnings about fields of a nearer spec that every rendition overrides."""
    items: Sequence[Setting] = ()
    nearer: list[Layer] = []
    for layer in layers:
        if "renditions" in layer:
            items, nearer = layer["renditions"].value, []
        else:
            nearer.append(layer)
    for layer in nearer if items else ():
        for field, setting in layer.items():
            if all(field in item.value for item in items):
                yield setting.origin.warning(
                    as_written(field),
                    f"has no effect: each rendition of {items[0].origin} sets its own",
                    "give `renditions` here, too (`[]` for none)",
                )


def _settings(
    spec: RenditionSpec, document: Document, path: FieldPath
) -> Iterator[tuple[str, Setting]]:
    def setting(value: object, *field: str | int) -> Setting:
        place = document.place_of_value((*path, *field))
        return Setting(value, Origin(document.path, place, part))

    part = format_path(path[:2]) if path and path[0] in _PARTS else ""

    for field in type(spec).model_fields:
        value = getattr(spec, field)
        if field not in spec.model_fields_set or field in _NOT_MERGED:
            continue
        if isinstance(value, Style):
            yield from _style_settings(value, setting)
        elif field in _GROUPS:
            for name in _GROUPS[field].model_fields:
                if value is None:
                    yield f"{field}.{name}", setting(None, field)
                elif name in value.model_fields_set:
                    yield f"{field}.{name}", setting(getattr(value, name), field, name)
        elif field == "renditions":
            items = (
                setting(dict(_settings(item, document, (*path, field, index))), field, index)
                for index, item in enumerate(value or ())
            )
            yield field, setting(tuple(items), field)
        elif field == "preset":
            names = (setting(name, field, index) for index, name in enumerate(value))
            yield field, setting(tuple(names), field)
        else:
            yield field, setting(value, field)


def _style_settings(style: Style, setting: Any) -> Iterator[tuple[str, Setting]]:
    if style.mode is not None:
        yield "mode", setting(style.mode, "style", "mode")
    if style.enhancement is not None:
        mode = upscaler.MODE_BY_ENHANCEMENT[style.enhancement]
        yield "mode", setting(mode, "style", "enhancement")
    if "prompt" in style.model_fields_set:
        yield "prompt", setting(style.prompt, "style", "prompt")


def _values(layer: Layer) -> dict[str, Any]:
    values: dict[str, Any] = {field: setting.value for field, setting in layer.items()}
    origins = {
        field: _shortened(str(setting.origin), _LONGEST_ORIGIN) for field, setting in layer.items()
    }
    if "preset" in values:
        values["preset"] = tuple(name.value for name in values["preset"])
    settings = {
        name: values.pop(f"output.{name}")
        for name in OutputSettings.model_fields
        if f"output.{name}" in values
    }
    return values | {"provenance": origins, "output": OutputSettings(**settings)}


def _shortened(origin: str, longest: int) -> str:
    """Return an origin, without the beginning of a path that is too long."""
    encoded = origin.encode()
    if len(encoded) <= longest:
        return origin
    return "…" + encoded[3 - longest :].decode("utf-8", "ignore")


def _faults_of_names(
    layers: Sequence[Layer], items: Sequence[Setting], key: str
) -> Iterator[Fault]:
    """Yield what is wrong with the names that layers give outputs of the drop at `key`."""
    for index, layer in enumerate(layers):
        given = layer.get("output.name")
        if given is not None and given.value is not None:
            is_own = items and "output.name" in items[index].value
            field = f"renditions[{index}].output.name" if is_own else "output.name"
            for what, hint in _named(layer, key).faults_of(given.value):
                yield given.origin.error(field, what, hint)


def _named(layer: Layer, key: str) -> NamedOutput:
    """Return what placeholders stand for; its job is only known to be another than others'."""
    factor, mode = layer["scale_factor"].value, layer["mode"].value
    presets = layer["preset"].value if "preset" in layer else ()
    job = hashlib.sha256(repr(_upscale(EffectiveRendition(**_values(layer)))).encode())
    names = tuple(name.value for name in presets)
    return NamedOutput(key, factor, mode, names, job.hexdigest())


def _upscale(wanted: EffectiveRendition) -> tuple[object, ...]:
    return wanted.scale_factor, wanted.mode, wanted.used_prompt, wanted.revision


def _clashes(layers: Sequence[Layer], items: Sequence[Setting], key: str) -> Iterator[Fault]:
    """Yield a fault for each rendition that is an earlier one again, or has its output's name.

    Two outputs can share a name only if their formats, and so their endings, certainly differ.
    """
    files: dict[tuple[object, ...], Setting] = {}
    by_name: dict[tuple[str | None, str], dict[OutputFormat, tuple[str, Setting]]] = {}
    for index, (layer, item) in enumerate(zip(layers, items, strict=True)):
        wanted, field = EffectiveRendition(**_values(layer)), f"renditions[{index}]"
        given = wanted.output.name
        name = given and _named(layer, key).render(given)
        written = wanted.output.model_copy(update={"name": name})
        first = files.setdefault((*_upscale(wanted), written), item)
        if first is not item:
            what = f"is the same upscale as the one at {first.origin}, written in the same way"
            yield item.origin.error(field, what, "leave one out")
            continue
        name = without_case(name) if name else default_suffix(wanted.scale_factor, wanted.mode)
        destination, own = (wanted.download_directory, claimable(name)), wanted.output.format
        for other, (others_name, first) in by_name.setdefault(destination, {}).items():
            if name != others_name or own is other or OutputFormat.KEEP in {own, other}:
                what = f"would have the output name of the one at {first.origin}"
                hint = "give one its own output.name or download_directory"
                yield item.origin.error(field, what, hint)
                break
        by_name[destination].setdefault(own, (name, item))


def _beyond_all_prompts(
    renditions: Sequence[EffectiveRendition], items: Sequence[Setting]
) -> Iterator[Fault]:
    """Yield a fault for the rendition with which all prompts exceed what a drop's row can hold."""
    size = 0
    for index, (rendition, item) in enumerate(zip(renditions, items, strict=True)):
        size += len((rendition.prompt or "").encode())
        if size > MAX_PROMPTS_BYTES:
            what = f"has a prompt with which all prompts together have {size:,} bytes"
            hint = f"allowed are at most {MAX_PROMPTS_BYTES:,}; make them shorter"
            yield item.origin.error(f"renditions[{index}]", what, hint)
            return


def as_written(field: str) -> str:
    """Return a layer's field as written in a spec, e.g. `style.mode`."""
    return f"style.{field}" if field in Style.model_fields else field
