"""What keeps an object of the input bucket from being read, as long as nobody changes it."""

from dropscale.errors import DropscaleError


class AccessDenied(DropscaleError):
    """A policy, or a key of KMS, keeps the stack from an object; looked at again each hour."""


class ObjectArchived(DropscaleError):
    """The object's bytes are in an archive, from which they must be restored first."""


class ObjectEncrypted(DropscaleError):
    """The object is encrypted with a key that its owner gives with each request (SSE-C)."""


class RequesterPays(DropscaleError):
    """The bucket's owner has requests paid by who makes them, which the stack does not do."""
