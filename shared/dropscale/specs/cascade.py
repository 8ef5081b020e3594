"""Puts the specs of a drop in the order in which they merge, with their presets and rules."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from dropscale.specs.faults import Fault, SpecInvalid
from dropscale.specs.keys import folded
from dropscale.specs.merge import Layer, Setting, merge
from dropscale.specs.model import Condition
from dropscale.specs.parse import Rule, SpecFile
from dropscale.specs.values import Orientation, closest, shown

_MOST_LISTED = 10
_NOT_FOR_RULES = "max_credits"


@dataclass(frozen=True)
class ImageFacts:
    """The facts that conditions compare: a file's name, and what is known of its image.

    Width and height are in pixels, of the upright image.
    """

    name: str
    type: str | None = None
    width: int | None = None
    height: int | None = None
    alpha: bool | None = None
    bytes: int | None = None


def cascade(files: Sequence[SpecFile]) -> list[Layer | Rule]:
    """Return the parts to merge, outermost first: of each spec its presets, own fields, and rules.

    A spec can use the presets of its own file and of files further out. A preset can only use
    presets that are defined before it, so there are no cycles.

    Raises:
        SpecInvalid: names each preset that is not defined.
    """
    presets = _Presets()
    parts: list[Layer | Rule] = []
    for file in files:
        presets.define(file.presets)
        parts += presets.used_by(file.layer)
        parts += [replace(rule, layer=presets.merged_for(rule)) for rule in file.rules]
    if presets.faults:
        raise SpecInvalid(presets.faults)
    return parts


def parts_for(image: ImageFacts, parts: Sequence[Layer | Rule]) -> list[Layer | Rule]:
    """Return the parts of a cascade that apply to an image, outermost first."""
    return [
        part
        for part in parts
        if not isinstance(part, Rule) or all(_applies(part.condition, image).values())
    ]


def layers_of(parts: Sequence[Layer | Rule]) -> list[Layer]:
    """Return parts of a cascade without the conditions of rules."""
    return [part.layer if isinstance(part, Rule) else part for part in parts]


def unmet_elsewhere(image: ImageFacts, parts: Sequence[Layer | Rule]) -> Iterator[Fault]:
    """Yield a warning for each rule that cannot apply because an image elsewhere is not read."""
    for part in parts:
        applies = _applies(part.condition, image) if isinstance(part, Rule) else {}
        if isinstance(part, Rule) and applies.pop("name", True) and applies:
            what = "does not apply to an image stored elsewhere: only its name is known"
            yield part.origin.warning("if", what, "set the fields in that image's own spec")


def _applies(condition: Condition, image: ImageFacts) -> dict[str, bool]:
    """Return for each field of a condition whether it is true; a fact not known makes it false."""
    return {
        field: _is_true(field, getattr(condition, field), image)
        for field in condition.model_fields_set
    }


def _is_true(field: str, wanted: Any, image: ImageFacts) -> bool:
    width, height = image.width, image.height
    megapixels = None if width is None or height is None else width * height / 1e6
    sizes: Mapping[str, float | None] = {
        "width": width,
        "height": height,
        "megapixels": megapixels,
        "bytes": image.bytes,
    }
    match field.partition("_"):
        case ("name", _, _):
            name = folded(image.name)
            return any(fnmatchcase(name, folded(pattern)) for pattern in wanted)
        case ("type", _, _):
            return image.type in wanted
        case ("alpha", _, _):
            return image.alpha is wanted
        case ("orientation", _, _):
            return width is not None and height is not None and wanted is _lie(width, height)
        case (bound, _, what):
            size = sizes[what]
            return size is not None and (size >= wanted) is (bound == "min")


def _lie(width: int, height: int) -> Orientation:
    if width == height:
        return Orientation.SQUARE
    return Orientation.PORTRAIT if width < height else Orientation.LANDSCAPE


@dataclass
class _Presets:
    """The presets defined so far, each merged with those that it uses itself."""

    known: dict[str, Layer] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def define(self, presets: Mapping[str, Layer]) -> None:
        """Add the presets of a file; a preset replaces an earlier one of the same name."""
        below = dict.fromkeys(presets)
        for name, layer in presets.items():
            del below[name]
            merged = merge([*self.used_by(layer, below)])
            self.known[name] = {field: it for field, it in merged.items() if field != "preset"}

    def used_by(self, layer: Layer, below: Collection[str] = ()) -> Iterator[Layer]:
        """Yield the presets that a layer uses, and itself; `below`: the presets defined later."""
        for name in layer["preset"].value if "preset" in layer else ():
            if name.value in self.known and name.value not in below:
                yield self.known[name.value]
            else:
                self.faults.append(self._unknown(name, below))
        yield layer

    def merged_for(self, rule: Rule) -> Layer:
        """Return a rule merged with its presets, which may not set fields that rules cannot set."""
        for name in rule.layer["preset"].value if "preset" in rule.layer else ():
            if _NOT_FOR_RULES in self.known.get(name.value, ()):
                what = f"the preset {shown(name.value)} sets {_NOT_FOR_RULES}, which no rule can"
                hint = f"use the preset beside rules, or one without {_NOT_FOR_RULES}"
                self.faults.append(name.origin.error("preset", what, hint))
        return merge([*self.used_by(rule.layer)])

    def _unknown(self, name: Setting, below: Collection[str]) -> Fault:
        what = shown(name.value)
        if name.value in below:
            hint = "move its definition above this one"
            return name.origin.error("preset", f"the preset {what} is defined below", hint)
        if not self.known:
            hint = "define it under presets, in the spec of this folder or of one further out"
        else:
            meant = closest(name.value, self.known)
            did_you_mean = f"did you mean {meant}? " if meant else ""
            listed = [shown(known) for known in self.known][:_MOST_LISTED]
            listed += ["…"] if len(self.known) > _MOST_LISTED else []
            hint = f"{did_you_mean}known are {', '.join(listed)}"
        return name.origin.error("preset", f"there is no preset {what} to use here", hint)
