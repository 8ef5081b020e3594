"""Client library for the Magic Hour API, as far as its AI Image Upscaler goes."""

from typing import TYPE_CHECKING, Any

from dropscale.magichour.errors import (
    NOT_CHARGED,
    TRANSIENT,
    ConnectionLost,
    CreateOutcomeUnknown,
    DeadlinePassed,
    InvalidRequest,
    MagicHourError,
    NotFound,
    OutOfCredits,
    PlanRefused,
    ServerFault,
    Throttled,
    TransferFailed,
    Unauthorized,
    Unavailable,
    UnknownProjectStatus,
    Unreachable,
    UnsafeUrl,
)
from dropscale.magichour.models import (
    Account,
    CreatedProject,
    Download,
    Project,
    ProjectError,
    ProjectResult,
    UploadUrl,
    UploadUrls,
)
from dropscale.magichour.polling import Polling

if TYPE_CHECKING:
    from dropscale.magichour.client import Client

__all__ = [
    "NOT_CHARGED",
    "TRANSIENT",
    "Account",
    "Client",
    "ConnectionLost",
    "CreateOutcomeUnknown",
    "CreatedProject",
    "DeadlinePassed",
    "Download",
    "InvalidRequest",
    "MagicHourError",
    "NotFound",
    "OutOfCredits",
    "PlanRefused",
    "Polling",
    "Project",
    "ProjectError",
    "ProjectResult",
    "ServerFault",
    "Throttled",
    "TransferFailed",
    "Unauthorized",
    "Unavailable",
    "UnknownProjectStatus",
    "Unreachable",
    "UnsafeUrl",
    "UploadUrl",
    "UploadUrls",
]


def __getattr__(name: str) -> Any:
    """Import the client when it is first asked for: with it comes requests, slow to import."""
    if name == "Client":
        from dropscale.magichour.client import Client  # noqa: PLC0415 # see above

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
