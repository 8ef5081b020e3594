"""Turns the text of a spec file into a `Spec`, or says everything that is wrong with it."""

from collections import Counter
from collections.abc import Iterator

import yaml
import yamlcore
from pydantic import ValidationError

from dropscale.errors import DropscaleError
from dropscale.spec.model import Spec

MAX_BYTES = 64 * 1024
_MAX_DEPTH = 16


class SpecInvalid(DropscaleError):
    """A spec file cannot be used; the message names the file, the fields and what is allowed."""


class SidecarAmbiguous(DropscaleError):
    """One image has more than one sidecar."""


def parse_spec(text: bytes, path: str) -> Spec:
    """Parse a YAML 1.2 or JSON spec; `path` names the file in messages.

    Raises:
        SpecInvalid: with every fault of the file at once.
    """
    if len(text) > MAX_BYTES:
        raise _invalid([f"{path}: has {len(text):,} bytes; allowed are {MAX_BYTES:,}"])
    try:
        document = _load(text.decode("utf-8-sig"), path)
        return Spec.model_validate(document)
    except UnicodeDecodeError as error:
        raise _invalid([f"{path}: is not UTF-8 text"]) from error
    except yaml.YAMLError as error:
        raise _invalid([f"{path}: is neither YAML nor JSON: {_one_line(error)}"]) from error
    except ValidationError as error:
        raise _invalid(list(_faults(error, path))) from error


def _invalid(faults: list[str]) -> SpecInvalid:
    return SpecInvalid("; ".join(faults), fix="Correct the file and upload it again.")


def _load(text: str, path: str) -> object:
    _refuse_hostile_structure(text, path)
    loader = yamlcore.CCoreLoader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return {}
        _refuse_repetition(root, path)
        return loader.construct_document(root)
    finally:
        loader.dispose()


def _refuse_hostile_structure(text: str, path: str) -> None:
    """Refuse aliases, whose expansion has no bound, and depth, on which libyaml's composer crashes.

    The stream of events is flat, so reading it is safe at any depth.
    """
    depth = 0
    for event in yaml.parse(text, Loader=yamlcore.CCoreLoader):
        if isinstance(event, yaml.AliasEvent):
            raise _invalid([f"{path}:{_line(event)}: aliases are not allowed; write the value out"])
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH:
            raise _invalid([f"{path}:{_line(event)}: is nested deeper than a spec can be"])


def _refuse_repetition(root: yaml.Node, path: str) -> None:
    pending = [root]
    while pending:
        node = pending.pop()
        if isinstance(node, yaml.SequenceNode):
            pending += node.value
        elif isinstance(node, yaml.MappingNode):
            keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
            if keys.total() < len(node.value):
                raise _invalid([f"{path}:{_line(node)}: a field's name must be plain text"])
            repeated = [key for key, times in keys.items() if times > 1]
            if repeated:
                raise _invalid([f"{path}:{_line(node)}: {', '.join(repeated)}: given twice"])
            pending += [value for _, value in node.value]


def _line(place: yaml.Node | yaml.Event) -> int:
    mark = place.start_mark
    return mark.line + 1 if mark else 1


def _faults(error: ValidationError, path: str) -> Iterator[str]:
    for fault in error.errors(include_url=False):
        field = ".".join(str(part) for part in fault["loc"] if isinstance(part, str))
        what = {
            "extra_forbidden": "is not a field of a spec",
            "model_type": "must be a mapping of fields to values",
        }.get(fault["type"], fault["msg"].removeprefix("Value error, "))
        yield f"{path}: {field or 'the spec'}: {what}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
