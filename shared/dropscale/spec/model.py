"""What a spec may say: the vendor's fields, the `generate` workflow's, and dropscale's own."""

from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    model_validator,
)

from dropscale import upscaler
from dropscale.upscaler import Mode


def _scale_factor(value: object) -> object:
    # A bool is an int to Python, and 2.0 is the vendor's own way to write the factor.
    if isinstance(value, bool) or value not in upscaler.SCALE_FACTORS:
        raise ValueError("must be the number 2 or 4")
    return int(str(value).removesuffix(".0"))


def _enhancement(value: str) -> str:
    if value not in upscaler.MODE_BY_ENHANCEMENT:
        raise ValueError(f"must be one of {', '.join(upscaler.MODE_BY_ENHANCEMENT)}")
    return value


def _result_folder(value: str) -> str:
    inside = not value.startswith("/") and "://" not in value and value.isprintable()
    if not inside or ".." in PurePosixPath(value).parts:
        raise ValueError("must be a folder below the results, without '..' or a leading '/'")
    return value.strip("/")


ScaleFactor = Annotated[Literal[2, 4], BeforeValidator(_scale_factor)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Assets(_Strict):
    """What to upscale; in a sidecar it can only name the image beside it."""

    image_file_path: StrictStr


class Style(_Strict):
    """How to upscale."""

    mode: Mode | None = None
    enhancement: Annotated[StrictStr, AfterValidator(_enhancement)] | None = None
    prompt: StrictStr | None = None

    @model_validator(mode="after")
    def _one_name_for_the_choice(self) -> Self:
        if self.mode is not None and self.enhancement is not None:
            raise ValueError("mode and enhancement are one choice under two names; keep mode")
        return self


class Spec(_Strict):
    """One spec as a person wrote it; every field may be left out."""

    assets: Assets | None = None
    scale_factor: ScaleFactor | None = None
    style: Style | None = None
    name: StrictStr | None = None
    wait_for_completion: StrictBool | None = None
    download_outputs: StrictBool | None = None
    download_directory: Annotated[StrictStr, AfterValidator(_result_folder)] | None = None
    revision: StrictInt | StrictStr | None = None
    max_credits: Annotated[StrictInt, Field(ge=0)] | None = None


class EffectiveSpec(BaseModel):
    """All specs of one image merged: every field has a value, and `provenance` says whose."""

    model_config = ConfigDict(frozen=True)

    scale_factor: int
    mode: Mode
    prompt: str | None = None
    name: str | None = None
    wait_for_completion: bool = True
    download_outputs: bool = True
    download_directory: str | None = None
    revision: int | str | None = None
    max_credits: int | None = None
    provenance: dict[str, str] = Field(default_factory=dict)
