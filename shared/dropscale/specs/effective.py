"""The effective spec: all specs of one drop merged."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from dropscale.upscaler import Mode


class OutputFormat(StrEnum):
    """The file format of an output; `keep`: that of the vendor's result."""

    KEEP = "keep"
    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"
    AVIF = "avif"


class MetadataChoice(StrEnum):
    """Whether an output gets the original's EXIF, XMP and IPTC, or none."""

    KEEP = "keep"
    STRIP = "strip"


class OutputSettings(BaseModel):
    """How an output is written; `quality` is from 1 to 100, None: the format's own.

    `name` has placeholders in a spec; in a rendition it has neither these nor an ending. None: the
    default name.
    """

    model_config = ConfigDict(frozen=True)

    name: str | None = None
    format: OutputFormat = OutputFormat.KEEP
    quality: int | None = None
    metadata: MetadataChoice = MetadataChoice.KEEP


class EffectiveRendition(BaseModel):
    """One requested upscale; `provenance` says where each value comes from."""

    model_config = ConfigDict(frozen=True)

    scale_factor: int
    mode: Mode
    prompt: str | None = None
    name: str | None = None
    download_directory: str | None = None
    output: OutputSettings = OutputSettings()
    revision: str | None = None
    provenance: dict[str, str] = Field(default_factory=dict)

    @property
    def used_prompt(self) -> str | None:
        """The prompt, if the mode uses it."""
        return self.prompt if self.mode is Mode.CREATIVE else None


class SizeLimits(BaseModel):
    """The size from which an image is skipped as large enough. None: not limited."""

    model_config = ConfigDict(frozen=True)

    min_width: int | None = None
    min_height: int | None = None
    min_megapixels: float | None = None

    def reached_by(self, width: int, height: int) -> bool:
        """Whether an image of this size, in pixels, reaches all limits that are set, if any is."""
        sizes = (width, height, width * height / 1e6)
        limits = (self.min_width, self.min_height, self.min_megapixels)
        reached = [size >= limit for size, limit in zip(sizes, limits, strict=True) if limit]
        return bool(reached) and all(reached)

    def __str__(self) -> str:
        return ", ".join(f"{name} {limit:g}" for name, limit in self if limit is not None)


class EffectiveSpec(EffectiveRendition):
    """All specs of one drop merged: every field has a value."""

    preset: tuple[str, ...] = ()
    """The presets that the nearest spec with any uses, by name."""
    wait_for_completion: bool = True
    download_outputs: bool = True
    max_credits: int | None = None
    batch: str | None = None
    """The batch's name after the folder of the spec that names it: `photos/spring-catalog`."""
    skip_if: SizeLimits = SizeLimits()
    renditions: tuple[EffectiveRendition, ...] = ()

    @property
    def wanted_renditions(self) -> tuple[EffectiveRendition, ...]:
        """Every requested upscale; without renditions, the spec itself is the only one."""
        return self.renditions or (self,)
