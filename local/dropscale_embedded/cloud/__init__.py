"""A SAM template's stack on one machine: no account, no Docker, no network beyond loopback."""

from dropscale_embedded.cloud.cloud import EmbeddedCloud
from dropscale_embedded.cloud.errors import (
    AlreadyRunningError,
    EmbeddedCloudError,
    InvalidJournalError,
    InvalidParameterError,
    InvalidTemplateError,
    PortInUseError,
    UnsupportedTemplateError,
)

__all__ = [
    "AlreadyRunningError",
    "EmbeddedCloud",
    "EmbeddedCloudError",
    "InvalidJournalError",
    "InvalidParameterError",
    "InvalidTemplateError",
    "PortInUseError",
    "UnsupportedTemplateError",
]
