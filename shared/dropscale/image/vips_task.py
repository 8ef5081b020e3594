"""The tasks of `dropscale.image.vips` for its worker, as JSON; the only answer is a `Comparison`.

They are typed dictionaries, because importing pydantic would more than double the worker's start
(144 to 404 ms of CPU time). The caller, which has pydantic, validates the answers.
"""

from typing import Literal, TypedDict

MetadataKind = Literal["icc", "exif", "xmp", "iptc"]
"""A field of `dropscale.image.metadata.model.Metadata`."""


class InheritedImage(TypedDict):
    """An `ImageFile` for the worker: its inherited descriptor."""

    fileno: int
    type: str
    profile: str | None
    """Base64."""


class CompareTask(TypedDict):
    """See `dropscale.pipeline.parts.ports.Pixels.compare`."""

    task: Literal["compare"]
    max_bytes: int
    result: InheritedImage
    original: InheritedImage | None
    orientation: int
    profile_can_hold: bool


class ConvertTask(TypedDict):
    """See `Conversion`, and `Pixels.convert` among the ports; metadata is in base64."""

    task: Literal["convert"]
    max_bytes: int
    result: InheritedImage
    alpha_of: InheritedImage | None
    target: InheritedImage
    quality: int | None
    orientation: int
    metadata: dict[MetadataKind, str]


Task = CompareTask | ConvertTask
