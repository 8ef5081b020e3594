"""Errors of the Magic Hour API: one class for each different reaction of a caller.

The class names are a contract: the state machine names them in its `ErrorEquals` lists. No message
or repr contains the token or the query of a URL.

The meaning of the status codes: https://docs.magichour.ai/api-reference.
"""

import reprlib
from types import MappingProxyType
from typing import ClassVar

VENDOR_DEFAULT_NAME = "Image Upscaler - <date time>"
"""The vendor's name for a project that was created without one."""


class MagicHourError(Exception):
    """Base of every error of this package.

    Attributes:
        request: the call that failed, e.g. "POST /v1/ai-image-upscaler"; for a transfer, the
            method and the host.
        status: the HTTP status; None: there was no answer.
        message: the vendor's message, or that of the check that failed, or None.
        code: the vendor's error code, in its newer contract, or None.
        body: the texts of the vendor's refusal by name, cut to a limit; None: there were none.
        retry_after: the seconds that the answer asks to wait before the next try, or None.
        what: what is wrong; `advice`: what to do. Both are formatted with the attributes above.
    """

    what: ClassVar[str] = "the call failed"
    advice: ClassVar[str] = "Try again later."

    def __init__(
        self,
        request: str,
        *,
        status: int | None = None,
        message: str | None = None,
        retry_after: float | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(request)
        self.request = request
        self.status = status
        self.message = message
        self.code = code
        self.body: dict[str, str] | None = None
        self.retry_after = retry_after

    @property
    def status_code(self) -> int | None:
        """`status`, under its name in the vendor's SDK."""
        return self.status

    @property
    def summary(self) -> str:
        """What is wrong, without the failed call and without advice."""
        told = [f"HTTP {self.status}" if self.status else "", self.code or ""]
        status = f" ({', '.join(filter(None, told))})" if any(told) else ""
        message = f": {self.message.rstrip('.')}" if self.message else ""
        return f"{self.what.format(**vars(self))}{status}{message}"

    @property
    def fix(self) -> str:
        """What to do about it."""
        return self.advice.format(**vars(self))

    def __str__(self) -> str:
        return f"{self.request}: {self.summary}. {self.fix}"


class InvalidRequest(MagicHourError):
    """400, 422: the vendor rejected the parameters or the image; nothing was charged."""

    what = "the API rejected this request"
    advice = "Correct the field that the message names; nothing was charged."


class Unauthorized(MagicHourError):
    """401: the API key is wrong."""

    what = "the API key is not accepted"
    advice = "Set a valid Magic Hour API key; nothing was charged."


class OutOfCredits(MagicHourError):
    """402 (except `plan_upgrade_required`): the account cannot pay for anything now."""

    what = "the account cannot pay for this"
    advice = "Buy credits, renew the subscription or wait for the next period; nothing was charged."


class PlanRefused(MagicHourError):
    """403, 402 `plan_upgrade_required`: the account's plan does not allow this one request."""

    what = "the account's plan does not allow this"
    advice = "Ask for less (4x needs a paid plan) or change the plan; nothing was charged."


class NotFound(MagicHourError):
    """404: no such project (or it was deleted), or no such call."""

    what = "the API has no such object"
    advice = "Check the project's id and the base URL; deleted projects are gone."


class Throttled(MagicHourError):
    """429: too many requests, or too many jobs at once."""

    what = "too many requests"
    advice = "Wait (retry_after, if given), then try again."


class ServerFault(MagicHourError):
    """500, 504, an answer that cannot be read, and every status outside the contract.

    Also 400, 401, 402, 403 and 422 without the vendor's own JSON body: something between us and the
    vendor answered, which proves nothing.
    """

    what = "the API failed or its answer cannot be read"
    advice = "Try again later."


class Unavailable(MagicHourError):
    """502, 503 with the vendor's own JSON body: refused before anything was done."""

    what = "the API is not available"
    advice = "Try again in 30 to 60 seconds."


class Unreachable(MagicHourError):
    """The request was not sent: name not resolved, connection refused or timed out, TLS failed."""

    what = "no connection to the API"
    advice = "Check the network, the proxy settings and the base URL, then try again."


class Misconfigured(MagicHourError):
    """The request was not made: a CA bundle, a proxy or the base URL cannot be used."""

    what = "the request could not be made"
    advice = "Correct the setting that the message names; nothing was sent, nothing was charged."


class ConnectionLost(MagicHourError):
    """Sent, but without a complete answer: time-out or reset."""

    what = "the connection was lost before the answer was complete"
    advice = "Try again."


class TransferFailed(MagicHourError):
    """An upload or download over a signed URL failed or was cut off.

    `status` 403, 404 or 410 (see `expired`): a new GET of the project returns a new URL.
    """

    what = "the transfer failed"
    advice = "Try again, with a new URL."

    @property
    def expired(self) -> bool:
        """Whether the storage says that this URL is not, or no longer, valid."""
        return self.status in {403, 404, 410}


class UnsafeUrl(MagicHourError):
    """A storage URL from the vendor would send an image over plain HTTP."""

    what = "this URL is not safe to use"
    advice = "Only https is allowed (http only between loopback addresses)."


class UnknownProjectStatus(MagicHourError):
    """The project has a status that this version does not know.

    Attributes:
        project_status: the status as received; if it is long or nested, its beginning.
    """

    what = "the project has a status that is not in the contract"
    advice = "Look again later, or update this software; the project itself is not affected."

    def __init__(self, request: str, *, project_status: object = None) -> None:
        super().__init__(request, message=reprlib.repr(project_status))
        self.project_status = project_status


class DeadlinePassed(MagicHourError):
    """The project was not final when the polling deadline passed; it continues at the vendor.

    Attributes:
        project_id: the project; resume with `image_projects.check_result`.
    """

    what = "the project was not finished in time"
    advice = (
        "It is paid for and still running: resume with "
        "image_projects.check_result(id={project_id!r}, wait_for_completion=True, "
        "download_outputs=True)."
    )

    def __init__(self, request: str, *, project_id: str = "", message: str | None = None) -> None:
        super().__init__(request, message=message)
        self.project_id = project_id


class CreateOutcomeUnknown(MagicHourError):
    """The create may have made, and charged, a project. Never repeat it blindly.

    Attributes:
        cause_name: the class name of the cause, e.g. "ConnectionLost", "ServerFault".
        project_name: the `name` under which the project can be found, if it exists.
    """

    what = "the outcome is unknown ({cause_name}), a project may exist and be charged"
    advice = (
        "Do not repeat it: look for a project named {project_name!r} in the account first; "
        "only if there is none, nothing was charged."
    )

    def __init__(
        self, request: str, *, cause_name: str = "", project_name: str | None = None
    ) -> None:
        super().__init__(request)
        self.cause_name = cause_name
        self.project_name = project_name or VENDOR_DEFAULT_NAME


class CreateAnswerUnreadable(CreateOutcomeUnknown):
    """A create was answered with a 4xx that, by its shape, is not from the vendor.

    Something is between us and the vendor, and it is unknown what it did with the request.
    """

    what = "the refusal is not from the vendor, a project may exist and be charged"


CLASS_BY_STATUS = MappingProxyType(
    {
        400: InvalidRequest,
        401: Unauthorized,
        402: OutOfCredits,
        403: PlanRefused,
        404: NotFound,
        422: InvalidRequest,
        429: Throttled,
    }
)
"""Classes of refusals in the vendor's shape; see `calls` for other bodies, 402's code, 502, 503.

Every other status is a ServerFault.
"""

NOT_CHARGED = (*frozenset(CLASS_BY_STATUS.values()), Unavailable, Unreachable, Misconfigured)
"""After these a create has certainly made no project; after any other it may have."""

TRANSIENT = (
    Throttled,
    ServerFault,
    Unavailable,
    Unreachable,
    ConnectionLost,
    TransferFailed,
    UnknownProjectStatus,
)
"""Errors that may be temporary, of calls that can be repeated freely (not of a create)."""
