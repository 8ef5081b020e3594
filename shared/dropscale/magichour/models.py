"""The API's answers, with the vendor's field names.

Unknown fields are kept and fields that newer answers may leave out are optional, so that an
addition or a retirement at the vendor never costs a result that is paid for. URLs are signed and
therefore left out of every repr.

Source: https://docs.magichour.ai/api-reference and the vendor's Python SDK 0.90.
"""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from dropscale.upscaler import ProjectStatus


class _Answer(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)


class _Rare(_Answer):
    model_config = ConfigDict(defer_build=True)  # no function of the stack asks for these


class UploadUrl(_Answer):
    """Where to PUT one file, and the path to name it by afterwards."""

    upload_url: str = Field(repr=False)
    file_path: str
    expires_at: str | None = None


class UploadUrls(_Answer):
    """Answer of `POST /v1/files/upload-urls`, in the order of the request."""

    items: list[UploadUrl] = Field(min_length=1)


class CreatedProject(_Answer):
    """Answer of `POST /v1/ai-image-upscaler`: the project exists and is charged.

    Only the id is indispensable: an answer without the price must not lose a paid project.
    """

    id: str = Field(min_length=1)
    credits_charged: int | None = None
    frame_cost: int | None = None


class Download(_Answer):
    """One output of a project; the URL lives 24 hours."""

    url: str = Field(repr=False)
    expires_at: str | None = None


class ProjectError(_Answer):
    """Why a project ended in `error`."""

    code: str | None = None
    message: str | None = None


class Project(_Answer):
    """Answer of `GET /v1/image-projects/{id}`; `downloads` is filled once it is complete."""

    id: str
    status: ProjectStatus
    name: str | None = None
    type: str | None = None
    image_count: int | None = None
    created_at: str | None = None
    enabled: bool = True
    credits_charged: int | None = None
    total_frame_cost: int | None = None
    downloads: Annotated[
        list[Download], BeforeValidator(lambda value: [] if value is None else value)
    ] = []
    error: ProjectError | None = None

    @property
    def type_(self) -> str | None:
        """The type by the name that the vendor's SDK gives it."""
        return self.type


class ProjectResult(Project):
    """A project and the files its outputs were downloaded to, None if none were asked for."""

    downloaded_paths: list[str] | None = None


class Price(_Rare):
    """What a subscription costs for each interval, in the smallest unit of the currency."""

    amount: int
    currency: str


class Discount(_Rare):
    """What is taken off the price: an amount in its unit, or a percentage."""

    amount_off: int | None = None
    percent_off: float | None = None


class Subscription(_Rare):
    """The plan that an account pays for."""

    status: str | None = None
    name: str | None = None
    billing_interval: str | None = None
    cancel_at_period_end: bool | None = None
    current_period_end: str | None = None
    price: Price | None = None
    discount: Discount | None = None


class Account(_Rare):
    """Answer of `GET /v1/account`; an account without a subscription has None."""

    id: str
    credits: int
    tier: str
    email: str | None = None
    subscription: Subscription | None = None
