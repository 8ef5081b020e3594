"""The fields of a spec: the vendor's, those of the `generate` workflow, and dropscale's own.

The JSON Schema and docs/spec.md are generated from these models.
"""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from dropscale.specs import values

SCHEMA_FIELD = "$schema"
"""The field in which editors find the schema of a JSON file; it has no effect on an upscale."""

MAX_RENDITIONS = 8
"""Limits the size of one transaction of the ledger (DynamoDB: 100 rows)."""

MAX_RULES = 50


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Assets(_Strict):
    """What to upscale."""

    image_file_path: values.ImagePath = Field(
        examples=["https://example.com/shoe.jpg", "api-assets/id/1234.png", "cat.jpg"],
        description=(
            "In a stand-alone spec: an https URL that ends in an image's extension, one of the "
            "vendor's library URLs, or an `api-assets/…` path. In a sidecar it can only "
            "name the image beside it."
        ),
    )


class Style(_Strict):
    """How to upscale."""

    model_config = ConfigDict(
        json_schema_extra={"dependentSchemas": {"mode": {"properties": {"enhancement": False}}}}
    )

    mode: values.ModeName = Field(
        None, examples=["creative"], description="How far the result may depart from the original."
    )
    enhancement: values.Enhancement = Field(
        None,
        examples=["Creative"],
        description=(
            "The API's older name of `mode`; Resemblance is preserve. Set only one of the two."
        ),
    )
    prompt: values.Prompt = Field(
        None,
        examples=["crisp fur"],
        description="What the result should look like; used in the mode creative only.",
    )


class SkipIf(_Strict):
    """The size from which an image is skipped, free: it must reach all limits that are set."""

    min_width: values.Pixels = Field(
        None,
        examples=[3000],
        description="The width from which an image is large enough, in pixels.",
    )
    min_height: values.Pixels = Field(
        None,
        examples=[2000],
        description="The height from which an image is large enough, in pixels.",
    )
    min_megapixels: values.Megapixels = Field(
        None,
        examples=[12],
        description="The size from which an image is large enough, in millions of pixels.",
    )


class OutputSpec(_Strict):
    """How the result is written. Changes are free: the result is only delivered again."""

    name: values.OutputName = Field(
        None,
        examples=["{stem}_{mode}_{scale}x{ext}"],
        description=(
            "The file's name, with `{ext}` at its end; in it can be `{stem}`, `{scale}`, "
            "`{mode}`, `{preset}`, `{folder}` and `{hash}`. Default: the image's name and `@2x`."
        ),
    )
    format: values.Format = Field(
        None,
        examples=["jpeg"],
        description=(
            "The file format; `keep`: that of the vendor's result, often png. A photo "
            "is four to five times as large in png as in jpeg."
        ),
    )
    quality: values.Quality = Field(
        None,
        examples=[90],
        description=("From 1 to 100, for jpeg, webp and avif. Default: jpeg 92, webp 90, avif 75."),
    )
    metadata: values.Metadata = Field(
        None,
        examples=["strip"],
        description=(
            "`keep`: the original's EXIF, XMP and IPTC; `strip`: none. A colour profile is always"
            " kept."
        ),
    )


class RenditionSpec(_Strict):
    """One of several outputs of an image: the fields that differ from the rest of the spec."""

    scale_factor: values.Scale = Field(
        None,
        examples=[4],
        description=("How much larger the result is, in each direction. 4 may need a paid plan."),
    )
    style: Annotated[Style | None, values.Given()] = Field(None, description="How to upscale.")
    name: values.Label = Field(
        None,
        examples=["Cat"],
        description="The name in the vendor's library; by default the image's key.",
    )
    download_directory: values.Folder = Field(
        None,
        examples=["print"],
        description="A folder in the results for the output, such as `print/large`.",
    )
    output: Annotated[OutputSpec | None, values.Given()] = Field(
        None, description="How the result is written."
    )
    revision: values.Label = Field(
        None, examples=["2"], description="Any text. A different text pays for a new attempt."
    )


class UpscaleSpec(RenditionSpec):
    """All fields of an upscale that specs, presets and rules can set."""

    preset: values.PresetNames = Field(
        None,
        examples=["web", ["web", "large"]],
        description="The presets to use, by name. Later ones override earlier ones.",
    )
    wait_for_completion: values.Truth = Field(
        None,
        examples=[False],
        description=(
            "false: pay and end as `submitted`; `dropscale retry` collects the result, free."
        ),
    )
    download_outputs: values.Truth = Field(
        None,
        examples=[False],
        description="false: end as `complete`, with the vendor's download URLs in the manifest.",
    )
    skip_if: SkipIf | None = Field(None, description="Skip an image that is large enough.")
    renditions: Annotated[list[RenditionSpec] | None, Field(max_length=MAX_RENDITIONS)] = Field(
        None,
        examples=[[{"style": {"mode": "preserve"}}, {"scale_factor": 4}]],
        description=(
            "Several outputs of one image: each item is merged over the rest of the spec. Those "
            "that differ only in `output` share one upscale. `[]`: only the rest."
        ),
    )


class PresetSpec(UpscaleSpec):
    """The fields that a preset can set."""

    max_credits: values.Credits = Field(
        None,
        examples=[200],
        description="Refuse the image if all its renditions together cost more.",
    )


class Condition(_Strict):
    """The images to which a rule applies: those that meet all given conditions."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    name: values.Patterns = Field(
        None,
        examples=["*_hero.*"],
        description=(
            "The file's name, without its folder; `*` matches any characters, `?` any one, and "
            "case is ignored. One pattern, or a list of which one must match."
        ),
    )
    type: values.Types = Field(
        None, examples=["png"], description="The image's type, by its content; or a list of types."
    )
    orientation: values.OrientationName = Field(
        None, examples=["portrait"], description="The orientation of the image as you see it."
    )
    alpha: values.Truth = Field(
        None, examples=[True], description="Whether the image can have transparent parts."
    )
    min_width: values.Side = Field(
        None, examples=[2000], description="At least this width, in pixels."
    )
    below_width: values.Side = Field(
        None, examples=[2000], description="Less than this width, in pixels."
    )
    min_height: values.Side = Field(
        None, examples=[2000], description="At least this height, in pixels."
    )
    below_height: values.Side = Field(
        None, examples=[2000], description="Less than this height, in pixels."
    )
    min_megapixels: values.Size = Field(
        None, examples=[12], description="At least this size, in millions of pixels."
    )
    below_megapixels: values.Size = Field(
        None, examples=[1], description="Less than this size, in millions of pixels."
    )
    min_bytes: values.Bytes = Field(
        None, examples=[5000000], description="A file of at least this many bytes."
    )
    below_bytes: values.Bytes = Field(
        None, examples=[5000000], description="A file of fewer bytes than this."
    )

    @model_validator(mode="after")
    def _require_possible(self) -> Self:
        if not self.model_fields_set:
            raise values.wrong("has no condition", "give one, such as orientation: portrait")
        for what in ("width", "height", "megapixels", "bytes"):
            least, below = getattr(self, f"min_{what}"), getattr(self, f"below_{what}")
            if least is not None and below is not None and least >= below:
                hint = f"let min_{what} be less than below_{what}"
                raise values.wrong(f"cannot be true: no {what} fits", hint)
        return self


class RuleSpec(UpscaleSpec):
    """A rule: what to set for the images to which it applies."""

    condition: Condition = Field(alias="if")


class Spec(PresetSpec):
    """One spec as written; every field may be left out.

    For fields that can be empty, `null` removes the value of an outer spec.
    """

    assets: Annotated[Assets | None, values.Given()] = Field(
        None, description="What to upscale. Sidecars and folder specs do not need it."
    )
    presets: Annotated[dict[values.PresetName, PresetSpec] | None, values.Given()] = Field(
        None,
        examples=[{"web": {"output": {"format": "webp", "quality": 80}}}],
        description=(
            "Named groups of fields, which specs use by `preset`. In a folder's spec only."
        ),
        json_schema_extra={"propertyNames": {**values.PRESET_NAME_SCHEMA, "type": "string"}},
    )
    rules: Annotated[
        Annotated[list[RuleSpec], Field(max_length=MAX_RULES)] | None, values.Given()
    ] = Field(
        None,
        examples=[[{"if": {"below_megapixels": 1}, "scale_factor": 4}]],
        description=(
            "Fields to set for some images: those that meet the conditions under `if`. "
            "Later rules override earlier ones. In a folder's spec only."
        ),
    )
    batch: values.BatchName = Field(
        None,
        examples=["spring-catalog"],
        description=(
            "A name for the images of this folder and below: once all are done, a report and an "
            "event tell. In a folder's spec only."
        ),
    )


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a spec file, for editors."""
    schema = Spec.model_json_schema()
    _simplify(schema)
    schema["properties"][SCHEMA_FIELD] = {
        "type": "string",
        "description": "The location of this schema, for editors of JSON files.",
    }
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return dialect | {"title": "dropscale spec"} | {k: v for k, v in schema.items() if k != "title"}


def _simplify(node: object) -> None:
    """Remove repetitions that editors would show, and defaults: left out does not mean null."""
    if isinstance(node, list):
        for child in node:
            _simplify(child)
    elif isinstance(node, dict):
        if node.get("default", ...) is None:
            del node["default"]
        if "enum" in node:
            node.pop("type", None)
        match node.get("anyOf"):
            case [{"type": str(kind)} as given, {"type": "null"}]:
                del node["anyOf"]
                node.update(given, type=[kind, "null"])
        for child in node.values():
            _simplify(child)
