"""What the embedded cloud refuses, and why."""


class EmbeddedCloudError(Exception):
    """Base of everything the embedded cloud raises on purpose."""


class UnsupportedTemplateError(EmbeddedCloudError):
    """The template uses something that the embedded cloud does not know, so it will not guess."""


class InvalidTemplateError(EmbeddedCloudError):
    """The template contradicts itself; AWS would refuse it too."""


class InvalidParameterError(EmbeddedCloudError):
    """A stack parameter or secret is missing, unknown, or breaks its constraint."""


class AlreadyRunningError(EmbeddedCloudError):
    """Another embedded cloud runs in this process; moto's state is one per process."""


class PortInUseError(EmbeddedCloudError):
    """The port asked for belongs to another program."""


class InvalidJournalError(EmbeddedCloudError):
    """The journal was not written by this template's stack."""
