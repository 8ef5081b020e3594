"""Turns the text of a spec file into a spec, or says everything that is wrong with it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from pydantic import BaseModel, ValidationError

from dropscale.spec.document import Document, FieldPath, dotted, read_document
from dropscale.spec.faults import Fault, SpecInvalid
from dropscale.spec.image_path import WrongPath, is_remote, remote_identity
from dropscale.spec.merge import Layer, layer_of
from dropscale.spec.model import (
    MAX_RENDITIONS,
    Assets,
    RenditionSpec,
    SkipIf,
    Spec,
    Style,
    closest,
    shown,
)

_IMAGE_PATH: FieldPath = ("assets", "image_file_path")
_MODEL_BY_FIELD: Mapping[str, type[BaseModel]] = {
    "assets": Assets,
    "style": Style,
    "skip_if": SkipIf,
}
_TELLING_FIELDS = frozenset(Spec.model_fields) - {"name"}
"""Fields by which a spec is told from a file of another tool's; a name is too common."""

_Rule = Callable[[Document], Iterator[Fault]]


class ImageUnnamed(SpecInvalid):
    """A spec that is no image's sidecar names no image that lies elsewhere."""


@dataclass(frozen=True)
class SpecFile:
    """A spec and its layer.

    `image_path` and `image_identity` are those of the image of a spec that stands alone: what the
    vendor is to be given, and what names the image without a signature.
    """

    spec: Spec
    layer: Layer
    image_path: str | None = None
    image_identity: str | None = None


def parse_sidecar(content: bytes, path: str, image_key: str) -> SpecFile:
    """Parse the spec of the image at `image_key`; `path` names the file in faults.

    Raises:
        SpecInvalid: with every fault of the file at once.
    """
    name = PurePosixPath(image_key).name

    def rule(document: Document) -> Iterator[Fault]:
        image = _image_path(document)
        if image is None:
            return
        if "://" in image:
            message = f"{shown(image)} is not the image beside this spec"
            hint = f"leave it out, or give the spec a name that is not an image's ({name})"
        elif PurePosixPath(image).name != name:
            message, hint = f"{shown(image)} is not the image beside this spec", f"write {name}"
        else:
            return
        yield _fault(document, _IMAGE_PATH, message, hint)

    spec, document = _parse(content, path, rule)
    return SpecFile(spec, layer_of(spec, document))


def parse_folder_spec(content: bytes, path: str) -> SpecFile:
    """Parse the spec of a folder and all below it.

    Raises:
        SpecInvalid: with every fault of the file at once.
    """

    def rule(document: Document) -> Iterator[Fault]:
        if isinstance(document.data, dict) and "assets" in document.data:
            place = document.place_of_name(("assets",))
            message, hint = "a folder's spec is for many images", "leave it out"
            yield Fault.at(path, place, message, hint, "assets")

    spec, document = _parse(content, path, rule)
    return SpecFile(spec, layer_of(spec, document))


def parse_stand_alone(content: bytes, path: str) -> SpecFile | None:
    """Parse a spec that names its image itself; None: the file is not a spec, but another tool's.

    Raises:
        ImageUnnamed: as its name says.
        SpecInvalid: with every fault of the file at once.
    """
    document = read_document(content, path)
    if not any((field,) in document.names for field in _TELLING_FIELDS):
        return None
    image = _image_path(document)
    if not document.faults and (image is None or not is_remote(image)):
        raise ImageUnnamed([_no_image_elsewhere(document, image)])
    spec = _validated(document, _remote_path_rule)
    image_path = spec.assets.image_file_path if spec.assets else ""
    return SpecFile(spec, layer_of(spec, document), image_path, remote_identity(image_path))


def _remote_path_rule(document: Document) -> Iterator[Fault]:
    try:
        remote_identity(_image_path(document) or "")
    except WrongPath as error:
        yield _fault(document, _IMAGE_PATH, error.message, error.hint)


def _no_image_elsewhere(document: Document, image: str | None) -> Fault:
    what = "names no image" if image is None else f"{shown(image)} does not lie elsewhere"
    hint = "give an https URL, a library URL or an api-assets/… path; a spec of the image beside "
    hint += "it bears the image's full name, e.g. cat.jpg.yaml"
    return _fault(document, _IMAGE_PATH, what, hint)


def _parse(content: bytes, path: str, rule: _Rule) -> tuple[Spec, Document]:
    document = read_document(content, path)
    return _validated(document, rule), document


def _validated(document: Document, rule: _Rule) -> Spec:
    if document.faults:
        raise SpecInvalid(document.faults)
    faults: list[Fault] = []
    spec = None
    try:
        spec = Spec.model_validate(document.data)
    except ValidationError as error:
        faults += [_told(fault, document) for fault in error.errors(include_url=False)]
    faults += rule(document)
    if faults or spec is None:
        raise SpecInvalid(sorted(faults, key=lambda fault: (fault.line, fault.column)))
    return spec


def _image_path(document: Document) -> str | None:
    assets = document.data.get("assets") if isinstance(document.data, dict) else None
    image = assets.get("image_file_path") if isinstance(assets, dict) else None
    return image if isinstance(image, str) else None


def _told(error: Any, document: Document) -> Fault:
    """Return pydantic's error as a fault: what it means to a person, and where."""
    path: FieldPath = error["loc"]
    match error["type"]:
        case "wrong":
            return _fault(document, path, **error["ctx"])
        case "extra_forbidden":
            place = document.place_of_name(path)
            hint = _hint_for_name(path)
            return Fault.at(document.path, place, "there is no such field", hint, dotted(path))
        case "missing":
            return _fault(document, path, "is missing", "give a value")
        case "too_long":
            return _fault(document, path, "is too long", f"give at most {MAX_RENDITIONS}")
        case "list_type":
            return _fault(document, path, "must be a list", "begin each item with '- '")
    return _fault(
        document, path, "must be a mapping", f"write 'field: value', with {_known_fields(path)}"
    )


def _fault(document: Document, path: FieldPath, message: str, hint: str) -> Fault:
    place = document.place_of_value(path)
    return Fault.at(document.path, place, message, hint, dotted(path) or None)


def _hint_for_name(path: FieldPath) -> str:
    name, model = str(path[-1]), _model_at(path[:-1])
    if name == "<<":
        return "merge keys are not allowed: write the fields out"
    known = list(model.model_fields)
    if model is RenditionSpec and name in Spec.model_fields:
        return "it is said once, for the whole spec: write it beside renditions"
    elsewhere = [where for where in _all_fields() if where.rpartition(".")[2] == name]
    starts_alike = [field for field in known if field.startswith(name)]
    meant = next(iter([*elsewhere, *starts_alike]), None) or closest(name, known)
    did_you_mean = f"did you mean {meant}? " if meant else ""
    return f"{did_you_mean}allowed are {', '.join(known)}"


def _known_fields(path: FieldPath) -> str:
    return ", ".join(_model_at(path).model_fields)


def _model_at(path: FieldPath) -> type[BaseModel]:
    """Return the model of the mapping at a path."""
    names = [part for part in path if isinstance(part, str)]
    if names and names[-1] in _MODEL_BY_FIELD:
        return _MODEL_BY_FIELD[names[-1]]
    return RenditionSpec if names else Spec


def _all_fields() -> Iterator[str]:
    for field in Spec.model_fields:
        yield field
        if field in _MODEL_BY_FIELD:
            yield from (f"{field}.{name}" for name in _MODEL_BY_FIELD[field].model_fields)
