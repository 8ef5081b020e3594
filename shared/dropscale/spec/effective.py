"""The effective spec: all specs of one drop merged."""

from pydantic import BaseModel, ConfigDict, Field

from dropscale.upscaler import Mode


class EffectiveRendition(BaseModel):
    """One upscale that is wanted; `provenance` says where each value comes from."""

    model_config = ConfigDict(frozen=True)

    scale_factor: int
    mode: Mode
    prompt: str | None = None
    name: str | None = None
    download_directory: str | None = None
    revision: str | None = None
    provenance: dict[str, str] = Field(default_factory=dict)

    @property
    def used_prompt(self) -> str | None:
        """The prompt, if the mode is one that uses it."""
        return self.prompt if self.mode is Mode.CREATIVE else None


class SizeLimits(BaseModel):
    """The size from which an image is large enough already. None: any will do."""

    model_config = ConfigDict(frozen=True)

    min_width: int | None = None
    min_height: int | None = None
    min_megapixels: float | None = None

    def reached_by(self, width: int, height: int) -> bool:
        """Tell whether an image of this size, in pixels, reaches all that is set, if anything."""
        sizes = (width, height, width * height / 1e6)
        limits = (self.min_width, self.min_height, self.min_megapixels)
        reached = [size >= limit for size, limit in zip(sizes, limits, strict=True) if limit]
        return bool(reached) and all(reached)

    def __str__(self) -> str:
        return ", ".join(f"{name} {limit:g}" for name, limit in self if limit is not None)


class EffectiveSpec(EffectiveRendition):
    """All specs of one drop merged: every field has a value."""

    wait_for_completion: bool = True
    download_outputs: bool = True
    max_credits: int | None = None
    skip_if: SizeLimits = SizeLimits()
    renditions: tuple[EffectiveRendition, ...] = ()

    @property
    def wanted(self) -> tuple[EffectiveRendition, ...]:
        """Every upscale that is wanted; without renditions the spec itself is the only one."""
        return self.renditions or (self,)
