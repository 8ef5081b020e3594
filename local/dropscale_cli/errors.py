"""Why a command cannot do what it was asked; click shows the message and takes the exit code."""

import click


class WrongUsage(click.ClickException):
    """What the command was given will not do."""

    exit_code = 2


class NothingToDrop(WrongUsage):
    """There is no image at the path."""


class UnusablePath(WrongUsage):
    """A file or folder that the command needs cannot be used."""


class PriceUnconfirmed(WrongUsage):
    """There is nobody to ask whether the price is agreed to."""


class PriceDeclined(click.ClickException):
    """A person did not agree to the price."""


class StartFailed(click.ClickException):
    """The embedded API or the embedded cloud could not start."""


class JournalStopped(click.ClickException):
    """The journal cannot be written any more, so the stack takes nothing and pays nothing."""


class StackUnreachable(WrongUsage):
    """A stack cannot be found, or not be asked."""


class KeyRefused(click.ClickException):
    """An API key was not kept."""


class LedgerUnchanged(click.ClickException):
    """A stack's ledger could not be changed as asked, or nobody agreed to it."""


class UnknownImage(WrongUsage):
    """The ledger of the output folder knows no such image."""


class NotResolved(click.ClickException):
    """What is unknown about an image could not be settled as asked."""


class NoResults(WrongUsage):
    """There is no manifest in the folder."""


class PageUnwritable(click.ClickException):
    """The page cannot be written, or something else lies in its place."""
