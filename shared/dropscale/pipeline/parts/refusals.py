"""Why an object of the input bucket cannot be read until somebody changes something."""

from dropscale.errors import DropscaleError


class AccessDenied(DropscaleError):
    """A policy or a KMS key denies the stack an object; it is tried again each hour."""


class ObjectArchived(DropscaleError):
    """The object is archived, and must be restored first."""


class ObjectEncrypted(DropscaleError):
    """The object is encrypted with a key that each request must supply (SSE-C)."""


class RequesterPays(DropscaleError):
    """The bucket makes requesters pay, which the stack does not do."""
