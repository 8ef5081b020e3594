"""Models of the vendor's requests and answers.

Source: the vendor's public API reference, version "beta", mid 2026
(https://docs.magichour.ai/api-reference), and its Python SDK 0.90. Unknown fields of a request are
ignored, as by the vendor.
"""

import re
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self
from urllib.parse import parse_qs, urlsplit

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    Field,
    StrictFloat,
    ValidationInfo,
)
from pydantic_core import PydanticCustomError

from dropscale.upscaler import (
    MODE_BY_ENHANCEMENT,
    SCALE_FACTORS,
    TYPE_BY_EXTENSION,
    Mode,
)
from dropscale_embedded.api.projects import Project, Tier, UpscaleParams

_UPLOAD_PATH = re.compile(r"api-assets/[\w-]+/[\w-]+\.[a-z0-9]+")
_LIBRARY_HOST_AND_PATH = ("magichour.ai", "/my-library")

_VIDEO = ("mp4", "m4v", "mov", "webm")
_AUDIO = ("mp3", "wav", "aac", "flac", "webm", "weba", "m4a", "opus", "ogg", "oga", "aiff", "amr")
_EXTENSIONS = {"image": tuple(TYPE_BY_EXTENSION), "video": _VIDEO, "audio": _AUDIO}
"""The extensions of files that may be uploaded, by type."""

WRONG_EXTENSION = "wrong_extension"
"""The type of fault that is answered with 422; others are answered with 400."""


def _extension(value: str, info: ValidationInfo) -> str:
    allowed = _EXTENSIONS.get(info.data.get("type", ""), (value,))
    if value not in allowed:
        raise PydanticCustomError(
            WRONG_EXTENSION,
            "must be one of {allowed}, in lower case, no dot",
            {"allowed": ", ".join(allowed)},
        )
    return value


def _image_file_path(value: str) -> str:
    if _UPLOAD_PATH.fullmatch(value):
        return value
    url = urlsplit(value)  # raises ValueError itself for a malformed host
    if url.scheme in ("http", "https") and url.hostname:
        if (url.hostname, url.path) == _LIBRARY_HOST_AND_PATH and "imageId" in parse_qs(url.query):
            return value
        if PurePosixPath(url.path).suffix.removeprefix(".").lower() in TYPE_BY_EXTENSION:
            return value
    raise ValueError(
        "must be a file_path from /v1/files/upload-urls, an http(s) URL whose path ends in a"
        " supported extension, or a library URL"
    )


def _scale_factor(value: float) -> float:
    if value not in SCALE_FACTORS:
        raise ValueError("must be 2 or 4")
    return value


def _mode_alias(value: object) -> object:
    return Mode.PRESERVE if value == "pro" else value


class UploadItem(BaseModel):
    """A file to upload. Only images can be used afterwards."""

    type: Literal["image", "video", "audio"]
    extension: Annotated[str, AfterValidator(_extension)]


class UploadUrlsRequest(BaseModel):
    """`POST /v1/files/upload-urls`."""

    items: list[UploadItem] = Field(min_length=1)


class Assets(BaseModel):
    """The image to upscale."""

    image_file_path: Annotated[str, AfterValidator(_image_file_path)]


class Style(BaseModel):
    """How to upscale; `enhancement` is the older name of `mode`, `pro` that of `preserve`."""

    mode: Annotated[Mode | None, BeforeValidator(_mode_alias)] = None
    enhancement: Literal["Resemblance", "Balanced", "Creative"] | None = None
    prompt: str | None = None


class CreateRequest(BaseModel):
    """`POST /v1/ai-image-upscaler`."""

    assets: Assets
    scale_factor: Annotated[StrictFloat, AfterValidator(_scale_factor)]
    style: Style | None = None
    name: str | None = None

    def params(self) -> UpscaleParams:
        """Return the requested upscale, with older names and defaults resolved."""
        style = self.style or Style()
        mode = style.mode or MODE_BY_ENHANCEMENT.get(style.enhancement or "", Mode.BALANCED)
        return UpscaleParams(
            scale_factor=int(self.scale_factor),
            mode=mode,
            prompt=style.prompt if mode is Mode.CREATIVE else None,
        )


class UploadUrl(BaseModel):
    """The URL to upload one file to, and the path to name it by afterwards."""

    upload_url: str
    expires_at: AwareDatetime
    file_path: str


class UploadUrlsAnswer(BaseModel):
    """The upload URLs, in the order of the request's items."""

    items: list[UploadUrl]


class CreateAnswer(BaseModel):
    """The id of a paid project; `frame_cost` is a deprecated alias of the credits."""

    id: str
    credits_charged: int
    frame_cost: int


class Download(BaseModel):
    """An output's URL, and when it expires."""

    url: str
    expires_at: AwareDatetime


class ErrorAnswer(BaseModel):
    """Why a project failed."""

    code: str
    message: str


class ProjectAnswer(BaseModel):
    """`GET /v1/image-projects/{id}`; `total_frame_cost` is a deprecated alias of the credits."""

    id: str
    name: str
    status: str
    type: Literal["IMAGE_UPSCALER"] = "IMAGE_UPSCALER"
    image_count: int = 1
    created_at: AwareDatetime
    enabled: bool = True
    credits_charged: int
    total_frame_cost: int
    downloads: list[Download]
    error: ErrorAnswer | None

    @classmethod
    def of(cls, project: Project, downloads: list[Download]) -> Self:
        """Return the answer for a project."""
        error = project.error
        return cls(
            id=project.id,
            name=project.name,
            status=project.status,
            created_at=project.created_at,
            credits_charged=project.credits_charged,
            total_frame_cost=project.credits_charged,
            downloads=downloads,
            error=error and ErrorAnswer(code=error.code, message=error.message),
        )


class Price(BaseModel):
    """A subscription's price, in the smallest unit of the currency. Nothing is charged here."""

    amount: int = 0
    currency: str = "usd"


class Subscription(BaseModel):
    """The plan of an account, if it has one; it never renews."""

    status: Literal["active"] = "active"
    name: str
    billing_interval: Literal["month"] = "month"
    cancel_at_period_end: bool = False
    current_period_end: None = None
    price: Price = Price()
    discount: None = None


class AccountAnswer(BaseModel):
    """`GET /v1/account`."""

    id: str = "embedded"
    email: str = "embedded@localhost"
    credits: int
    tier: Tier
    subscription: Subscription | None

    @classmethod
    def of(cls, tier: Tier, credits_left: int) -> Self:
        """Return the answer for an account; a free one has no subscription."""
        subscription = None if tier is Tier.FREE else Subscription(name=tier.capitalize())
        return cls(credits=credits_left, tier=tier, subscription=subscription)
