"""Parses a spec file, or reports everything that is wrong with it."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from pydantic import BaseModel, ValidationError

from dropscale.specs.document import (
    Document,
    FieldPath,
    format_path,
    place_after,
    read_document,
)
from dropscale.specs.faults import Fault, Severity, SpecInvalid
from dropscale.specs.foreign_syntax import find_foreign_syntax, odd_character
from dropscale.specs.image_path import WrongPath, is_remote, remote_identity
from dropscale.specs.merge import Layer, Origin, layer_of
from dropscale.specs.model import (
    SCHEMA_FIELD,
    Assets,
    Condition,
    OutputSpec,
    PresetSpec,
    RenditionSpec,
    RuleSpec,
    SkipIf,
    Spec,
    Style,
)
from dropscale.specs.values import closest, shown

_IMAGE_PATH: FieldPath = ("assets", "image_file_path")
_MODEL_BY_FIELD: Mapping[str, type[BaseModel]] = {
    "if": Condition,
    "assets": Assets,
    "style": Style,
    "skip_if": SkipIf,
    "output": OutputSpec,
}
_FIELDS = {
    SCHEMA_FIELD,
    *Spec.model_fields,
    *(name for model in _MODEL_BY_FIELD.values() for name in model.model_fields),
}
_TEXTS = {"prompt", "name", "download_directory", "revision"}
_LISTS = {"renditions", "rules"}
_ITEM_BY_HOLDER = {"presets": "preset", "rules": "rule", "renditions": "rendition"}
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_LONGEST_WORD = 40
"""In a longer value, unusual characters may be intended."""
_SHORTEST_BEGINNING = 3
_OF_FOLDERS = frozenset({"presets", "rules", "batch"})
_OF_DROPS = set(Spec.model_fields) - _OF_FOLDERS
_MARKS = _OF_DROPS - {"name", "revision", "preset"}
"""Fields that are not known from other tools' files."""

_Rule = Callable[[Document], Iterator[Fault]]


class ImageUnnamed(SpecInvalid):
    """A stand-alone spec does not name an image stored elsewhere."""


class ImageUnread(SpecInvalid):
    """The same, in a spec that is only readable up to a fault: the rest may name an image."""


@dataclass(frozen=True)
class Rule:
    """A layer for the images to which a condition applies; `origin` is the condition's."""

    condition: Condition
    origin: Origin
    layer: Layer


@dataclass(frozen=True)
class SpecFile:
    """A spec and its layer.

    `image_path` and `image_identity` are those of a stand-alone spec's image: the path for the
    vendor, and the same without a signature. `warnings` are about text that does not mean what it
    seems to. Folder specs have `presets`, by name, and `rules`.
    """

    spec: Spec
    layer: Layer
    image_path: str | None = None
    image_identity: str | None = None
    warnings: Sequence[Fault] = ()
    presets: Mapping[str, Layer] = field(default_factory=dict)
    rules: Sequence[Rule] = ()


def parse_sidecar(content: bytes, path: str, image_key: str) -> SpecFile:
    """Parse the spec of the image at `image_key`; `path` names the file in faults.

    Raises:
        SpecInvalid: has every fault of the file.
    """
    name = PurePosixPath(image_key).name

    def rule(document: Document) -> Iterator[Fault]:
        yield from _fields_of_folders(document)
        image = _image_path(document)
        if image is None or (
            "://" not in image and image.replace("\\", "/").rpartition("/")[2] == name
        ):
            return
        hint = f"write {name}, or leave it out"
        if "://" in image:
            hint = f"leave it out, or give the spec a name that is not an image's ({name})"
        message = f"{shown(image)} is not the image beside this spec"
        yield _fault(document, _IMAGE_PATH, message, hint)

    document = read_document(content, path)
    spec = _validate(document, rule)
    return SpecFile(spec, layer_of(spec, document), warnings=[*_cuts(document)])


def parse_folder_spec(content: bytes, path: str) -> SpecFile:
    """Parse the spec of a folder and all below it.

    Raises:
        SpecInvalid: has every fault of the file.
    """

    def rule(document: Document) -> Iterator[Fault]:
        if "assets" in fields:
            place = document.place_of_name(("assets",))
            message, hint = "a folder's spec is for many images", "leave it out"
            yield Fault.at(path, place, message, hint, "assets")

    document = read_document(content, path)
    fields = document.data if isinstance(document.data, dict) else {}
    if fields:  # Whatever assets contain, they are not allowed.
        rest = {name: value for name, value in fields.items() if name != "assets"}
        document = replace(document, data=rest)
    spec = _validate(document, rule)
    presets = {
        name: layer_of(preset, document, ("presets", name))
        for name, preset in (spec.presets or {}).items()
    }
    rules = [_rule(rule, document, index) for index, rule in enumerate(spec.rules or ())]
    layer, warnings = layer_of(spec, document), [*_cuts(document)]
    return SpecFile(spec, layer, warnings=warnings, presets=presets, rules=rules)


def _rule(rule: RuleSpec, document: Document, index: int) -> Rule:
    path: FieldPath = ("rules", index)
    origin = Origin(document.path, document.place_of_value((*path, "if")), format_path(path))
    return Rule(rule.condition, origin, layer_of(rule, document, path))


def parse_stand_alone(content: bytes, path: str) -> SpecFile | None:
    """Parse a spec that names its image itself; None: the file is not a spec, but another tool's.

    Raises:
        ImageUnnamed, ImageUnread: it does not name an image stored elsewhere.
        SpecInvalid: has every fault of the file.
    """
    document = read_document(content, path)
    image = _image_path(document)
    if not _is_spec(document) and (image is None or not is_remote(image)):
        return None
    try:
        spec = _validate(document, _stand_alone_rule)
    except SpecInvalid as error:
        if image is None or not is_remote(image):
            raise (ImageUnnamed if document.is_whole else ImageUnread)(error.faults) from None
        raise
    image_path = spec.assets.image_file_path if spec.assets else ""
    layer, warnings = layer_of(spec, document), [*_cuts(document)]
    return SpecFile(spec, layer, image_path, remote_identity(image_path), warnings)


def is_other_tools(content: bytes, path: str) -> bool:
    """Whether a JSON file is another tool's: an object without a field that only specs have.

    Google Takeout, for instance, leaves `cat.jpg.json` beside each image.
    """
    if not path.lower().endswith(".json"):
        return False
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):  # The parser of specs reports what is wrong.
        return False
    names = {_in_snake_case(name) for name in data} if isinstance(data, dict) else _MARKS
    names -= {SCHEMA_FIELD}
    return not names & _MARKS and not names <= set(Spec.model_fields)


def _in_snake_case(name: str) -> str:
    return _HUMP.sub("_", name.strip()).replace("-", "_").replace(" ", "_").lower()


def _is_spec(document: Document) -> bool:
    """Whether most fields are a spec's: package.json, for example, has `style`, too."""
    names = {_in_snake_case(str(path[0])) for path in document.names if len(path) == 1} - {"name"}
    known = names & _OF_DROPS
    return bool(known) and 2 * len(known) >= len(names)


def _fields_of_folders(document: Document) -> Iterator[Fault]:
    for name in _OF_FOLDERS & set(document.data if isinstance(document.data, dict) else ()):
        place = document.place_of_name((name,))
        message = "can only be in a folder's spec"
        hint = "write it in the dropscale.yaml of this folder or of one further out"
        yield Fault.at(document.path, place, message, hint, name)


def _stand_alone_rule(document: Document) -> Iterator[Fault]:
    yield from _fields_of_folders(document)
    image = _image_path(document)
    elsewhere = "an https URL, a library URL or an api-assets/… path"
    if image is None:
        if not {("assets",), ("image_file_path",)} & set(document.names):
            hint = f"give {elsewhere}; the spec of an image beside it has the image's full name, "
            yield _fault(document, _IMAGE_PATH, "is missing", hint + "e.g. cat.jpg.yaml")
    elif not is_remote(image):
        name = PurePosixPath(image).name
        hint = f"allowed is {elsewhere}; the spec of an image beside it is named {name}.yaml"
        yield _fault(document, _IMAGE_PATH, f"{shown(image)} is not stored elsewhere", hint)
    else:
        try:
            remote_identity(image)
        except WrongPath as error:
            yield _fault(document, _IMAGE_PATH, error.message, error.hint)


def _validate(document: Document, rule: _Rule) -> Spec:
    """Return a document as a spec.

    Raises:
        SpecInvalid: has all faults, but only the first for each field and place: it is the cause.
    """
    if not document.is_whole:
        raise SpecInvalid(_foreign(document) or document.faults)
    faults = [*document.faults, *_two_names_for_the_mode(document.data, document)]
    faults += _fault_of_schema(document)
    spec = None
    try:
        spec = Spec.model_validate(_without_schema(document.data))
    except ValidationError as error:
        faults += _faults_of(error, document)
    faults += rule(document)
    if faults or spec is None:
        if foreign := _foreign(document):
            raise SpecInvalid(foreign)
        first: dict[tuple[object, ...], Fault] = {}
        for fault in faults:
            first.setdefault((fault.line, fault.column, fault.field), fault)
        raise SpecInvalid(sorted(first.values(), key=lambda fault: (fault.line, fault.column)))
    return spec


def _foreign(document: Document) -> Sequence[Fault]:
    """Return faults about syntax of another format, which is the cause of all others."""
    found = find_foreign_syntax(document.text, _FIELDS)
    if found is None:
        return ()
    index, message, hint = found
    return [Fault.at(document.path, place_after(document.text[:index]), message, hint)]


def _cuts(document: Document) -> Iterator[Fault]:
    for path, cut in document.cuts.items():
        if path and path[-1] in _TEXTS:
            what = f"YAML takes {shown(cut)} for a comment, and leaves it out"
            yield Fault.at(
                document.path,
                document.place_of_value(path),
                what,
                "put text that contains ' #' in quotes",
                format_path(path),
                Severity.WARNING,
            )


def _two_names_for_the_mode(
    data: object, document: Document, path: FieldPath = ()
) -> Iterator[Fault]:
    for name, value in data.items() if isinstance(data, dict) else ():
        if name in _LISTS and isinstance(value, list):
            for index, item in enumerate(value):
                yield from _two_names_for_the_mode(item, document, (*path, name, index))
        elif name == "presets" and isinstance(value, dict) and not path:
            for preset, item in value.items():
                yield from _two_names_for_the_mode(item, document, (name, preset))
        elif (
            name == "style"
            and isinstance(value, dict)
            and "enhancement" in value
            and value.get("mode") is not None
        ):
            field: FieldPath = (*path, name, "enhancement")
            message = "is an older name of mode, which is given, too"
            yield _fault(document, field, message, "keep mode")


def _without_schema(data: object) -> object:
    """Leave out the field that names the schema for editors of JSON files."""
    if not isinstance(data, dict):
        return data
    return {name: value for name, value in data.items() if name != SCHEMA_FIELD}


def _fault_of_schema(document: Document) -> Iterator[Fault]:
    data = document.data
    if isinstance(data, dict) and not isinstance(data.get(SCHEMA_FIELD, ""), str):
        yield _fault(document, (SCHEMA_FIELD,), "must be text", "give the schema's path or URL")


def _image_path(document: Document) -> str | None:
    assets = document.data.get("assets") if isinstance(document.data, dict) else None
    image = assets.get("image_file_path") if isinstance(assets, dict) else None
    text = getattr(image, "text", image)
    return text if isinstance(text, str) else None


def _faults_of(error: ValidationError, document: Document) -> Iterator[Fault]:
    errors = error.errors(include_url=False)
    misnamed = {fault["loc"][:-1] for fault in errors if fault["type"] == "extra_forbidden"}
    for fault in errors:
        if fault["type"] != "missing" or fault["loc"][:-1] not in misnamed:
            yield _fault_of_error(fault, document)


def _fault_of_error(error: Any, document: Document) -> Fault:
    """Return pydantic's error as a fault with its place, in words for people."""
    path: FieldPath = error["loc"]
    match error["type"]:
        case "wrong":
            told = _exact(error["ctx"], error["input"])
            if path[-1:] != ("[key]",):
                return _fault(document, path, **told)
            place, name = document.place_of_name(path[:-1]), format_path(path[:-1])
            return Fault.at(document.path, place, told["message"], told["hint"], name)
        case "extra_forbidden":
            place = document.place_of_name(path)
            message, hint = _misplaced(path) or ("there is no such field", _hint_for_name(path))
            name, known = str(path[-1]).lstrip(), _fields_at(path[:-1])
            if (odd := odd_character(name)) and closest(name, known):
                message, hint = odd
            if path[-1] == "<<":
                message, hint = "merge keys (<<) are not allowed", "write the fields out"
            return Fault.at(document.path, place, message, hint, format_path(path))
        case "missing":
            return _fault(document, path, "is missing", "give one")
        case "too_long":
            hint = f"allowed are at most {error['ctx']['max_length']} items"
            return _fault(document, path, "is too long", hint)
        case "list_type":
            return _fault(document, path, "must be a list", "begin each item with '- '")
    if not path:
        hint = "write 'field: value', with a space after the ':'"
        return _fault(document, path, "the file must be a mapping", hint)
    fields = ", ".join(_fields_at(path))
    if path == ("presets",):
        fields = "each preset's name, and below that its fields"
    return _fault(document, path, "must be a mapping", f"write its fields below it: {fields}")


def _fault(document: Document, path: FieldPath, message: str, hint: str) -> Fault:
    place = document.place_of_value(path)
    return Fault.at(document.path, place, message, hint, format_path(path) or None)


def _exact(told: Mapping[str, str], value: object) -> Mapping[str, str]:
    """Return what is wrong with a value, or with a single character of it."""
    text = value.strip(" \t\n") if isinstance(value, str) else ""
    odd = odd_character(text) if len(text) <= _LONGEST_WORD else None
    return {"message": f"{shown(value)} {odd[0]}", "hint": odd[1]} if odd else told


def _misplaced(path: FieldPath) -> tuple[str, str] | None:
    """Return what is wrong with a field that belongs further out, and where; None: it does not."""
    for depth in range(len(path) - 2, -1, -1):
        outer, inner = path[:depth], path[depth]
        is_mapping_of_fields = isinstance(inner, str) and outer != ("presets",)
        if not is_mapping_of_fields or path[-1] not in _fields_at(outer):
            continue
        item = _ITEM_BY_HOLDER.get(str(inner))
        message = f"cannot be set by a {item}" if item else "there is no such field"
        return message, f"write it beside {inner}"
    return None


def _hint_for_name(path: FieldPath) -> str:
    name, known = str(path[-1]), _fields_at(path[:-1])
    if name != name.lstrip():
        return "indent with plain spaces, and with nothing else"
    name = _in_snake_case(name)
    if name in known:
        return f"write {name}"
    for outer, model in _MODEL_BY_FIELD.items():
        bare = name.removeprefix(f"{outer}.").removeprefix(f"{outer}_")
        if bare in model.model_fields and (outer != "if" or path[0] == "rules"):
            return f"write {bare} below {outer}"
    if len(known) == 1:
        return f"allowed is {', '.join(known)}"
    meant = closest(name, known)
    if len(name) >= _SHORTEST_BEGINNING:
        meant = next((field for field in known if field.startswith(name)), meant)
    did_you_mean = f"did you mean {meant}? " if meant else ""
    return f"{did_you_mean}allowed are {', '.join(known)}"


def _fields_at(path: FieldPath) -> Sequence[str]:
    """Return the names of the fields of the mapping at a path, as written in specs."""
    return [info.alias or name for name, info in _model_at(path).model_fields.items()]


def _model_at(path: FieldPath) -> type[BaseModel]:
    """Return the model of the mapping at a path."""
    model: type[BaseModel] = Spec
    if path[:1] == ("presets",):
        model, path = PresetSpec, path[2:]
    elif path[:1] == ("rules",):
        model, path = RuleSpec, path[2:]
    names = [part for part in path if isinstance(part, str)]
    if names and names[-1] in _MODEL_BY_FIELD:
        return _MODEL_BY_FIELD[names[-1]]
    return RenditionSpec if names else model
