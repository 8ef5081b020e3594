"""Puts the specs of a drop in the order in which they merge, with the presets that they use."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dropscale.specs.faults import Fault, SpecInvalid
from dropscale.specs.merge import Layer, Setting, merge
from dropscale.specs.model import closest, shown
from dropscale.specs.parse import SpecFile

_MOST_LISTED = 10


def cascade(files: Sequence[SpecFile]) -> list[Layer]:
    """Return the layers of specs, both outermost first: of each its presets, then its own fields.

    A spec uses the presets of its own file and of files further out. A preset only uses presets
    that are defined before it, so none can lead back to itself.

    Raises:
        SpecInvalid: with each preset that is not there to use.
    """
    presets = _Presets()
    layers: list[Layer] = []
    for file in files:
        presets.define(file.presets)
        layers += presets.used_by(file.layer)
    if presets.faults:
        raise SpecInvalid(presets.faults)
    return layers


@dataclass
class _Presets:
    """The presets that are defined so far, each merged with those that it uses itself."""

    known: dict[str, Layer] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def define(self, presets: Mapping[str, Layer]) -> None:
        """Add the presets of a file; one of a name that is known takes its place."""
        below = dict.fromkeys(presets)
        for name, layer in presets.items():
            del below[name]
            self.known[name] = merge([*self.used_by(layer, below)])

    def used_by(self, layer: Layer, below: Collection[str] = ()) -> Iterator[Layer]:
        """Yield the presets that a layer uses, and itself; none may be `below` it in its file."""
        for name in layer["preset"].value if "preset" in layer else ():
            if name.value in self.known and name.value not in below:
                yield self.known[name.value]
            else:
                self.faults.append(self._unknown(name, below))
        yield {name: setting for name, setting in layer.items() if name != "preset"}

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
