"""Finds the specs of a drop and merges them: stack parameters, folder specs, the nearest spec."""

from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath

from dropscale.errors import DropscaleError
from dropscale.ledger.drops import Drop, Source
from dropscale.pipeline.parts.ports import MOST_KEYS, SpecFiles
from dropscale.specs.cascade import ImageFacts, cascade, layers_of, parts_for, unmet_elsewhere
from dropscale.specs.document import MAX_BYTES
from dropscale.specs.effective import EffectiveSpec
from dropscale.specs.faults import Fault, Severity, SpecInvalid
from dropscale.specs.keys import (
    KeyKind,
    folded,
    folder_spec_prefixes_of,
    folders_of,
    image_key_of,
    images_named_like,
    is_same_name,
    kind_by_name,
    means_folder_spec,
    meant_image,
    meant_stem,
    right_name,
    sidecar_keys_of,
    sidecar_prefixes_of,
)
from dropscale.specs.merge import Layer, batch_in, effective_spec, merge, warnings_about
from dropscale.specs.parse import (
    ImageUnnamed,
    ImageUnread,
    Rule,
    SpecFile,
    is_other_tools,
    parse_folder_spec,
    parse_sidecar,
    parse_stand_alone,
)

_ENDS_LIKE_A_SPEC = frozenset({KeyKind.STAND_ALONE, KeyKind.OTHER})
"""The kinds of key of a spec without its image's extension: `cat.yaml`, or `cat.yaml.txt`."""

_FACTS = ("type", "width", "height", "alpha", "bytes")

_ParsedSpec = SpecFile | SpecInvalid | None

FolderSpecCache = MutableMapping[tuple[str, str], _ParsedSpec]
"""The specs of folders, by bucket and folder; None: the folder has no spec."""

NamesLike = Callable[[str, str], Iterable[str]]
"""Returns, for a bucket and an image key, the keys of specs that differ from it only in case."""


class SidecarAmbiguous(DropscaleError):
    """One image has more than one sidecar."""


class FolderSpecAmbiguous(SpecInvalid):
    """One folder has more than one spec."""


class SpecMisnamed(SpecInvalid):
    """A file is clearly meant to be a spec, but is not named like one; it is not ignored."""

    fix = "Give it that name, or delete it and drop the image again (or `dropscale retry KEY`)."


class SidecarMissing(Exception):
    """An image must wait for its sidecar."""


@dataclass(frozen=True)
class ResolvedSpec:
    """All specs of a drop that apply to its image: merged, and in parts, outermost first.

    `image_identity` is that of `DropSpecs`.
    """

    effective: EffectiveSpec
    parts: Sequence[Layer | Rule]
    warnings: Sequence[Fault]
    image_identity: str | None = None

    @property
    def layers(self) -> Sequence[Layer]:
        """The parts without the conditions of rules."""
        return layers_of(self.parts)

    @property
    def presets(self) -> Sequence[tuple[str, str]]:
        """Each preset that sets a field: the file that defines it, and where in it."""
        origins = (setting.origin for layer in self.layers for setting in layer.values())
        found = ((one.source, one.part) for one in origins if one.part.startswith("presets"))
        return list(dict.fromkeys(found))

    @property
    def rules(self) -> Sequence[tuple[str, str]]:
        """Each rule that applies: its file, and where in it."""
        return [(one.origin.source, one.origin.part) for one in self.parts if isinstance(one, Rule)]


@dataclass(frozen=True)
class DropSpecs:
    """All specs of the drop at `key`, outermost first, before it is decided which rules apply.

    `image_path` is the location of a stand-alone spec's image, `image_identity` the same without
    its signature; both are None for an image in the input bucket.
    """

    key: str
    parts: Sequence[Layer | Rule]
    warnings: Sequence[Fault]
    image_path: str | None = None
    image_identity: str | None = None

    @cached_property
    def has_rules(self) -> bool:
        """Whether the settings depend on the image itself."""
        return any(isinstance(part, Rule) for part in self.parts)

    def for_image(self, source: Source) -> ResolvedSpec:
        """Return the spec that applies to a drop's image, as far as its source describes it.

        Raises:
            SpecInvalid: the settings that apply contradict each other.
        """
        if not self.has_rules:
            return self._for_any_image
        facts = {name: getattr(source, name) for name in _FACTS}
        image = ImageFacts(PurePosixPath(source.key).name, **facts)
        unmet = unmet_elsewhere(image, self.parts) if self.image_identity is not None else ()
        return self._resolve(image, unmet)

    @cached_property
    def _for_any_image(self) -> ResolvedSpec:
        return self._resolve(ImageFacts(""))

    def _resolve(self, image: ImageFacts, unmet: Iterable[Fault] = ()) -> ResolvedSpec:
        parts = parts_for(image, self.parts)
        layers = layers_of(parts)
        warnings = [*self.warnings, *warnings_about(layers), *unmet]
        effective = effective_spec(merge(layers), self.key)
        return ResolvedSpec(effective, parts, warnings, self.image_identity)


@dataclass(frozen=True)
class SpecResolver:
    """Resolves effective specs; `suffixes` are the endings that a spec's key may have.

    The specs of folders are read again only when `folder_specs` has dropped them. Sidecars are
    listed by the beginning of their names; `names_like` returns those that this cannot find.
    """

    files: SpecFiles
    defaults: Layer
    suffixes: Sequence[str]
    sidecar_required: bool
    folder_specs: FolderSpecCache = field(default_factory=dict)
    names_like: NamesLike = lambda bucket, image_key: ()

    def resolve_drop(self, bucket: str, key: str) -> DropSpecs | None:
        """Return the specs of a drop, an image or a spec; None: it is another tool's file.

        Faults that do not depend on the image are raised before it is read.

        Raises:
            SpecInvalid: has every fault of all its specs.
            SpecMisnamed: a spec is not named like one.
            FolderSpecAmbiguous, SidecarAmbiguous: there is more than one spec.
            SidecarMissing: the image must wait for its sidecar.
        """
        match kind_by_name(key, self.suffixes):
            case KeyKind.STAND_ALONE:
                return self._resolve_stand_alone(bucket, key)
            case KeyKind.MISNAMED:
                raise SpecMisnamed([_misnamed_folder_spec(key)])
        return self._resolve_image(bucket, key)

    def batch_of(self, drop: Drop) -> str | None:
        """Return the batch that a drop's folders put it into; only their specs are read.

        While one of these cannot be read, or is faulty, the drop stays in the batch that it is in.
        """
        bucket, key = drop.source.bucket, drop.source.key
        try:
            specs = [self._read_folder_spec(bucket, folder) for folder in folders_of(key)]
        except DropscaleError:
            return drop.batch
        if any(isinstance(spec, SpecInvalid) for spec in specs):
            return drop.batch
        return batch_in(merge([spec.layer for spec in specs if isinstance(spec, SpecFile)]))

    def _resolve_image(self, bucket: str, key: str) -> DropSpecs:
        listed = self._names_like(bucket, key)
        texts = {
            name: text
            for name in listed
            if self._is_about(bucket, name, key)
            if (text := self.files.read(bucket, name, MAX_BYTES + 1)) is not None
        }
        foreign = [name for name, text in texts.items() if is_other_tools(text, name)]
        own = [name for name in texts if name not in foreign]
        sidecars = [name for name in own if self._bears_name_of(name, key)]
        faults = [_misnamed_sidecar(name, key) for name in own if name not in sidecars]
        if not sidecars:
            faults += self._specs_without_extension(bucket, key, listed)
        if faults:
            raise SpecMisnamed(faults)
        if len(sidecars) > 1:
            raise SidecarAmbiguous(
                f"{key} has more than one sidecar: {' and '.join(sidecars)}",
                fix="Keep one and drop the image again.",
            )
        if not sidecars and self.sidecar_required:
            raise SidecarMissing(f"{key} has no sidecar yet")
        parsed = [_parse_or_catch(parse_sidecar, texts[name], name, key) for name in sidecars]
        warnings = [_other_tools(name) for name in foreign if self._bears_name_of(name, key)]
        return self._merge_specs(bucket, key, parsed, warnings)

    def _bears_name_of(self, name: str, key: str) -> bool:
        return is_same_name(image_key_of(name, self.suffixes) or "", key)

    def _names_like(self, bucket: str, key: str) -> list[str]:
        """Return the keys of all specs that may be about an image, and possibly others."""
        listed = self._keys(bucket, sidecar_prefixes_of(key))
        if len(listed) >= MOST_KEYS:  # The relevant ones may come later.
            listed += sidecar_keys_of(key, self.suffixes)
        return list(dict.fromkeys([*listed, *self.names_like(bucket, key)]))

    def _is_about(self, bucket: str, name: str, key: str) -> bool:
        """Whether a spec's name means this image, and no other image has exactly that name."""
        meant = meant_image(name, self.suffixes)
        if meant is None or folded(meant) != folded(key):
            return False
        return meant == key or not self._exists(bucket, meant)

    def _specs_without_extension(
        self, bucket: str, key: str, names: Sequence[str]
    ) -> Iterator[Fault]:
        """Yield a fault for each spec without the image's extension: `cat.yaml` for `cat.jpg`."""
        stem = key.rpartition(".")[0]
        for name in names:
            is_like = is_same_name(meant_stem(name, self.suffixes) or "", stem)
            if is_like and kind_by_name(name, self.suffixes) in _ENDS_LIKE_A_SPEC:
                text = self.files.read(bucket, name, MAX_BYTES + 1) or b""
                parsed = _parse_or_catch(parse_stand_alone, text, name)
                if isinstance(parsed, ImageUnnamed | ImageUnread):
                    yield _extension_missing(name, key)

    def _keys(self, bucket: str, prefixes: Iterable[str]) -> list[str]:
        return [key for prefix in prefixes for key in self.files.keys(bucket, prefix)]

    def _exists(self, bucket: str, key: str) -> bool:
        return self.files.read(bucket, key, 1) is not None

    def _resolve_stand_alone(self, bucket: str, key: str) -> DropSpecs | None:
        text = self.files.read(bucket, key, MAX_BYTES + 1)
        if text is None or len(text) > MAX_BYTES:
            return None
        if is_other_tools(text, key):
            return None
        own = _parse_or_catch(parse_stand_alone, text, key)
        if own is None or isinstance(own, ImageUnnamed):
            self._require_no_image_named_like(bucket, key)
        if isinstance(own, ImageUnnamed):
            raise own
        return None if own is None else self._merge_specs(bucket, key, [own])

    def _require_no_image_named_like(self, bucket: str, key: str) -> None:
        """Raise if the name of a spec lacks its image's extension."""
        for image_key in images_named_like(key):
            if self.files.read(bucket, image_key, 1) is not None:
                raise ImageUnnamed([_extension_missing(key, image_key)])

    def _merge_specs(
        self,
        bucket: str,
        key: str,
        own: Sequence[_ParsedSpec],
        warnings: Sequence[Fault] = (),
    ) -> DropSpecs:
        """Merge all files, or raise with all their faults."""
        folders = [self._read_folder_spec(bucket, folder) for folder in folders_of(key)]
        parsed = [*folders, *own]
        invalid = [one for one in parsed if isinstance(one, SpecInvalid)]
        if invalid:
            is_misnamed = all(isinstance(one, SpecMisnamed) for one in invalid)
            error = SpecMisnamed if is_misnamed else SpecInvalid
            raise error([fault for one in invalid for fault in one.faults])
        files = [one for one in parsed if isinstance(one, SpecFile)]
        specs = DropSpecs(
            key,
            parts=[self.defaults, *cascade(files)],
            warnings=[*warnings, *(warning for file in files for warning in file.warnings)],
            image_path=files[-1].image_path if files else None,
            image_identity=files[-1].image_identity if files else None,
        )
        if not specs.has_rules:
            specs.for_image(Source(bucket=bucket, key=key, etag=""))
        return specs

    def _read_folder_spec(self, bucket: str, folder: str) -> _ParsedSpec:
        try:
            return self.folder_specs[bucket, folder]
        except KeyError:
            found = self._parse_folder_specs(bucket, folder)
        self.folder_specs[bucket, folder] = found
        return found

    def _parse_folder_specs(self, bucket: str, folder: str) -> _ParsedSpec:
        names = [
            name
            for name in self._keys(bucket, folder_spec_prefixes_of(folder))
            if means_folder_spec(name) and "/" not in name[len(folder) :]
        ]
        strays = [name for name in names if kind_by_name(name) is KeyKind.MISNAMED]
        if strays:
            return SpecMisnamed([_misnamed_folder_spec(name) for name in strays])
        texts = {name: self.files.read(bucket, name, MAX_BYTES + 1) for name in names}
        specs = [
            _parse_or_catch(parse_folder_spec, text, name)
            for name, text in texts.items()
            if text is not None
        ]
        if len(specs) > 1:
            what = f"this folder has more than one spec: {' and '.join(names)}"
            faults = [Fault(path=name, message=what, hint="keep one of them") for name in names]
            return FolderSpecAmbiguous(faults)
        return specs[0] if specs else None


def _misnamed_sidecar(name: str, image_key: str) -> Fault:
    return Fault(
        path=name,
        message=f"seems to be the spec of {image_key}, but is not named like one",
        hint=f"name it {right_name(name, image_key)}, or delete it",
    )


def _other_tools(name: str) -> Fault:
    return Fault(
        path=name,
        message="looks like another tool's file and is not used: it has no field of a spec",
        hint="if you have many such files, set SidecarSuffixes to .yaml,.yml "
        "(`--sidecar-suffixes` of local commands)",
        severity=Severity.WARNING,
    )


def _extension_missing(name: str, image_key: str) -> Fault:
    folder, slash, _ = image_key.rpartition("/")
    full = folder + slash + right_name(name, image_key)
    hint = f"the spec of {image_key} must have its full name: {full}"
    return Fault(path=name, message="belongs to no image", hint=hint)


def _misnamed_folder_spec(name: str) -> Fault:
    return Fault(
        path=name,
        message="seems to be the spec of its folder, but is not named like one",
        hint=f"name it {right_name(name, None)}, or delete it",
    )


def _parse_or_catch(parse: Callable[..., SpecFile | None], *arguments: object) -> _ParsedSpec:
    try:
        return parse(*arguments)
    except SpecInvalid as error:
        return error
