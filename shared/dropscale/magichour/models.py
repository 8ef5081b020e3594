"""The API's answers, with the vendor's field names.

Only indispensable fields are required: any other field that is missing, or cannot be read as its
type, has its default. Unknown fields are kept. So no addition, removal or mistake at the vendor
loses a paid result. URLs are signed and therefore left out of every repr.

Source: https://docs.magichour.ai/api-reference and the vendor's Python SDK 0.90.
"""

import math
import re
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)

from dropscale.magichour.text import MAX_MESSAGE, MAX_NAME, shown
from dropscale.upscaler import ProjectStatus

_MAX_ID, _MAX_URL = 1000, 16_000
_NO_ID = re.compile(r"[.\s]*")  # dots alone would be another path of the API


def _id_text(value: object) -> str:
    """Return an id as text; an integer is accepted, too."""
    text = str(value) if type(value) is int else value
    if (
        not isinstance(text, str)
        or not text.isprintable()
        or len(text.encode(errors="replace")) > _MAX_ID
    ):
        raise ValueError("not an id")
    if _NO_ID.fullmatch(text) or "\N{REPLACEMENT CHARACTER}" in text:
        raise ValueError("not an id")
    return text


def _round_up(value: object) -> int:
    """Return a whole number; a fraction is rounded up. `True` is not a number."""
    if type(value) is int:
        return value
    if type(value) is float and math.isfinite(value):
        return math.ceil(value)
    raise ValueError("not a number")


def _finite(value: object) -> object:
    if type(value) in {int, float} and abs(value) < math.inf:  # type: ignore[arg-type]
        return value
    raise ValueError("not a number")


Id = Annotated[str, BeforeValidator(_id_text)]
WholeNumber = Annotated[int, BeforeValidator(_round_up)]
Number = Annotated[float, BeforeValidator(_finite)]
Name = Annotated[str, AfterValidator(lambda text: shown(text, MAX_NAME))]
Message = Annotated[str, AfterValidator(lambda text: shown(text, MAX_MESSAGE))]
Url = Annotated[str, Field(min_length=1, max_length=_MAX_URL, repr=False)]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)

    @field_validator("*", mode="wrap")
    @classmethod
    def _default_if_unreadable(
        cls, value: Any, read: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> Any:
        try:
            found = read(value)
            if isinstance(found, str):
                found.encode()  # lone surrogates can be neither stored nor sent
            return found
        except ValueError:
            field = cls.model_fields[info.field_name or ""]
            if field.is_required():
                raise
            return field.get_default(call_default_factory=True)


class _Rare(_Answer):
    model_config = ConfigDict(defer_build=True)  # no function of the stack needs these


class UploadUrl(_Answer):
    """Where to PUT one file, and its path for later calls."""

    upload_url: Url
    file_path: str = Field(min_length=1, max_length=_MAX_URL)
    expires_at: str | None = None


class UploadUrls(_Answer):
    """Answer of `POST /v1/files/upload-urls`, in the order of the request."""

    items: list[UploadUrl] = Field(min_length=1)


class CreatedProject(_Answer):
    """Answer of `POST /v1/ai-image-upscaler`: the project exists and is charged.

    The prices are the vendor's, unchecked: they may be negative or absurd.
    """

    id: Id
    credits_charged: WholeNumber | None = None
    frame_cost: WholeNumber | None = None


class Download(_Answer):
    """One output of a project; the URL is valid for 24 hours."""

    url: Url
    expires_at: str | None = None


def _readable_downloads(value: object) -> object:
    """Leave out the entries of a list that are not downloads."""
    if not isinstance(value, list):
        return []
    readable = []
    for entry in value:
        try:
            readable.append(Download.model_validate(entry))
        except ValidationError:
            continue
    return readable


class ProjectError(_Answer):
    """Why a project ended in `error`."""

    code: Name | None = None
    message: Message | None = None

    @model_validator(mode="before")
    @classmethod
    def _text_is_message(cls, value: object) -> object:
        return {"message": value} if isinstance(value, str) else value


UNREADABLE_PRICE = 10**9
"""Replaces a price that cannot be read: above all others, so that nothing counts as refunded."""


class Project(_Answer):
    """Answer of `GET /v1/image-projects/{id}`; `downloads` is filled once it is complete.

    `enabled` is False for a deleted project, and None if the answer does not say.
    """

    id: Id
    status: ProjectStatus
    name: str | None = None
    type: str | None = None
    image_count: WholeNumber | None = None
    created_at: str | None = None
    enabled: StrictBool | None = None
    credits_charged: WholeNumber | None = None
    total_frame_cost: WholeNumber | None = None
    downloads: Annotated[list[Download], BeforeValidator(_readable_downloads)] = []
    error: ProjectError | None = None

    is_price_unreadable: bool = Field(default=False, repr=False, exclude=True)

    @model_validator(mode="before")
    @classmethod
    def _note_unreadable_price(cls, answer: object) -> object:
        if not isinstance(answer, dict):
            return answer
        told = answer.get("credits_charged")
        try:
            is_unreadable = told is not None and _round_up(told) is None
        except ValueError:
            is_unreadable = True
        return {**answer, "is_price_unreadable": is_unreadable}

    @property
    def final_price(self) -> int | None:
        """The final price; None: the answer does not state it."""
        return UNREADABLE_PRICE if self.is_price_unreadable else self.credits_charged

    @property
    def type_(self) -> str | None:
        """The type, under its name in the vendor's SDK."""
        return self.type


class EventPayload(_Answer):
    """What a webhook's payload, which is shaped like a project, says about which one it is."""

    id: Id
    name: str | None = None
    type: str | None = None


class ProjectResult(Project):
    """A project and the files its outputs were downloaded to; None: not requested."""

    downloaded_paths: list[str] | None = None


class Price(_Rare):
    """The price of a subscription per interval, in the smallest unit of the currency."""

    amount: WholeNumber
    currency: str = Field(min_length=1)


class Discount(_Rare):
    """A reduction of the price: an amount in its unit, or a percentage."""

    amount_off: WholeNumber | None = None
    percent_off: Number | None = None


class Subscription(_Rare):
    """The plan that an account pays for."""

    status: str | None = None
    name: str | None = None
    billing_interval: str | None = None
    cancel_at_period_end: StrictBool | None = None
    current_period_end: str | None = None
    price: Price | None = None
    discount: Discount | None = None


class Account(_Rare):
    """Answer of `GET /v1/account`; an account without a subscription has None."""

    id: Id
    credits: WholeNumber | None = None
    tier: Name | None = None
    email: str | None = None
    subscription: Subscription | None = None
