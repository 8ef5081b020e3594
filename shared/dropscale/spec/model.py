"""What a spec may say: the vendor's fields, the `generate` workflow's, and dropscale's own.

The JSON Schema and docs/spec.md are made of these models.
"""

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from dropscale import upscaler
from dropscale.upscaler import Mode

MAX_RENDITIONS = 8
"""Bounds what one transaction of the ledger has to take (DynamoDB: 100 rows)."""

_OTHER_NAMES_OF_MODES = upscaler.MODE_BY_ENHANCEMENT | {"pro": Mode.PRESERVE}
_NO_WORDS = {"no", "off", "n"}
_YES_WORDS = {"yes", "on", "y"}
_CONTROL_ALLOWED = "\n\t"
_LONGEST_SHOWN = 60


def wrong(message: str, hint: str) -> PydanticCustomError:
    """Return the error of a value that cannot be: what is wrong with it, and what is allowed."""
    facts = {"message": message, "hint": hint}
    return PydanticCustomError("wrong", "{message}; {hint}", facts)


def closest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that `word` most likely stands for, if any."""
    by_folded = {name.casefold(): name for name in known}
    found = get_close_matches(word.casefold(), by_folded, n=1)
    return by_folded[found[0]] if found else None


def shown(value: object) -> str:
    """Return a value as a message can show it: short, on one line, without a URL's query."""
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    if not isinstance(value, str):
        return str(getattr(value, "text", value)).lower()
    text = value.partition("?")[0] if "://" in value else value
    return repr(text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…")


class _Given:
    """Marks a field that can be left out, but not be null."""

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


def _text(value: object) -> str:
    text = getattr(value, "text", value)
    if not isinstance(text, str):
        raise wrong("must be text", "put it in quotes")
    if any(
        unicodedata.category(character) == "Cc" and character not in _CONTROL_ALLOWED
        for character in text
    ):
        raise wrong("has a control character", "leave it out")
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
    # A bool is an int to Python, and 2.0 is the vendor's own way to write the factor.
    if isinstance(value, int | float) and not isinstance(value, bool):
        if value in upscaler.SCALE_FACTORS:
            return int(value)
    elif isinstance(value, str) and (digit := value.strip(" xX")) in {"2", "4"}:
        raise wrong("must be a number", f"write {digit}")
    raise wrong(f"{shown(value)} is not a scale factor", "allowed are 2 and 4")


def _truth(value: object) -> object:
    if isinstance(value, bool):
        return value
    word = str(value).casefold()
    meant = "false" if word in _NO_WORDS else "true" if word in _YES_WORDS else "true or false"
    raise wrong(f"{shown(value)} is neither true nor false", f"write {meant}")


def _number(value: object, *, whole: bool, least: int) -> int | float:
    kinds = int if whole else int | float
    what = "a whole number" if whole else "a number"
    if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value < 1e9:
        raise wrong(f"{shown(value)} is not {what} from {least}", "write one, below 10⁹")
    return value


def _credits(value: object) -> object:
    return value if value is None else _number(value, whole=True, least=0)


def _pixels(value: object) -> object:
    return value if value is None else _number(value, whole=True, least=1)


def _megapixels(value: object) -> object:
    return value if value is None else float(_number(value, whole=False, least=0))


def _folder_below_results(value: str) -> str:
    folder = value.removesuffix("/")
    parts = folder.split("/")
    if value.startswith("/") or "://" in value or "\\" in value or not value.isprintable():
        fault = "must be a folder below the results"
    elif {"", ".", ".."} & set(parts):
        fault = "cannot have empty, '.' or '..' parts"
    else:
        return str(PurePosixPath(folder))
    raise wrong(fault, "allowed is a path such as 'print/large', without a leading '/'")


def _optional(validate: Callable[[str], str]) -> Callable[[str | None], str | None]:
    return lambda value: None if value is None else validate(value)


_TEXT_SCHEMA = {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "null"}]}

ScaleFactor = Annotated[Literal[2, 4], BeforeValidator(_scale_factor)]

_Scale = Annotated[ScaleFactor | None, _Given()]
_Mode = Annotated[
    Mode | None, BeforeValidator(_choice("a mode", Mode, _OTHER_NAMES_OF_MODES)), _Given()
]
_Enhancement = Annotated[
    Literal["Resemblance", "Balanced", "Creative"] | None,
    BeforeValidator(
        _choice("an enhancement", upscaler.MODE_BY_ENHANCEMENT, {"preserve": "Resemblance"})
    ),
    _Given(),
]
_Truth = Annotated[bool | None, BeforeValidator(_truth), _Given()]
_Text = Annotated[
    str | None,
    BeforeValidator(lambda value: None if value is None else _text(value)),
    WithJsonSchema(_TEXT_SCHEMA),
]
_Folder = Annotated[_Text, AfterValidator(_optional(_folder_below_results))]
_Credits = Annotated[int | None, BeforeValidator(_credits)]
_Pixels = Annotated[int | None, BeforeValidator(_pixels)]
_Megapixels = Annotated[float | None, BeforeValidator(_megapixels)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Assets(_Strict):
    """What to upscale."""

    image_file_path: Annotated[str, BeforeValidator(_text)] = Field(
        examples=["https://example.com/shoe.jpg", "api-assets/id/1234.png", "cat.jpg"]
    )
    """In a spec that stands alone: an https URL that ends in an image's extension, a library URL of
    the vendor's, or an `api-assets/…` path. In a sidecar it can only name the image beside it."""


class Style(_Strict):
    """How to upscale."""

    mode: _Mode = None
    """How far the result may depart from the original."""
    enhancement: _Enhancement = None
    """The API's older name of the same choice; Resemblance is preserve. Give one of the two."""
    prompt: _Text = Field(None, examples=["crisp fur"])
    """What the result should look like; used in the mode creative only."""

    @model_validator(mode="after")
    def _one_name_for_the_choice(self) -> Self:
        if self.mode is not None and self.enhancement is not None:
            raise wrong("mode and enhancement are one choice under two names", "keep mode")
        return self


class SkipIf(_Strict):
    """When an image is large enough already: it is skipped, free, if it reaches all that is set."""

    min_width: _Pixels = Field(None, examples=[3000])
    """In pixels."""
    min_height: _Pixels = Field(None, examples=[2000])
    """In pixels."""
    min_megapixels: _Megapixels = Field(None, examples=[12])
    """In millions of pixels."""


class RenditionSpec(_Strict):
    """One of several upscales of an image: what differs from the rest of the spec."""

    scale_factor: _Scale = None
    """How much larger the result is, in each direction. The vendor's 4 may need a paid plan."""
    style: Annotated[Style | None, _Given()] = None
    """How to upscale."""
    name: _Text = Field(None, examples=["Cat"])
    """What the vendor's library shows; by itself the image's key."""
    download_directory: _Folder = Field(None, examples=["print"])
    """A folder below the results for the output."""
    revision: _Text = Field(None, examples=["2"])
    """Any text. Another one pays for a fresh try."""


class Spec(RenditionSpec):
    """One spec as a person wrote it; every field may be left out.

    `null` undoes what an outer spec says, for fields that can be without a value.
    """

    assets: Annotated[Assets | None, _Given()] = None
    """What to upscale. An image's sidecar and a folder's spec can do without."""
    wait_for_completion: _Truth = None
    """false: pay and end as `submitted`; `dropscale retry` collects the result, free."""
    download_outputs: _Truth = None
    """false: end as `complete`, with the vendor's download URLs in the manifest."""
    max_credits: _Credits = Field(None, examples=[200])
    """Refuse the image if all its renditions together cost more."""
    skip_if: SkipIf | None = None
    """Leave an image alone that is large enough already."""
    renditions: Annotated[list[RenditionSpec] | None, Field(max_length=MAX_RENDITIONS)] = Field(
        None, examples=[[{"style": {"mode": "preserve"}}, {"scale_factor": 4}]]
    )
    """Several upscales of one image: each item merges over the rest of the spec, and is a job and
    an output of its own. `[]`: just the rest."""


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a spec file, for editors."""
    schema = Spec.model_json_schema()
    _drop_defaults(schema)
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return dialect | {"title": "dropscale spec"} | {k: v for k, v in schema.items() if k != "title"}


def _drop_defaults(node: object) -> None:
    """Leaving a field out is not the same as giving it the value null."""
    if isinstance(node, list):
        for child in node:
            _drop_defaults(child)
    elif isinstance(node, dict):
        if node.get("default", ...) is None:
            del node["default"]
        for child in node.values():
            _drop_defaults(child)
