"""Finds the specs of a drop and merges them: stack parameters, folder specs, the nearest spec."""

from collections.abc import Callable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field

from dropscale.errors import DropscaleError
from dropscale.pipeline.parts.ports import SpecFiles
from dropscale.specs.document import MAX_BYTES
from dropscale.specs.effective import EffectiveSpec
from dropscale.specs.faults import Fault, SpecInvalid
from dropscale.specs.keys import (
    KeyKind,
    folder_spec_keys_of,
    images_named_like,
    kind_of,
    sidecar_keys_of,
)
from dropscale.specs.merge import Layer, effective_spec, merge, warnings_about
from dropscale.specs.parse import (
    ImageUnnamed,
    SpecFile,
    parse_folder_spec,
    parse_sidecar,
    parse_stand_alone,
)

_ParsedSpec = SpecFile | SpecInvalid | None

FolderSpecCache = MutableMapping[tuple[str, str], _ParsedSpec]
"""What lies at the keys of folder specs, by bucket and key; None: nothing does."""


class SidecarAmbiguous(DropscaleError):
    """One image has more than one sidecar."""


class SidecarMissing(Exception):
    """An image must wait for its sidecar."""


@dataclass(frozen=True)
class ResolvedSpec:
    """All specs of a drop: merged, and as the layers they were, outermost first.

    `image_path` is where the image of a spec that stands alone lies, `image_identity` the same
    without a signature; both are None for an image in the input bucket.
    """

    effective: EffectiveSpec
    layers: Sequence[Layer]
    warnings: Sequence[Fault]
    image_path: str | None = None
    image_identity: str | None = None


@dataclass(frozen=True)
class SpecResolver:
    """Resolves effective specs; `suffixes` are those that a spec may end in.

    The specs of folders are read once for as long as `folder_specs` keeps them.
    """

    files: SpecFiles
    defaults: Layer
    suffixes: Sequence[str]
    sidecar_required: bool
    folder_specs: FolderSpecCache = field(default_factory=dict)

    def resolve_drop(self, bucket: str, key: str) -> ResolvedSpec | None:
        """Return the specs of a drop, an image or a spec; None: it is another tool's file.

        Raises:
            SpecInvalid: with every fault of all its specs.
            SidecarAmbiguous, SidecarMissing: as their names say.
        """
        if kind_of(key, self.suffixes) is KeyKind.STAND_ALONE:
            return self._resolve_stand_alone(bucket, key)
        return self._merge_specs(bucket, key, [*self._read_sidecar(bucket, key)])

    def _read_sidecar(self, bucket: str, key: str) -> Iterator[_ParsedSpec]:
        found = {
            name: text
            for name in sidecar_keys_of(key, self.suffixes)
            if (text := self.files.read(bucket, name, MAX_BYTES + 1)) is not None
        }
        if len(found) > 1:
            raise SidecarAmbiguous(
                f"{key} has more than one sidecar: {' and '.join(found)}",
                fix="Keep one and drop the image again.",
            )
        if not found and self.sidecar_required:
            raise SidecarMissing(f"{key} has no sidecar yet")
        for name, text in found.items():
            yield _parse_or_catch(parse_sidecar, text, name, key)

    def _resolve_stand_alone(self, bucket: str, key: str) -> ResolvedSpec | None:
        text = self.files.read(bucket, key, MAX_BYTES + 1)
        if text is None or len(text) > MAX_BYTES:
            return None
        own = _parse_or_catch(parse_stand_alone, text, key)
        if own is None or isinstance(own, ImageUnnamed):
            self._require_no_image_named_like(bucket, key)
        if isinstance(own, ImageUnnamed):
            raise own
        return None if own is None else self._merge_specs(bucket, key, [own])

    def _require_no_image_named_like(self, bucket: str, key: str) -> None:
        """Tell a person who has left the image's extension out of the name of its spec."""
        for image_key in images_named_like(key):
            if self.files.read(bucket, image_key, 1) is not None:
                name = f"{image_key}.{key.rpartition('.')[2]}"
                hint = f"the spec of {image_key} bears its full name: {name}"
                raise ImageUnnamed([Fault(path=key, message="belongs to no image", hint=hint)])

    def _merge_specs(self, bucket: str, key: str, own: Sequence[_ParsedSpec]) -> ResolvedSpec:
        """Merge what all files say, or tell what is wrong with any of them."""
        folders = [self._read_folder_spec(bucket, name) for name in folder_spec_keys_of(key)]
        parsed = [*folders, *own]
        faults = [fault for one in parsed if isinstance(one, SpecInvalid) for fault in one.faults]
        if faults:
            raise SpecInvalid(faults)
        files = [one for one in parsed if isinstance(one, SpecFile)]
        layers = [self.defaults, *(file.layer for file in files)]
        return ResolvedSpec(
            effective=effective_spec(merge(layers)),
            layers=layers,
            warnings=warnings_about(layers),
            image_path=files[-1].image_path if files else None,
            image_identity=files[-1].image_identity if files else None,
        )

    def _read_folder_spec(self, bucket: str, key: str) -> _ParsedSpec:
        try:
            return self.folder_specs[bucket, key]
        except KeyError:
            text = self.files.read(bucket, key, MAX_BYTES + 1)
        found = None if text is None else _parse_or_catch(parse_folder_spec, text, key)
        self.folder_specs[bucket, key] = found
        return found


def _parse_or_catch(parse: Callable[..., SpecFile | None], *arguments: object) -> _ParsedSpec:
    try:
        return parse(*arguments)
    except SpecInvalid as error:
        return error
