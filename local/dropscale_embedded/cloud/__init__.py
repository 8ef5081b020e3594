"""A SAM template's stack on one machine: no account, no Docker, no network beyond loopback."""

from dropscale_embedded.cloud.lean_imports import import_leanly

import_leanly()

from dropscale_embedded.cloud.cloud import EmbeddedCloud  # noqa: E402 # see import_leanly
from dropscale_embedded.cloud.errors import (  # noqa: E402 # likewise
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
