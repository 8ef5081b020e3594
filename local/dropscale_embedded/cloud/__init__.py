"""A SAM template's stack on one machine: no account, no Docker, no network beyond loopback."""

from dropscale_embedded.cloud.lean_moto import import_iam, keep_out_ec2

keep_out_ec2()

from dropscale_embedded.cloud.cloud import EmbeddedCloud  # noqa: E402 # see keep_out_ec2
from dropscale_embedded.cloud.errors import (  # noqa: E402 # likewise
    AlreadyRunningError,
    EmbeddedCloudError,
    InvalidJournalError,
    InvalidParameterError,
    InvalidTemplateError,
    PortInUseError,
    UnsupportedTemplateError,
)

import_iam()

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
