"""The values that fields of a spec can have: what is wrong with others, and their JSON Schemas."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from enum import StrEnum
from functools import partial
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    JsonValue,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from dropscale import upscaler
from dropscale.specs.effective import MetadataChoice, OutputFormat
from dropscale.specs.foreign_syntax import ALLOWED_BLANKS, code_point
from dropscale.specs.output_name import ENDING, PLACEHOLDER, PLACEHOLDERS
from dropscale.upscaler import Mode

MAX_QUALITY = 100
MAX_PATTERN = 200
MAX_PRESETS_TAKEN = 8
MAX_PRESET_NAME = 40
"""In characters."""
MAX_BATCH_NAME = 100
"""In characters."""

MAX_PROMPT = 4000
MAX_LABEL = 200
MAX_IMAGE_PATH = 4000
"""In characters. These limits keep the ledger's rows small (DynamoDB: 400 KB)."""

_OTHER_NAMES_OF_MODES = upscaler.MODE_BY_ENHANCEMENT | {"pro": Mode.PRESERVE}
_OTHER_NAMES_OF_ENHANCEMENTS = {"preserve": "Resemblance", "pro": "Resemblance"}
_TRUTH_BY_WORD = dict.fromkeys(("false", "no", "off", "n", "0"), "false") | dict.fromkeys(
    ("true", "yes", "on", "y", "1"), "true"
)
_CONTROL_ALLOWED = "\n\t"
_LONGEST_SHOWN = 60
_LONGEST_WORD = 30
_LONGEST_FOLDER = 255
"""In bytes: the longest name that file systems allow."""
_MOST = 999_999_999

_URL_SECRETS = re.compile(r"(?<=//)[^/?#]*@|\?.*", re.DOTALL)
_NUMBER_AND_UNIT = re.compile(r"(?!0[xo])(\d[\d_]{0,11}(?:\.\d{1,6})?)\s*[a-zA-Z]*[,;]?")
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:")


def wrong(message: str, hint: str) -> PydanticCustomError:
    """Return the error of an invalid value: what is wrong with it, and what is allowed."""
    facts = {"message": message, "hint": hint}
    return PydanticCustomError("wrong", "{message}; {hint}", facts)


def closest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that `word` most likely means, if any."""
    by_folded = {name.casefold(): name for name in known}
    found = get_close_matches(word[:_LONGEST_WORD].casefold(), by_folded, n=1)
    return by_folded[found[0]] if found else None


def shown(value: object) -> str:
    """Return a value for a message: short, on one line, without a URL's secrets."""
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    if not isinstance(value, str):
        return str(getattr(value, "text", value)).lower()
    text = _URL_SECRETS.sub("", value) if "://" in value else value
    text = text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"
    return f"'{text}'" if text.isprintable() else repr(text)


class Given:
    """Marks a field that can be left out, but cannot be null."""

    def __get_pydantic_core_schema__(
        self, source: type[Any], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._require, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        given: JsonSchemaValue
        (given,) = (kind for kind in handler(schema)["anyOf"] if kind != {"type": "null"})
        return given

    @staticmethod
    def _require(value: object) -> object:
        if value is None:
            raise wrong("has no value", "give one, or leave the line out")
        return value


def _text(value: object, longest: int = 0) -> str:
    text = getattr(value, "text", value)
    if text is None:
        raise wrong("has no value", "give one")
    if not isinstance(text, str):
        raise wrong("must be text", "put it in quotes")
    text = text.replace("\r\n", "\n")
    for character in text:
        if unicodedata.category(character) == "Cc" and character not in _CONTROL_ALLOWED:
            raise wrong(f"has an invisible character, {code_point(character)}", "delete it")
    if longest and len(text) > longest:
        raise wrong(f"has {len(text):,} characters", f"allowed are at most {longest:,}")
    return text


def _choice(what: str, allowed: Iterable[str], others: Mapping[str, str]) -> Callable[..., object]:
    names = list(allowed)

    def validate(value: object) -> object:
        if value in names:
            return value
        meant = None
        if isinstance(value, str):
            meant = others.get(value) or closest(value, [*names, *others])
            meant = others.get(meant or "", meant)
        did_you_mean = f"did you mean {meant}? " if meant else ""
        raise wrong(
            f"{shown(value)} is not {what}", f"{did_you_mean}allowed are {', '.join(names)}"
        )

    return validate


def _scale_factor(value: object) -> object:
    # In Python a bool is an int, and the vendor itself writes 2.0.
    if isinstance(value, int | float) and not isinstance(value, bool):
        if value in upscaler.SCALE_FACTORS:
            return int(value)
    elif isinstance(value, str):
        digit = value.strip(" xX\xd7,;").removesuffix(".0")
        if digit in {"2", "4"}:
            raise wrong("must be a number", f"write {digit}")
    raise wrong(f"{shown(value)} is not a scale factor", "allowed are 2 and 4")


def _truth(value: object) -> object:
    if isinstance(value, bool):
        return value
    meant = _TRUTH_BY_WORD.get(str(value).casefold())
    if meant is None:
        raise wrong(f"{shown(value)} is neither true nor false", "allowed are true and false")
    without_quotes = ", without quotes" if value == meant else ""
    raise wrong("must be true or false", f"write {meant}{without_quotes}")


def _number(what: str, *, above: int, whole: bool = True) -> Callable[[object], object]:
    allowed = f"whole numbers from {above + 1}" if whole else f"numbers above {above}"

    def validate(value: object) -> object:
        if value is None:
            return None
        if isinstance(value, str) and (number := _NUMBER_AND_UNIT.fullmatch(value)):
            raise wrong("must be a number", f"write {number[1].replace('_', '')}")
        if (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and above < value <= _MOST
            and (not whole or value == int(value))
        ):
            return int(value) if whole else float(value)
        hint = f"allowed are {allowed}, up to {_MOST:,}"
        raise wrong(f"{shown(value)} is not a number of {what}", hint)

    return validate


def _quality(value: object) -> object:
    if value is None:
        return None
    if (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and 1 <= value <= MAX_QUALITY
        and value == int(value)
    ):
        return int(value)
    hint = f"allowed are whole numbers from 1 to {MAX_QUALITY}"
    raise wrong(f"{shown(value)} is not a quality", hint)


def _folder_below_results(value: str) -> str:
    folder = value.removesuffix("/")
    hint = "allowed is a path such as 'print/large', without a leading '/'"
    if value.startswith("/") or "\\" in value or _SCHEME.match(value):
        raise wrong("must be a folder below the results", hint)
    if {"", ".", ".."} & set(folder.split("/")):
        raise wrong("cannot have empty, '.' or '..' parts", hint)
    _require_visible(value)
    if len(folder.encode()) > _LONGEST_FOLDER:
        raise wrong(f"is longer than {_LONGEST_FOLDER} bytes", "make it shorter")
    return str(PurePosixPath(folder))


def _batch_name(value: object) -> str:
    name = _text(value, MAX_BATCH_NAME)
    if not name.strip(" .") or set("/\\:") & set(name):
        hint = "allowed is a name such as spring-catalog, without '/', '\\' and ':'"
        raise wrong(f"{shown(name)} cannot be a batch's name", hint)
    _require_visible(name)
    return name


def _require_visible(value: str, blanks: str = ALLOWED_BLANKS) -> None:
    for character in value:
        if not character.isprintable() and character not in blanks:
            raise wrong(f"has an invisible character, {code_point(character)}", "delete it")


def _output_name(text: str) -> str:
    if {"/", "\\"} & set(text):
        hint = "write only the file's name, and the folder in download_directory"
        raise wrong("cannot have a folder", hint)
    allowed = f"allowed are {', '.join(f'{{{name}}}' for name in PLACEHOLDERS)}"
    for name in PLACEHOLDER.findall(text):
        if name not in PLACEHOLDERS:
            meant = closest(name, PLACEHOLDERS)
            did_you_mean = f"did you mean {{{meant}}}? " if meant else ""
            raise wrong(f"{{{name}}} is not a placeholder", did_you_mean + allowed)
    if {"{", "}"} & set(PLACEHOLDER.sub("", text)):
        raise wrong("has a brace that belongs to no placeholder", allowed)
    name = text.removesuffix(ENDING)
    if name == text or ENDING in name:
        hint = f"write {ENDING} once, at the end: it becomes .png, .jpg or what the file's type is"
        raise wrong(f"must have {ENDING} at its end, and only there", hint)
    if not name.strip(" ."):
        raise wrong(f"has no name before {ENDING}", f"write one, such as '{{stem}}_web{ENDING}'")
    _require_visible(text, blanks="")
    return text


def _bytes(value: object) -> object:
    if isinstance(value, str) and _NUMBER_AND_UNIT.fullmatch(value):
        raise wrong("must be a number", "write all bytes out: 5 MB is 5000000")
    return _number("bytes", above=0)(value)


def _pattern(value: object) -> str:
    pattern = _text(value, MAX_PATTERN)
    if not pattern:
        raise wrong("is not a pattern", "give one, such as '*_hero.*'")
    if "/" in pattern:
        hint = "put the rule in the spec of that folder"
        raise wrong("must match a file's name, without its folder", hint)
    return pattern


def _listed(value: object) -> object:
    """Return a single value as a list of one."""
    return value if value is None or isinstance(value, list) else [value]


def _preset_name(value: object) -> str:
    name = _text(value, MAX_PRESET_NAME)
    if not name.strip():
        raise wrong("is not a name", "give the preset a name")
    return name


def _preset_names(value: object) -> object:
    if isinstance(value, dict):
        raise wrong("must be a name", "define the preset in a folder's presets, and name it here")
    return _listed(value if value is None or isinstance(value, list) else _preset_name(value))


def _optional(validate: Callable[[Any], str]) -> Callable[[Any], str | None]:
    return lambda value: None if value is None else validate(value)


class Orientation(StrEnum):
    """The orientation of an upright image."""

    PORTRAIT = "portrait"
    LANDSCAPE = "landscape"
    SQUARE = "square"


_TEXT_SCHEMA: dict[str, JsonValue] = {
    "type": ["string", "number", "null"],
    "pattern": r"^([^\u0000-\u0008\u000b-\u001f\u007f-\u009f]|\r\n)*$",
    "patternErrorMessage": "has an invisible character",
}
_PART = r"(?!\.{1,2}(/|$))[^/\\\u0000-\u001f\u007f-\u00a0\u00ad\u200b-\u200f\u2028-\u202f]+"
_FOLDER_SCHEMA = {
    **_TEXT_SCHEMA,
    "pattern": r"^(?![a-zA-Z][a-zA-Z0-9+.-]*:)"
    rf"(?=.{{1,{_LONGEST_FOLDER}}}/?$)({_PART}/)*{_PART}/?$",
    "patternErrorMessage": "must be a folder below the results, such as 'print/large'",
}
_NAMED = "|".join(name for name in PLACEHOLDERS if f"{{{name}}}" != ENDING)
_NAME_SCHEMA: dict[str, JsonValue] = {
    "type": ["string", "null"],
    "maxLength": MAX_LABEL,
    "pattern": r"^(?![ .]*\{ext\}$)"
    rf"([^{{}}/\\\u0000-\u001f\u007f-\u00a0\u00ad\u200b-\u200f\u2028-\u202f]|\{{({_NAMED})\}})+\{{ext\}}$",
    "patternErrorMessage": "must be a name such as '{stem}_{scale}x{ext}'",
}
"""The YAML language server shows `patternErrorMessage`."""

ScaleFactor = Annotated[Literal[2, 4], BeforeValidator(_scale_factor)]

Scale = Annotated[ScaleFactor | None, Given()]
ModeName = Annotated[
    Mode | None, BeforeValidator(_choice("a mode", Mode, _OTHER_NAMES_OF_MODES)), Given()
]
Enhancement = Annotated[
    Literal["Resemblance", "Balanced", "Creative"] | None,
    BeforeValidator(
        _choice("an enhancement", upscaler.MODE_BY_ENHANCEMENT, _OTHER_NAMES_OF_ENHANCEMENTS)
    ),
    Given(),
]
Format = Annotated[
    OutputFormat | None,
    BeforeValidator(_choice("a format", OutputFormat, {"jpg": OutputFormat.JPEG})),
    Given(),
]
Metadata = Annotated[
    MetadataChoice | None,
    BeforeValidator(_choice("a choice", MetadataChoice, {"none": MetadataChoice.STRIP})),
    Given(),
]
Quality = Annotated[Annotated[int, Field(ge=1, le=MAX_QUALITY)] | None, BeforeValidator(_quality)]
Truth = Annotated[bool | None, BeforeValidator(_truth), Given()]
Prompt = Annotated[
    str | None,
    BeforeValidator(_optional(partial(_text, longest=MAX_PROMPT))),
    WithJsonSchema(_TEXT_SCHEMA | {"maxLength": MAX_PROMPT}),
]
Label = Annotated[
    str | None,
    BeforeValidator(_optional(partial(_text, longest=MAX_LABEL))),
    WithJsonSchema(_TEXT_SCHEMA | {"maxLength": MAX_LABEL}),
]
ImagePath = Annotated[
    str, BeforeValidator(partial(_text, longest=MAX_IMAGE_PATH)), Field(max_length=MAX_IMAGE_PATH)
]
OutputName = Annotated[
    str | None,
    BeforeValidator(_optional(partial(_text, longest=MAX_LABEL))),
    AfterValidator(_optional(_output_name)),
    WithJsonSchema(_NAME_SCHEMA),
]
Folder = Annotated[
    str | None,
    BeforeValidator(_optional(_text)),
    AfterValidator(_optional(_folder_below_results)),
    WithJsonSchema(_FOLDER_SCHEMA),
]
Credits = Annotated[
    Annotated[int, Field(ge=0, le=_MOST)] | None,
    BeforeValidator(_number("credits", above=-1)),
]
Pixels = Annotated[
    Annotated[int, Field(ge=1, le=_MOST)] | None,
    BeforeValidator(_number("pixels", above=0)),
]
Megapixels = Annotated[
    Annotated[float, Field(gt=0, le=_MOST)] | None,
    BeforeValidator(_number("megapixels", above=0, whole=False)),
]


PRESET_NAME_SCHEMA: dict[str, JsonValue] = _TEXT_SCHEMA | {
    "type": ["string", "number"],
    "allOf": [{"pattern": r"\S"}],
    "maxLength": MAX_PRESET_NAME,
}
_PRESET_LIST_SCHEMA = {
    "type": "array",
    "maxItems": MAX_PRESETS_TAKEN,
    "items": PRESET_NAME_SCHEMA,
}
PresetName = Annotated[str, BeforeValidator(_preset_name)]
PresetNames = Annotated[
    Annotated[list[PresetName], Field(max_length=MAX_PRESETS_TAKEN)] | None,
    BeforeValidator(_preset_names),
    Given(),
    WithJsonSchema({"anyOf": [PRESET_NAME_SCHEMA, _PRESET_LIST_SCHEMA]}),
]


BatchName = Annotated[
    str | None,
    BeforeValidator(_optional(_batch_name)),
    WithJsonSchema(
        _TEXT_SCHEMA
        | {
            "pattern": rf"^(?!.*:)(?=.*[^ .]){_PART}$",
            "patternErrorMessage": "must be a name, without '/', '\\' and ':'",
            "maxLength": MAX_BATCH_NAME,
        }
    ),
]

_PATTERN_SCHEMA: dict[str, JsonValue] = _TEXT_SCHEMA | {
    "type": ["string", "number"],
    "pattern": r"^([^/\u0000-\u0008\u000b-\u001f\u007f-\u009f]|\r\n)+$",
    "maxLength": MAX_PATTERN,
}
_TYPE = _choice("a type", upscaler.EXTENSION_BY_TYPE, upscaler.TYPE_BY_EXTENSION)
_TYPE_SCHEMA: dict[str, JsonValue] = {"enum": list(upscaler.EXTENSION_BY_TYPE)}
Patterns = Annotated[
    list[Annotated[str, BeforeValidator(_pattern)]] | None,
    BeforeValidator(_listed),
    Given(),
    WithJsonSchema({"anyOf": [_PATTERN_SCHEMA, {"type": "array", "items": _PATTERN_SCHEMA}]}),
]
Types = Annotated[
    list[Annotated[str, BeforeValidator(_TYPE)]] | None,
    BeforeValidator(_listed),
    Given(),
    WithJsonSchema({"anyOf": [_TYPE_SCHEMA, {"type": "array", "items": _TYPE_SCHEMA}]}),
]
OrientationName = Annotated[
    Orientation | None, BeforeValidator(_choice("an orientation", Orientation, {})), Given()
]
Side = Annotated[Pixels, Given()]
Size = Annotated[Megapixels, Given()]
Bytes = Annotated[Annotated[int, Field(ge=1, le=_MOST)] | None, BeforeValidator(_bytes), Given()]
