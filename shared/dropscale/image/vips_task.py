"""What `dropscale.image.vips` asks of its worker, as JSON; a `Comparison` is the one answer.

Typed dictionaries, which cost the worker nothing: importing pydantic would more than double its
start (144 to 404 ms of CPU time). The side that has it checks what a decoder of strangers' files
answers.
"""

from typing import Literal, TypedDict

MetadataKind = Literal["icc", "exif", "xmp", "iptc"]
"""A field of `dropscale.image.metadata.model.Metadata`."""


class InheritedImage(TypedDict):
    """An `ImageFile`, as the worker gets it: by its inherited descriptor."""

    fileno: int
    type: str
    profile: str | None
    """In base64."""


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
