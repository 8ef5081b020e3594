"""Types of the callers' arguments, and checks before anything is sent.

The names are those of the vendor's Python SDK 0.90.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import BinaryIO, Literal, TypedDict
from urllib.parse import urlencode

from dropscale.magichour.errors import Misconfigured
from dropscale.upscaler import DEFAULT_BASE_URL, SCALE_FACTORS

ModeName = Literal["preserve", "balanced", "creative", "pro"]
"""`pro` is the vendor's older name of `preserve`."""

Enhancement = Literal["Resemblance", "Balanced", "Creative"]
"""The older names of the modes preserve, balanced and creative."""


class Environment(Enum):
    """The API's addresses in the vendor's SDK."""

    ENVIRONMENT = DEFAULT_BASE_URL
    MOCK_SERVER = "https://api.sideko.dev/v1/mock/magichour/magic-hour/0.90.0"


class Style(TypedDict, total=False):
    """How to upscale; `prompt` counts in creative mode only."""

    mode: ModeName
    enhancement: Enhancement
    prompt: str


class Assets(TypedDict):
    """The image: a URL, or what `upload_file` returned."""

    image_file_path: str


class LocalAssets(TypedDict):
    """The image, which may be local: anything that `upload_file` accepts."""

    image_file_path: str | os.PathLike[str] | BinaryIO


class RequestOptions(TypedDict, total=False):
    """Options of one call.

    `timeout` is in seconds; None: the longest possible. Headers that the client itself sets are
    refused.
    """

    timeout: float | None
    additional_headers: Mapping[str, str]
    additional_params: Mapping[str, str | int | float | bool]


LONGEST_TIMEOUT = 86_400.0
"""A day, in seconds: the longest wait."""

_OUR_HEADERS = frozenset(
    {"accept-encoding", "authorization", "connection", "content-encoding", "content-length"}
    | {"content-type", "expect", "host", "transfer-encoding"}
)


@dataclass(frozen=True)
class Options:
    """Checked `RequestOptions`.

    Attributes:
        timeout: seconds; None: the client's.
        query: the end of the URL, from its `?` on.
    """

    timeout: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: str = field(default="", repr=False)

    def timeout_or(self, seconds: float) -> float:
        """Return the call's time-out, or else the client's."""
        return seconds if self.timeout is None else self.timeout


def usable_options(given: RequestOptions | None) -> Options:
    """Return the options of a call.

    Raises:
        ValueError: an option is not known, or a header cannot be sent.
        Misconfigured: the time-out is not valid.
    """
    given = given or {}
    _require_known("request_options", given, RequestOptions)
    headers = given.get("additional_headers") or {}
    for name, value in headers.items():
        _require_header(name, value)
    query = urlencode(given.get("additional_params") or {})
    timeout = usable_timeout(given["timeout"]) if "timeout" in given else None
    return Options(timeout, headers, f"?{query}" if query else "")


def usable_timeout(seconds: float | None) -> float:
    """Return a time-out; None is the longest.

    Raises:
        Misconfigured: it is not a number of seconds above 0 and up to a day.
    """
    if seconds is None:
        return LONGEST_TIMEOUT
    if not 0 < seconds <= LONGEST_TIMEOUT:
        message = f"the time-out is {seconds}; it must be a number of seconds above 0, or None"
        raise Misconfigured("calls of the API", message=message)
    return seconds


def require_assets(assets: object) -> None:
    """Check the assets of a create or a generate.

    Raises:
        ValueError: they name no image, or have unknown fields.
    """
    if not _require_known("assets", assets, Assets).get("image_file_path"):
        raise ValueError("assets has no image_file_path, which names the image")


def require_parameters(scale_factor: object, style: object, name: object) -> None:
    """Check the parameters of a create.

    A mode that is not known here may be a new one: the vendor decides, and a refusal is free.

    Raises:
        ValueError: the API would refuse or ignore a parameter.
    """
    if isinstance(scale_factor, bool) or scale_factor not in SCALE_FACTORS:
        raise ValueError(f"scale_factor is {scale_factor!r}; it must be 2 or 4")
    if name is not None and not isinstance(name, str):
        raise ValueError(f"name is {name!r}; it must be text")
    for key, value in _require_known("style", {} if style is None else style, Style).items():
        if not isinstance(value, str):
            raise ValueError(f"style.{key} is {value!r}; it must be text")


def _require_known(name: str, given: object, kind: type) -> Mapping[str, object]:
    if not isinstance(given, Mapping):
        raise ValueError(f"{name} is {type(given).__name__}; it must be a dict")
    known = kind.__annotations__
    for key in given:
        if key not in known:
            raise ValueError(f"{name} has no field {key!r}; it takes {', '.join(known)}")
    return given


def _require_header(name: str, value: str) -> None:
    if name.lower() in _OUR_HEADERS:
        raise ValueError(f"additional_headers: {name} is set by the client itself")
    if not (name.isascii() and name.replace("-", "").replace("_", "").isalnum()):
        raise ValueError(f"additional_headers: {name!r} is not a valid header name")
    if not (value.isascii() and value.isprintable()):
        raise ValueError(f"additional_headers: the value of {name} has characters other than ASCII")
