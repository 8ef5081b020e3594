"""Client library for the part of the Magic Hour API that the AI Image Upscaler needs."""

from typing import TYPE_CHECKING, Any

from dropscale.magichour.errors import (
    NOT_CHARGED,
    TRANSIENT,
    ConnectionLost,
    CreateAnswerUnreadable,
    CreateOutcomeUnknown,
    DeadlinePassed,
    InvalidRequest,
    MagicHourError,
    Misconfigured,
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
    Discount,
    Download,
    Price,
    Project,
    ProjectError,
    ProjectResult,
    Subscription,
    UploadUrl,
    UploadUrls,
)
from dropscale.magichour.params import (
    Assets,
    Environment,
    LocalAssets,
    RequestOptions,
    Style,
)
from dropscale.magichour.polling import Polling
from dropscale.magichour.progress import Progress, Stage

if TYPE_CHECKING:
    from dropscale.magichour.client import AsyncClient, Client

__all__ = [
    "NOT_CHARGED",
    "TRANSIENT",
    "Account",
    "Assets",
    "AsyncClient",
    "Client",
    "ConnectionLost",
    "CreateAnswerUnreadable",
    "CreateOutcomeUnknown",
    "CreatedProject",
    "DeadlinePassed",
    "Discount",
    "Download",
    "Environment",
    "InvalidRequest",
    "LocalAssets",
    "MagicHourError",
    "Misconfigured",
    "NotFound",
    "OutOfCredits",
    "PlanRefused",
    "Polling",
    "Price",
    "Progress",
    "Project",
    "ProjectError",
    "ProjectResult",
    "RequestOptions",
    "ServerFault",
    "Stage",
    "Style",
    "Subscription",
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
    """Import the clients on first use: most of the stack needs only errors and models."""
    if name in {"AsyncClient", "Client"}:
        from dropscale.magichour import client  # noqa: PLC0415 # see above

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
