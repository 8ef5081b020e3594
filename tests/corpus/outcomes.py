"""The outcome of each file of the corpus: its effective spec, or all its faults.

What a file is follows from its path, as in the input bucket: `cat.jpg.yaml` is the sidecar of an
image, `dropscale.yaml` the spec of its folder and subfolders, anything else stands alone.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from dropscale.ledger.drops import Source
from dropscale.pipeline.parts.spec_resolver import DropSpecs, SpecResolver
from dropscale.specs.faults import SpecInvalid
from dropscale.specs.keys import SPEC_SUFFIXES, KeyKind, image_key_of, kind_of
from dropscale.specs.merge import Layer, merge, stack_defaults
from dropscale.upscaler import Mode

CORPUS = Path(__file__).parent
FOLDERS = (CORPUS / "valid", CORPUS / "invalid")
_PORTRAIT = {"type": "jpeg", "width": 600, "height": 800, "alpha": False, "bytes": 90_000}
"""What each image of the corpus is, for rules."""

_KINDS = (KeyKind.SIDECAR, KeyKind.FOLDER_SPEC, KeyKind.STAND_ALONE)


@dataclass(frozen=True)
class CorpusFile:
    """A spec of the corpus; `key` is what it would have in the input bucket."""

    folder: Path
    key: str

    @property
    def path(self) -> Path:
        return self.folder / self.key

    @property
    def kind(self) -> KeyKind:
        return kind_of(self.key)

    @property
    def expectation(self) -> Path:
        """The file that says what should become of it."""
        return self.path.with_name(f"{self.path.name}.expected")


@dataclass(frozen=True)
class _Folder:
    """A folder of the corpus as the input bucket."""

    root: Path

    def keys(self, bucket: str, prefix: str) -> list[str]:
        return [key for key in _keys_below(self.root) if key.startswith(prefix)]

    def read(self, bucket: str, key: str, limit: int) -> bytes | None:
        path = self.root / key
        return path.read_bytes()[:limit] if path.is_file() else None


@cache  # each file asks for them
def _keys_below(root: Path) -> list[str]:
    keys = (path.relative_to(root).as_posix() for path in root.rglob("*"))
    return [key for key in keys if not key.endswith(".expected")]


def corpus_files() -> list[CorpusFile]:
    """Return every spec of the corpus."""
    return [
        CorpusFile(folder, key)
        for folder in FOLDERS
        for path in sorted(folder.rglob("*"))
        if path.is_file() and kind_of(key := path.relative_to(folder).as_posix()) in _KINDS
    ]


def outcome(file: CorpusFile) -> str:
    """Return what becomes of an image that only this spec, and those of its folders, speak of.

    Raises:
        SpecInvalid: with all faults of these specs.
    """
    defaults = stack_defaults(2, Mode.BALANCED)
    resolver = SpecResolver(_Folder(file.folder), defaults, SPEC_SUFFIXES, sidecar_required=False)
    specs = resolver.resolve_drop("corpus", _drop_of(file))
    return "\n".join([*_lines(specs, _drop_of(file), defaults), ""])


def faults(file: CorpusFile) -> str:
    """Return all that is wrong with a file, empty if nothing is."""
    try:
        outcome(file)
    except SpecInvalid as error:
        return "".join(f"{fault}\n" for fault in error.faults)
    return ""


def _drop_of(file: CorpusFile) -> str:
    if file.kind is KeyKind.FOLDER_SPEC:
        return file.key.replace(Path(file.key).name, "any.jpg")
    return image_key_of(file.key) or file.key


def _lines(specs: DropSpecs | None, key: str, defaults: Layer) -> Iterator[str]:
    if specs is None:
        yield "not a spec"
        return
    source = Source(bucket="corpus", key=key, etag="")
    if specs.image_path:
        yield f"image: {specs.image_path}"
        yield f"named: {specs.image_identity}"
    else:
        source = source.model_copy(update=_PORTRAIT)
    resolved = specs.for_image(source)
    layer = merge(resolved.layers)
    yield from _settings({name: it for name, it in layer.items() if it != defaults.get(name)})
    for warning in resolved.warnings:
        yield f"warning: {warning}"


def _settings(layer: Layer, prefix: str = "") -> Iterator[str]:
    for name, setting in layer.items():
        if name == "preset":
            names = json.dumps([each.value for each in setting.value], ensure_ascii=False)
            yield f"{prefix}{name}: {names}  # {setting.origin}"
        elif name != "renditions":
            value = json.dumps(setting.value, ensure_ascii=False)
            yield f"{prefix}{name}: {value}  # {setting.origin}"
        elif setting.value:
            for index, item in enumerate(setting.value):
                yield f"renditions[{index}]  # {item.origin}"
                yield from _settings(item.value, f"renditions[{index}].")
        else:
            yield f"renditions: []  # {setting.origin}"
