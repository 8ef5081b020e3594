"""The errors of the embedded cloud."""


class EmbeddedCloudError(Exception):
    """Base class of the embedded cloud's errors."""


class UnsupportedTemplateError(EmbeddedCloudError):
    """The template uses something that the embedded cloud does not support."""


class InvalidTemplateError(EmbeddedCloudError):
    """The template contradicts itself; AWS would refuse it too."""


class InvalidParameterError(EmbeddedCloudError):
    """A stack parameter or secret is missing, unknown, or breaks its constraint."""


class AlreadyRunningError(EmbeddedCloudError):
    """Another embedded cloud runs in this process; moto's state is one per process."""


class PortInUseError(EmbeddedCloudError):
    """Another program uses the requested port."""


class InvalidJournalError(EmbeddedCloudError):
    """The journal was not written by this template's stack."""
