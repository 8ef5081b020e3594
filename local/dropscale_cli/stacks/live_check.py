"""`dropscale doctor --live`: one paid upscale at the real API, compared with its documentation.

All other code relies on the documentation of the vendor's API. Only this module compares it with
the real API.
"""

from __future__ import annotations

import io
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, Literal, TypeVar

from PIL import Image
from pydantic import BaseModel, ConfigDict, ValidationError

from dropscale.image.header import read_header
from dropscale.magichour import (
    CreateOutcomeUnknown,
    MagicHourError,
    Polling,
)
from dropscale.magichour.base_transport import Endpoint
from dropscale.magichour.calls import Call
from dropscale.magichour.client import V1Client
from dropscale.magichour.params import Options
from dropscale.magichour.resources import AsyncV1Client
from dropscale.magichour.transport import BlockingTransport
from dropscale.upscaler import Mode, price
from dropscale_cli.errors import KeyRefused
from dropscale_cli.options import agree_to_price
from dropscale_cli.stacks.account import described
from dropscale_cli.terminal import Terminal, on_one_line, say

T = TypeVar("T")

SCALE_FACTOR = 2
MODE = Mode.PRESERVE
PRICE = price(SCALE_FACTOR, MODE)
"""Credits: the cheapest upscale there is."""

_SIDE = 64
_TIMEOUT = 30.0
_TRANSFER_SECONDS = 120.0
_DEADLINE = 600.0
"""Seconds; the vendor's median is 22."""


class _Exact(BaseModel):
    """A model of the contract; any other field or type is a difference.

    Source: https://docs.magichour.ai/api-reference, version "beta", of mid 2026.
    """

    model_config = ConfigDict(extra="forbid", strict=True)


class _Account(_Exact):
    id: str
    email: str
    credits: int
    tier: Literal["free", "creator", "pro", "business"]
    subscription: dict[str, Any] | None


class _UploadItem(_Exact):
    upload_url: str
    expires_at: str
    file_path: str


class _UploadUrls(_Exact):
    items: list[_UploadItem]


class _Created(_Exact):
    id: str
    credits_charged: int
    frame_cost: int | None = None


class _Download(_Exact):
    url: str
    expires_at: str


class _Error(_Exact):
    code: str
    message: str


class _Project(_Exact):
    id: str
    name: str | None
    status: Literal["draft", "queued", "rendering", "complete", "error", "canceled"]
    type: Literal["IMAGE_UPSCALER"]
    image_count: int
    created_at: str
    enabled: bool
    credits_charged: int
    total_frame_cost: int | None = None
    downloads: list[_Download]
    error: _Error | None


_CONTRACT: tuple[tuple[str, type[_Exact]], ...] = (
    ("GET /v1/account", _Account),
    ("POST /v1/files/upload-urls", _UploadUrls),
    ("POST /v1/ai-image-upscaler", _Created),
    ("GET /v1/image-projects/", _Project),
)


@dataclass
class LiveCheck:
    """The findings of a live check so far.

    Attributes:
        steps: the steps that worked, one line each.
        failure: why it ended early, and what to do; None if it did not.
        differences: how answers differ from the contract, without duplicates.
    """

    steps: list[str] = field(default_factory=list)
    failure: str | None = None
    differences: dict[str, None] = field(default_factory=dict)

    @property
    def is_well(self) -> bool:
        """Whether every step worked and every answer was as documented."""
        return self.failure is None and not self.differences


def check_live(
    api_key: str,
    base_url: str,
    agree: Callable[[], object],
    tell: Callable[[str], object],
) -> LiveCheck:
    """Make every call once: account, upload, one 2x preserve upscale, status, download.

    The create is sent once, after `agree`, and never repeated.

    Args:
        api_key: the key of the vendor's API.
        base_url: where the API is.
        agree: asks to confirm the price, `PRICE` credits; raises if that is declined.
        tell: is called with each step that worked.

    Raises:
        ValueError: the key is malformed.
    """
    check = LiveCheck()
    transport = _Listening(Endpoint(api_key, base_url), check.differences)
    try:
        for step in _steps(transport, agree):
            check.steps.append(step)
            tell(step)
    except CreateOutcomeUnknown as error:
        check.failure = (
            f"{on_one_line(str(error))}. {PRICE} credits may have been charged. Look for the "
            f"project {error.project_name} in the Magic Hour library before you try again."
        )
    except (MagicHourError, _NotAsPromised) as error:
        check.failure = on_one_line(str(error))
    return check


def report_live(api_key: str, base_url: str, *, is_agreed: bool) -> int:
    """Check the real API, for credits; return the exit code: 0 if all is well, else 1.

    Raises:
        Unconfirmed, Declined: see `agree_to_price`.
    """
    console = Terminal()
    offer = f"One 2x upscale in preserve mode costs {PRICE} credits at {base_url}."

    def agree() -> None:
        agree_to_price(PRICE, offer, console, is_agreed=is_agreed)

    try:
        check = check_live(api_key, base_url, agree, lambda step: say(f"ok    {step}"))
    except ValueError as error:
        raise KeyRefused(str(error)) from error
    if check.failure:
        say(f"FIX   {check.failure}")
    say(*(f"DRIFT {difference}" for difference in check.differences))
    if check.is_well:
        say("Every answer is as documented.")
    return 0 if check.is_well else 1


class _NotAsPromised(Exception):
    """The API did not behave as documented."""


def _steps(transport: _Listening, agree: Callable[[], object]) -> Iterator[str]:
    v1 = V1Client(AsyncV1Client(transport, Polling(deadline=_DEADLINE)))
    account = v1.account.list()
    yield f"account: {described(account)}"
    if account.credits is not None and account.credits < PRICE:
        raise _NotAsPromised(f"{PRICE} credits are needed. Buy credits, then try again.")
    path = v1.files.upload_file(_picture(), "png")
    yield f"upload: {on_one_line(path)}"
    agree()
    name = f"dropscale doctor {secrets.token_hex(6)}"
    created = v1.ai_image_upscaler.create(
        assets={"image_file_path": path},
        scale_factor=SCALE_FACTOR,
        style={"mode": MODE.value},
        name=name,
    )
    yield f"create: project {on_one_line(created.id)}, {created.credits_charged} credits"
    with TemporaryDirectory() as folder:
        project = v1.image_projects.check_result(
            created.id, wait_for_completion=True, download_outputs=True, download_directory=folder
        )
        yield f"project: {project.status}"
        if not project.downloaded_paths:
            raise _NotAsPromised(f"The project ended as {project.status}, without a result.")
        if project.name != name:
            raise _NotAsPromised(f"The project's name is not the one sent, {name}.")
        yield f"result: {_described(Path(project.downloaded_paths[0]))}"


def _described(result: Path) -> str:
    with result.open("rb") as file:
        header = read_header(file, "the result")
    sides = f"{header.width} x {header.height} pixels"
    if (header.width, header.height) != (SCALE_FACTOR * _SIDE, SCALE_FACTOR * _SIDE):
        raise _NotAsPromised(f"The result is {sides}; the image is {_SIDE} x {_SIDE}.")
    return f"{header.type}, {sides}"


def _picture() -> BinaryIO:
    file = io.BytesIO()
    Image.radial_gradient("L").resize((_SIDE, _SIDE)).convert("RGB").save(file, "PNG")
    file.seek(0)
    return file


class _Listening(BlockingTransport):
    """A transport that compares each successful answer with the contract."""

    def __init__(self, endpoint: Endpoint, differences: dict[str, None]) -> None:
        super().__init__(endpoint, _TIMEOUT, _TRANSFER_SECONDS)
        self._differences = differences

    async def send(self, call: Call[T], options: Options | None = None) -> T:
        """See `Transport.send`."""

        def read(document: object) -> T:
            self._differences.update(dict.fromkeys(differences(call.label, document)))
            return call.read(document)

        return await super().send(replace(call, read=read), options or Options())


def differences(label: str, document: object) -> Iterator[str]:
    """Yield how an answer differs from the documented one: fields and kinds, never values.

    Args:
        label: of the call, such as "GET /v1/account".
        document: the answer's JSON.
    """
    for prefix, shape in _CONTRACT:
        if label.startswith(prefix):
            try:
                shape.model_validate(document)
            except ValidationError as error:
                for found in error.errors(include_url=False, include_input=False):
                    where = ".".join(
                        "[]" if isinstance(part, int) else part for part in found["loc"]
                    )
                    yield on_one_line(f"{prefix}: {where or 'the answer'}: {found['msg']}")[:200]
